"""Captions and other pieces that a format keeps in its own way: what goes along, and what the user hears about."""

import io
import struct

import numpy as np
import pytest
import tifffile
from imaging.decode_samples import SMOOTH, chunk, decode, saved
from PIL import Image, IptcImagePlugin
from PIL.PngImagePlugin import PngInfo

from lorair_cli.imaging import ifd
from lorair_cli.imaging.encode import encode_photo
from lorair_cli.imaging.native import left_behind
from lorair_cli.imaging.photo import Photo

CAPTION = b"A caption"
IPTC = b"\x1c\x02\x78" + struct.pack(">H", len(CAPTION)) + CAPTION  # data set 2:120, caption, of 14 bytes
URL = b"8BIM\x04\x0b\0\0" + struct.pack(">I", 20) + b"http://example.org/x"  # resource 0x040b


def resources(iptc: bytes = IPTC) -> bytes:
    return URL + b"8BIM\x04\x04\0\0" + struct.pack(">I", len(iptc)) + iptc


def jpeg(content: bytes, **options) -> Photo:
    segment = b"Photoshop 3.0\0" + content
    return decode(saved(SMOOTH, "JPEG", extra=b"\xff\xed" + struct.pack(">H", len(segment) + 2) + segment, **options))


def tiff(order: str, *tags: tuple[int, int, bytes]) -> Photo:
    """A grey TIFF of one pixel with more tags (number, type, value), spelled out by hand."""
    numbers = {256: 1, 257: 1, 258: 8, 259: 1, 262: 1, 273: 8, 277: 1, 278: 1, 279: 1}
    fields = {tag: ifd.Field(ifd.SHORT, struct.pack(f"{order}H", value)) for tag, value in numbers.items()}
    fields |= {tag: ifd.Field(kind, value) for tag, kind, value in tags}
    start = (b"II" if order == "<" else b"MM") + struct.pack(f"{order}HI", 42, 10) + b"\x80\0"
    return decode(start + ifd.directories(ifd.Tags(order, fields, {}, {}, {}), 10, None))


def tags_of(photo: Photo) -> dict[int, tuple[int, bytes]]:
    """Type and value of the two caption tags of the TIFF that is written, with the byte order it is written in."""
    with tifffile.TiffFile(io.BytesIO(encode_photo(photo, "TIFF"))) as file:
        tags = [file.pages[0].tags.get(tag) for tag in (33723, 34377)]
        handle = file.filehandle
        found = {}
        for tag in filter(None, tags):
            handle.seek(tag.valueoffset)
            found[tag.code] = (int(tag.dtype), handle.read(tag.valuebytecount))
        return found


def captions_of(data: bytes) -> dict[tuple[int, int], bytes]:
    """As Pillow, which knows nothing of this project, reads them."""
    return IptcImagePlugin.getiptcinfo(Image.open(io.BytesIO(data)))


@pytest.mark.parametrize("order", ["<", ">"])
@pytest.mark.parametrize("kind", [1, 4, 7])
def test_a_tiff_keeps_captions_and_photoshops_block(order, kind):
    value = IPTC + b"\0\0"
    photo = tiff(order, (33723, kind, value), (34377, 1, resources()))
    assert tags_of(photo) == {33723: (kind, value), 34377: (1, resources())}
    assert encode_photo(photo, "TIFF").startswith(b"II" if order == "<" else b"MM"), "types of numbers keep their order"
    assert photo.metadata.exif is None, "they stand in one place only"
    assert tags_of(photo.without_metadata()) == {}
    assert left_behind(photo, "TIFF") is None


def test_from_jpeg_to_tiff_captions_stand_in_both_places():
    photo = jpeg(resources())
    assert tags_of(photo) == {33723: (7, IPTC), 34377: (1, resources())}
    assert captions_of(encode_photo(photo, "TIFF"))[2, 120] == CAPTION
    assert left_behind(photo, "TIFF") is None
    assert tags_of(photo.without_metadata()) == {}


@pytest.mark.parametrize("tags", [[(33723, 7, IPTC)], [(34377, 1, resources())], [(33723, 4, IPTC + b"\0\0")]])
def test_from_tiff_to_jpeg(tags):
    photo = tiff(">", *tags)
    assert captions_of(encode_photo(photo, "JPEG"))[2, 120] == CAPTION
    assert left_behind(photo, "JPEG") is None


def test_the_caption_tag_of_a_tiff_counts_and_the_rest_of_the_block_stays():
    photo = tiff("<", (33723, 7, IPTC), (34377, 1, resources(IPTC.replace(b"A cap", b"B cap"))))
    data = encode_photo(photo, "JPEG")
    assert captions_of(data)[2, 120] == CAPTION and b"B cap" not in data and URL in data


def test_a_long_block_takes_several_segments_of_a_jpeg_and_comes_back_whole():
    long = resources(IPTC + b"\x1c\x02\x05\x80\x04" + struct.pack(">I", 150_000) + bytes(150_000))
    photo = tiff("<", (34377, 1, long))
    again = decode(encode_photo(photo, "JPEG"))
    assert len(again.metadata.native) == 3
    assert tags_of(again)[34377] == (1, long)


def test_captions_with_their_bytes_swapped_stay_behind_and_that_is_said():
    swapped = b"".join((IPTC + b"\0\0")[at : at + 4][::-1] for at in range(0, 16, 4))
    photo = tiff("<", (33723, 4, swapped))
    assert decode(encode_photo(photo, "JPEG")).metadata.native == ()
    assert "IPTC" in left_behind(photo, "JPEG")


@pytest.mark.parametrize("format_", ["PNG", "WEBP", "BMP"])
def test_what_stays_behind_is_said(format_):
    photo = jpeg(resources(), comment=b"a comment")
    line = left_behind(photo, format_)
    assert line.startswith(f"{format_} has no room") and "IPTC" in line and "comment" in line and "\n" not in line
    assert left_behind(photo, "JPEG") is None
    assert left_behind(photo.without_metadata(), format_) is None, "nobody misses what he wanted to leave out"
    assert left_behind(Photo(SMOOTH), format_) is None
    assert "IPTC" not in left_behind(photo, "TIFF") and "comment" in left_behind(photo, "TIFF")


def test_texts_of_a_png_stay_behind_and_its_colours_do_not_count():
    info = PngInfo()
    info.add(b"gAMA", struct.pack(">I", 45455))
    silent = decode(saved(np.zeros((2, 2, 3), np.uint8), "PNG", pnginfo=info))
    assert silent.metadata.native and left_behind(silent, "JPEG") is None
    info.add_text("Title", "a title")
    info.add(b"tIME", bytes((7, 208, 1, 1, 0, 0, 0)))
    line = left_behind(decode(saved(SMOOTH, "PNG", pnginfo=info)), "JPEG")
    assert "texts" in line and "time" in line


@pytest.mark.parametrize(
    ("kind", "usual", "other"),
    [
        (b"gAMA", struct.pack(">I", 45455), struct.pack(">I", 100000)),
        (
            b"cHRM",
            struct.pack(">8I", 31270, 32900, 64000, 33000, 30000, 60000, 15000, 6000),
            struct.pack(">8I", 31270, 32900, 64000, 33000, 21000, 71000, 15000, 6000),
        ),
    ],
)
def test_colours_that_only_a_png_can_say_are_told_where_they_are_lost(kind, usual, other):
    def told(content, format_="JPEG"):
        data = saved(SMOOTH, "PNG")
        return left_behind(decode(data[:33] + chunk(kind, content) + data[33:]), format_)

    assert told(usual) is None and told(other, "PNG") is None
    assert told(other).endswith(f"of its own ({kind.decode()})")
