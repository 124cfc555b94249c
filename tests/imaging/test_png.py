"""Chunks of a PNG: which are written again, and which say what the colours mean."""

import io
import struct
import zlib

import numpy as np
import pytest
from imaging.decode_samples import SMOOTH, chunk, decode, exif, profile, saved
from PIL import Image

from lorair_cli.errors import ImageError
from lorair_cli.imaging.encode import encode_photo
from lorair_cli.imaging.profiles import profile_for

P3, BT_2020, SRGB = (bytes((primaries, 13, 0, 1)) for primaries in (12, 9, 1))
TIME = struct.pack(">HBBBBB", 2020, 2, 29, 12, 30, 59)


def png(*pieces: tuple[bytes, bytes], pixels: np.ndarray = SMOOTH, **options) -> bytes:
    """A PNG with more chunks, behind the header and the profile that ``options`` may name."""
    data = saved(pixels, "PNG", **options)
    at = data.index(b"IDAT") - 4
    return data[:at] + b"".join(chunk(*piece) for piece in pieces) + data[at:]


def chunks(data: bytes) -> list[tuple[bytes, bytes]]:
    found, at = [], 8
    while at < len(data):
        size = struct.unpack_from(">I", data, at)[0]
        found.append((data[at + 4 : at + 8], data[at + 8 : at + 8 + size]))
        at += 12 + size
    return found


def raw_profile(keyword: str, content: bytes) -> bytes:
    kind = keyword.split()[-1]
    return f"{keyword}\0\n{kind}\n{len(content):8d}\n{content.hex()}\n".encode()


def test_everything_that_nothing_else_holds_is_written_again():
    iptc = raw_profile("Raw profile type iptc", b"8BIM\x04\x04\0\0\0\0\0\0")
    keyword, text = iptc.split(b"\0", 1)
    pieces = [
        (b"tEXt", iptc),
        (b"zTXt", keyword + b"\0\0" + zlib.compress(text)),
        (b"iTXt", keyword + bytes(5) + text),
        (b"tEXt", raw_profile("Raw profile type icc", profile())),
        (b"tEXt", raw_profile("Raw profile type APP1", b"http://ns.adobe.com/xap/1.0/\0<x/>")),
        (b"tIME", TIME),
        (b"oFFs", struct.pack(">iiB", 3, 4, 0)),
    ]
    photo = decode(png(*pieces))
    written = chunks(encode_photo(photo, "PNG"))
    assert [piece for piece in written if piece in pieces] == pieces
    assert not {kind for kind, _ in chunks(encode_photo(photo.without_metadata(), "PNG"))} & {b"tIME", b"oFFs", b"tEXt"}


@pytest.mark.parametrize("kind", [b"bKGD", b"sBIT", b"PLTE", b"caBX"])
def test_what_new_pixels_make_untrue_is_left_out(kind):
    assert kind not in {name for name, _ in chunks(encode_photo(decode(png((kind, bytes(3)))), "PNG"))}


def test_what_is_read_is_written_once():
    block = exif(6).tobytes().removeprefix(b"Exif\0\0")
    pieces = [
        (b"eXIf", block),
        (b"tEXt", raw_profile("Raw profile type exif", block)),
        (b"iTXt", b"XML:com.adobe.xmp" + bytes(5) + b"<x:xmpmeta/>"),
        (b"pHYs", struct.pack(">IIB", 11811, 11811, 1)),
    ]
    names = [kind for kind, _ in chunks(encode_photo(decode(png(*pieces, icc_profile=profile())), "PNG"))]
    assert sorted(set(names) - {b"IDAT"}) == [b"IEND", b"IHDR", b"eXIf", b"iCCP", b"iTXt", b"pHYs"]
    assert len(names) == len(set(names))


def test_raw_exif_counts_where_the_chunk_cannot_be_read():
    block = exif(6).tobytes()
    photo = decode(png((b"eXIf", b"nonsense"), (b"tEXt", raw_profile("Raw profile type exif", block))))
    assert photo.size == SMOOTH.shape[:2] and photo.metadata.exif is not None
    assert photo.metadata.native == ()


# Colours by number ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("transfer", "name"), [(16, "PQ"), (18, "HLG")])
@pytest.mark.parametrize("options", [{}, {"icc_profile": profile()}])
def test_hdr_is_refused_instead_of_losing_its_meaning(transfer, name, options):
    with pytest.raises(ImageError, match=rf"photo\.bin: an HDR photo \({name}\)"):
        decode(png((b"cICP", bytes((9, transfer, 0, 1))), **options))


@pytest.mark.parametrize(("numbers", "primaries"), [(P3, 12), (BT_2020, 9)])
def test_wide_colours_get_a_profile_in_other_formats(numbers, primaries):
    photo = decode(png((b"cICP", numbers)))
    for format_ in ("JPEG", "TIFF", "WEBP"):
        assert decode(encode_photo(photo, format_)).metadata.icc == profile_for(primaries)


@pytest.mark.parametrize("numbers", [P3, SRGB])
def test_a_png_keeps_its_numbers_and_gets_no_profile(numbers):
    photo = decode(png((b"cICP", numbers)))
    for kept in (photo, photo.without_metadata()):
        written = chunks(encode_photo(kept, "PNG"))
        assert (b"cICP", numbers) in written and b"iCCP" not in dict(written)


def test_numbers_count_more_than_a_profile_and_both_are_kept():
    data = png((b"cICP", P3), icc_profile=profile())
    photo = decode(data)
    assert photo.metadata.icc == profile_for(12)
    for kept in (photo, photo.without_metadata()):
        written = chunks(encode_photo(kept, "PNG"))
        assert {kind: content for kind, content in written if kind in (b"cICP", b"iCCP")} == {
            b"cICP": P3,
            b"iCCP": dict(chunks(data))[b"iCCP"],
        }
    assert decode(png((b"cICP", SRGB), icc_profile=profile_for(12))).metadata.icc is None


@pytest.mark.parametrize("numbers", [bytes((2, 2, 0, 1)), b"\x0c"])
def test_numbers_that_say_nothing_leave_the_profile(numbers):
    assert decode(png((b"cICP", numbers), icc_profile=profile_for(12))).metadata.icc == profile_for(12)


def test_wide_greys_need_no_profile_of_colours():
    photo = decode(png((b"cICP", P3), pixels=SMOOTH[..., 0]))
    assert photo.grey
    assert Image.open(io.BytesIO(encode_photo(photo, "JPEG"))).info.get("icc_profile") is None


def test_a_photo_that_was_no_png_gets_its_profile_there():
    photo = decode(saved(SMOOTH, "JPEG", icc_profile=profile_for(12)))
    assert decode(encode_photo(photo, "PNG")).metadata.icc == profile_for(12)
