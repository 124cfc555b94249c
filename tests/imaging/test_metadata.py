import io
import struct
import zlib

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import ExifTags, Image
from PIL.PngImagePlugin import PngInfo
from PIL.TiffImagePlugin import IFDRational, ImageFileDirectory_v2

from lorair_cli.imaging.decode import decode_photo
from lorair_cli.imaging.encode import encode_photo
from lorair_cli.imaging.metadata import upright_metadata
from lorair_cli.imaging.native import left_behind
from lorair_cli.imaging.photo import Photo, as_fraction

PIXELS = np.arange(6 * 4 * 3, dtype=np.uint8).reshape(4, 6, 3)  # 6 wide, 4 high


def decoded(format_: str, pixels: np.ndarray = PIXELS, **options) -> Photo:
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, format_, **options)
    return decode_photo(buffer.getvalue(), "photo")


def exif(orientation: int | None = None, order: str = "<") -> bytes:
    tags = Image.Exif()
    tags.endian = order
    tags[0x0110] = "Model"
    if orientation is not None:
        tags[0x0112] = orientation
    return tags.tobytes()


def xmp(orientation: int, written: str = 'tiff:Orientation="{}"') -> bytes:
    return b"<rdf:Description " + written.format(orientation).encode() + b"/>"


@pytest.mark.parametrize("order", ["<", ">"])
def test_only_the_orientation_changes_in_exif(order):
    block = decoded("JPEG", exif=exif(6, order)).metadata.exif
    assert block == exif(1, order).removeprefix(b"Exif\0\0")


def test_exif_with_nothing_to_change_is_kept_byte_for_byte():
    for block in (exif(), exif(1)):
        assert decoded("JPEG", exif=block).metadata.exif == block.removeprefix(b"Exif\0\0")


def test_exif_from_the_time_before_png_had_it():
    block = exif(6)
    text = "\nexif\n" + f"{len(block):8d}\n" + "\n".join(block.hex()[i : i + 72] for i in range(0, 2 * len(block), 72))
    info = PngInfo()
    info.add_text("Raw profile type exif", text)
    info.add_text("Title", "a title")
    photo = decoded("PNG", pnginfo=info)
    assert photo.size == (4, 6)
    assert photo.metadata.exif == exif(1).removeprefix(b"Exif\0\0")
    assert photo.metadata.native == ((b"tEXt", b"Title\0a title"),)


@pytest.mark.parametrize("written", ['tiff:Orientation="{}"', "tiff:Orientation = '{}'", "tiff:Orientation>{}<"])
def test_xmp_orientation_counts_where_exif_has_none(written):
    photo = decoded("JPEG", exif=exif(), xmp=xmp(6, written))
    assert photo.size == (4, 6)
    assert photo.metadata.xmp == xmp(1, written)


def test_exif_orientation_wins_and_both_are_reset():
    photo = decoded("JPEG", exif=exif(1), xmp=xmp(6))
    assert photo.size == (6, 4)
    assert photo.metadata.xmp == xmp(1)


@pytest.mark.parametrize(("format_", "options"), [("PNG", {}), ("JPEG", {}), ("TIFF", {}), ("BMP", {})])
def test_resolution(format_, options):
    assert decoded(format_, dpi=(300, 150)).metadata.dpi == pytest.approx((300, 150), abs=0.02)
    assert decoded(format_).metadata.dpi in (None, pytest.approx((96, 96), abs=0.02))


def test_resolution_turns_with_the_photo():
    assert decoded("JPEG", dpi=(300, 150), exif=exif(6)).metadata.dpi == (150, 300)


@pytest.mark.parametrize("unit_and_inches", [(2, 1.0), (3, 2.54), (1, None)])
def test_tiff_resolution_in_its_unit(unit_and_inches):
    unit, inches = unit_and_inches
    info = ImageFileDirectory_v2()
    info[282], info[283], info[296] = IFDRational(100), IFDRational(50), unit
    expected = None if inches is None else pytest.approx((100 * inches, 50 * inches))
    assert decoded("TIFF", tiffinfo=info).metadata.dpi == expected


def with_aspect(format_: str, aspect: tuple[int, int]) -> bytes:
    """A picture of 6x4 pixels that are not square."""
    buffer = io.BytesIO()
    info = ImageFileDirectory_v2()
    info[282], info[283], info[296] = IFDRational(aspect[0]), IFDRational(aspect[1]), 1
    Image.fromarray(PIXELS).save(buffer, format_, **({"tiffinfo": info} if format_ == "TIFF" else {}))
    data = buffer.getvalue()
    if format_ == "PNG":
        content = b"pHYs" + struct.pack(">IIB", *aspect, 0)
        return data[:33] + struct.pack(">I", 9) + content + struct.pack(">I", zlib.crc32(content)) + data[33:]
    if format_ == "JPEG":
        at = data.index(b"JFIF\0") + 7
        return data[:at] + struct.pack(">BHH", 0, *aspect) + data[at + 5 :]
    return data


@pytest.mark.parametrize("source", ["PNG", "JPEG", "TIFF"])
@pytest.mark.parametrize("result", ["PNG", "JPEG", "TIFF", "WEBP"])
def test_pixels_that_are_not_square_stay_so(source, result):
    photo = decode_photo(with_aspect(source, (2, 1)), "photo")
    assert (photo.metadata.dpi, photo.metadata.aspect) == (None, (2, 1))
    again = encode_photo(photo, result)
    assert decode_photo(again, "again").metadata.aspect == (2, 1)
    info = Image.open(io.BytesIO(again)).info
    assert {"PNG": info.get("aspect"), "JPEG": info.get("jfif_density")}.get(result, (2, 1)) == (2, 1)


def test_square_pixels_have_no_aspect_and_a_bmp_has_no_room_for_it():
    assert decode_photo(with_aspect("PNG", (3, 3)), "photo").metadata.aspect is None
    assert left_behind(decode_photo(with_aspect("PNG", (3, 2)), "photo"), "BMP").endswith("the shape of its pixels")
    assert left_behind(decode_photo(with_aspect("PNG", (3, 2)), "photo"), "JPEG") is None


@given(st.floats(0.001, 1e5), st.floats(0.001, 1e5))
def test_any_aspect_fits_16_bits(across, down):
    fraction = as_fraction((across, down))
    assert all(1 <= value < 2**16 for value in fraction)
    if 1e-4 < across / down < 1e4:
        assert fraction[0] / fraction[1] == pytest.approx(across / down, rel=0.01)


@pytest.mark.parametrize("per_metre", [(0, 0), (1, 1), (2**32 - 1, 2**32 - 1)])
def test_resolution_that_cannot_be(per_metre):
    buffer = io.BytesIO()
    Image.fromarray(PIXELS).save(buffer, "BMP")
    data = bytearray(buffer.getvalue())
    struct.pack_into("<II", data, 38, *per_metre)
    assert decode_photo(bytes(data), "photo").metadata.dpi is None


def test_webp_has_its_resolution_in_exif():
    tags = Image.Exif()
    tags[282], tags[283], tags[296] = 300.0, 150.0, 2
    assert decoded("WEBP", exif=tags.tobytes()).metadata.dpi == pytest.approx((300, 150))


def test_tiff_tags_become_exif_without_those_of_the_file_itself():
    info = ImageFileDirectory_v2()
    info[315] = "An artist"
    info[270] = "A description"
    block = decoded("TIFF", tiffinfo=info, compression="tiff_lzw", dpi=(72, 72)).metadata.exif
    tags = Image.Exif()
    tags.load(block)
    assert dict(tags) == {270: "A description", 315: "An artist"}


def test_exif_that_cannot_be_read_is_dropped():
    assert decoded("JPEG", exif=b"Exif\0\0nonsense").metadata.exif is None


def test_a_plain_photo_has_no_metadata():
    metadata = decoded("PNG").metadata
    assert (metadata.icc, metadata.exif, metadata.xmp, metadata.dpi, metadata.native) == (None,) * 4 + ((),)


def sizes_and_thumbnail(orientation: int | None) -> bytes:
    """EXIF with the size in pixels of the stored picture, and a second directory as thumbnails have."""
    first = [(274, 3, orientation)] * (orientation is not None) + [(34665, 4, 8 + 2 + 12 * (1 + bool(orientation)) + 4)]
    camera = [(40962, 4, 6), (40963, 4, 4)]
    block = b"II*\0\x08\0\0\0"
    for entries, following in ((first, 8 + 2 * 6 + 12 * (len(first) + 2)), (camera, 0), ([(259, 4, 6)], 0)):
        block += struct.pack("<H", len(entries))
        block += b"".join(struct.pack("<HHII", tag, kind, 1, value) for tag, kind, value in entries)
        block += struct.pack("<I", following)
    return block


def described(photo: Photo) -> tuple[tuple[int, int], bool]:
    """The size that EXIF says, and whether it has a second directory, as Pillow reads it."""
    tags = Image.Exif()
    tags.load(photo.metadata.exif)
    camera = tags.get_ifd(0x8769)
    return (camera[40962], camera[40963]), 259 in tags.get_ifd(ExifTags.IFD.IFD1)


@pytest.mark.parametrize("format_", ["JPEG", "PNG", "WEBP"])
def test_exif_describes_the_photo_as_it_is_after_the_turn(format_):
    for orientation in range(1, 9):
        photo = decoded(format_, exif=b"Exif\0\0" + sizes_and_thumbnail(orientation))
        assert described(photo) == (photo.size, False)


def test_exif_of_a_tiff_and_of_a_photo_that_xmp_turns():
    info = ImageFileDirectory_v2()
    info[274], info[34665] = 6, {40962: 6, 40963: 4}
    photo = decoded("TIFF", tiffinfo=info)
    assert described(photo)[0] == photo.size == (4, 6)
    photo = decoded("JPEG", exif=b"Exif\0\0" + sizes_and_thumbnail(None), xmp=xmp(8))
    assert described(photo) == (photo.size, False) and photo.size == (4, 6)


@pytest.mark.parametrize("orientation", [1, 6])
def test_exif_of_a_photo_that_its_decoder_turned(orientation):
    metadata = upright_metadata(sizes_and_thumbnail(orientation), None, None)
    expected = ((4, 6), False) if orientation == 6 else ((6, 4), False)
    assert described(Photo(PIXELS, metadata=metadata)) == expected
    told = upright_metadata(sizes_and_thumbnail(None), None, None, 6)
    assert described(Photo(PIXELS, metadata=told)) == ((4, 6), False)


def test_resolution_in_exif_turns_with_the_photo():
    tags = Image.Exif()
    tags[274], tags[282], tags[283], tags[296] = 6, 300.0, 150.0, 2
    photo = decoded("WEBP", exif=tags.tobytes())
    assert photo.metadata.dpi == decode_photo(encode_photo(photo, "WEBP"), "again").metadata.dpi == (150, 300)
