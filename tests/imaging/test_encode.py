import io
import struct
import zlib

import numpy as np
import pytest
import tifffile
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from imaging.decode_samples import grey_profile
from imaging.encode_samples import ICC, METADATA, XMP, exif_block, photo
from PIL import Image, ImageCms

from lorair_cli.errors import ImageError
from lorair_cli.imaging import avif, ifd, jpeg
from lorair_cli.imaging.decode import decode_photo
from lorair_cli.imaging.encode import WriteOptions, encode_photo, encoder_missing
from lorair_cli.imaging.photo import JpegStyle, Metadata, Photo

# Shared machines stall: time says nothing about these tests.
PATIENT = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])
LOSSLESS = WriteOptions(lossless=True)


def again(source: Photo, format_: str, options: WriteOptions = LOSSLESS) -> Photo:
    return decode_photo(encode_photo(source, format_, options), "again")


def smooth() -> np.ndarray:
    pixels = np.full((32, 48, 3), 90, np.uint8)
    pixels[..., 0] = np.linspace(0, 255, 48)
    return pixels


@pytest.mark.parametrize("bits", [8, 16])
@pytest.mark.parametrize("alpha", [False, True])
@pytest.mark.parametrize("grey", [False, True])
@pytest.mark.parametrize("format_", ["PNG", "TIFF"])
def test_everything_survives(format_, grey, alpha, bits):
    source = photo(bits=bits, alpha=alpha, grey=grey)
    result = again(source, format_)
    assert result.rgb.dtype == source.rgb.dtype
    assert np.array_equal(result.rgb, source.rgb)
    assert (result.alpha is None) if not alpha else np.array_equal(result.alpha, source.alpha)
    # The one exception: 16-bit grey with alpha in a TIFF, which hardly any program reads, becomes RGB with alpha.
    assert result.grey == (grey and not (format_ == "TIFF" and alpha and bits == 16))
    assert result.metadata.icc == ICC
    assert result.metadata.xmp == XMP
    assert result.metadata.dpi == pytest.approx((300, 150), abs=0.02)
    assert_same_tags(result.metadata.exif)


def assert_same_tags(block: bytes) -> None:
    tags = Image.Exif()
    tags.load(block)
    assert tags[0x010F] == "A camera maker"
    assert tags.get_ifd(0x8769)[0x829A] == pytest.approx(1 / 250)
    assert tags.get_ifd(0x8769)[0x927C] == b"maker's own bytes"
    assert tags.get_ifd(0x8825)[1] == "N"


@pytest.mark.parametrize("format_", ["PNG", "JPEG", "WEBP"])
def test_exif_is_kept_byte_for_byte(format_):
    metadata = Metadata(exif=exif_block())
    assert again(photo(metadata=metadata), format_).metadata.exif == exif_block()


@pytest.mark.parametrize("format_", ["TIFF", "WEBP", "PNG", "JPEG", *(["AVIF"] if avif.PLUGIN else [])])
@pytest.mark.parametrize("far", [False, True])
def test_the_makers_note_stays_true(format_, far):
    """What a camera wrote in its own way may say where in the block something stands."""
    main = {ifd.ORIENTATION: ifd.Field(ifd.SHORT, struct.pack("<H", 1))}
    camera = {
        36867: ifd.Field(ifd.ASCII, bytes(3000 if far else 30)),
        ifd.MAKER_NOTE: ifd.Field(7, b"maker's own " * 9),
    }
    block = ifd.exif_block(ifd.Tags("<", main, camera, {}, {}))
    at = ifd.read_tags(block).exif[ifd.MAKER_NOTE].at
    source = photo(40, 60, metadata=Metadata(exif=block, dpi=(300, 150)))
    data = encode_photo(source, format_)
    written = data if format_ == "TIFF" else decode_photo(data, "again").metadata.exif
    assert written[at : at + 108] == b"maker's own " * 9
    assert ifd.read_tags(written).exif[ifd.MAKER_NOTE].at == at
    if format_ == "TIFF":
        assert np.array_equal(np.asarray(Image.open(io.BytesIO(data))), source.rgb)
        other = encode_photo(decode_photo(data, "again"), "WEBP")
        assert ifd.read_tags(decode_photo(other, "x").metadata.exif).exif[ifd.MAKER_NOTE].at == at


def test_tiff_tags_stay_the_same_from_the_second_file_on():
    first = again(photo(), "TIFF")
    assert again(first, "TIFF").metadata.exif == first.metadata.exif


@pytest.mark.parametrize("alpha", [False, True])
def test_lossless_webp(alpha):
    source = photo(alpha=alpha)
    result = again(source, "WEBP")
    assert np.array_equal(result.rgb, source.rgb)
    assert (result.alpha is None) if not alpha else np.array_equal(result.alpha, source.alpha)
    assert (result.metadata.icc, result.metadata.xmp) == (ICC, XMP)
    assert result.metadata.dpi == pytest.approx((300, 150))
    assert_same_tags(result.metadata.exif)


def test_colours_under_full_transparency_stay():
    source = photo(alpha=True, metadata=Metadata())
    source.alpha[:] = 0
    for format_ in ("PNG", "TIFF", "WEBP"):
        assert np.array_equal(again(source, format_).rgb, source.rgb)


def test_webp_follows_a_webp():
    lossless = again(photo(), "WEBP")
    assert again(lossless, "WEBP", WriteOptions()).metadata.lossless
    assert not again(photo(), "WEBP", WriteOptions()).metadata.lossless
    assert not again(lossless, "WEBP", WriteOptions(lossless=False)).metadata.lossless


@pytest.mark.parametrize("grey", [False, True])
def test_jpeg(grey):
    pixels = np.repeat(smooth()[..., :1], 3, axis=2) if grey else smooth()
    result = again(Photo(pixels, None, grey, metadata=METADATA), "JPEG")
    assert np.abs(result.rgb.astype(int) - pixels).max() <= 6
    assert result.grey == grey
    assert (result.metadata.icc, result.metadata.xmp, result.metadata.dpi) == (ICC, XMP, (300, 150))
    assert_same_tags(result.metadata.exif)
    assert result.metadata.jpeg.subsampling == 0


def jpeg_source(**options) -> Photo:
    buffer = io.BytesIO()
    Image.fromarray(smooth()).save(buffer, "JPEG", **options)
    return decode_photo(buffer.getvalue(), "source")


@pytest.mark.parametrize(("name", "number"), [("4:4:4", 0), ("4:2:2", 1), ("4:2:0", 2)])
@pytest.mark.parametrize("progressive", [False, True])
def test_jpeg_follows_a_jpeg(name, number, progressive):
    source = jpeg_source(quality=97, subsampling=name, progressive=progressive)
    result = again(source, "JPEG", WriteOptions())
    assert result.metadata.jpeg == source.metadata.jpeg
    assert result.metadata.jpeg.subsampling == number


def test_a_coarse_jpeg_is_not_followed_into_its_blocks():
    source = jpeg_source(quality=10)
    expected = jpeg_source(quality=jpeg.COARSEST_QUALITY)
    assert again(source, "JPEG", WriteOptions()).metadata.jpeg.tables == expected.metadata.jpeg.tables


def test_the_users_quality_and_subsampling_win():
    result = again(jpeg_source(quality=97), "JPEG", WriteOptions(quality=40, subsampling="4:2:2"))
    assert result.metadata.jpeg == JpegStyle(jpeg_source(quality=40).metadata.jpeg.tables, 1)


def test_from_elsewhere_jpeg_has_quality_95_and_full_colour():
    assert again(photo(), "JPEG").metadata.jpeg == jpeg_source(quality=95, subsampling=0).metadata.jpeg


def test_jpeg_keeps_comment_iptc_and_long_xmp():
    buffer = io.BytesIO()
    extension = b"http://ns.adobe.com/xmp/extension/\0" + b"x" * 100
    iptc = b"Photoshop 3.0\x008BIM\x04\x04\0\0\0\0\0\0"
    extra = b"".join(
        marker + struct.pack(">H", len(content) + 2) + content
        for marker, content in ((b"\xff\xe1", extension), (b"\xff\xed", iptc))
    )
    Image.fromarray(smooth()).save(buffer, "JPEG", comment=b"a comment", extra=extra)
    source = decode_photo(buffer.getvalue(), "source")
    assert {content for _, content in source.metadata.native} == {b"a comment", iptc, extension}
    assert set(again(source, "JPEG").metadata.native) == set(source.metadata.native)
    assert again(source, "PNG").metadata.native == ()


def test_png_keeps_texts_and_colour_chunks():
    def chunk(kind: bytes, content: bytes) -> bytes:
        return struct.pack(">I", len(content)) + kind + content + struct.pack(">I", zlib.crc32(kind + content))

    pieces = (
        (b"gAMA", struct.pack(">I", 45455)),
        (b"tEXt", b"Author\0somebody"),
        (b"zTXt", b"Long\0\0" + zlib.compress(b"a")),
    )
    for bits in (8, 16):
        data = encode_photo(photo(bits=bits, metadata=Metadata()), "PNG")
        source = decode_photo(data[:33] + b"".join(chunk(*piece) for piece in pieces) + data[33:], "source")
        assert source.metadata.native == pieces
        assert again(source, "PNG").metadata.native == pieces
        assert again(source.without_metadata(), "PNG").metadata.native == pieces[:1]


@pytest.mark.parametrize("format_", ["PNG", "JPEG", "WEBP", "TIFF"])
def test_stripped_photos_hold_nothing_personal(format_):
    data = encode_photo(photo().without_metadata(), format_, LOSSLESS)
    assert b"camera maker" not in data and b"caption" not in data
    metadata = decode_photo(data, "stripped").metadata
    assert (metadata.icc, metadata.exif, metadata.xmp, metadata.dpi) == (ICC, None, None, None)


@pytest.mark.parametrize("format_", ["WEBP", "BMP"])
def test_16_bits_become_the_nearest_8(format_):
    source = photo(bits=16, metadata=Metadata())
    expected = np.floor(source.rgb / 257 + 0.5).astype(np.uint8)
    assert np.array_equal(again(source, format_).rgb, expected)


def test_grey_is_written_grey_even_if_the_network_gave_it_a_tint():
    source = photo(grey=True)
    tinted = source.with_rgb(np.clip(source.rgb + np.array([2, 0, -2]), 0, 255).astype(np.uint8))
    result = again(tinted, "PNG")
    assert result.grey
    assert np.abs(result.rgb.astype(int) - source.rgb).max() <= 2


def test_bmp():
    source = photo(metadata=Metadata(dpi=(300, 300)))
    result = again(source, "BMP")
    assert np.array_equal(result.rgb, source.rgb)
    assert result.metadata.dpi == pytest.approx((300, 300), abs=0.02)
    with pytest.raises(ImageError, match="no room"):
        encode_photo(photo(), "BMP")


@pytest.mark.parametrize("format_", ["JPEG", "BMP"])
def test_transparency_is_never_dropped(format_):
    with pytest.raises(ImageError, match="transparency") as caught:
        encode_photo(photo(alpha=True, metadata=Metadata()), format_)
    assert "PNG" in caught.value.hint
    opaque = Photo(smooth(), np.full((32, 48), 255, np.uint8))
    assert again(opaque, format_).alpha is None


@pytest.mark.parametrize(("format_", "side"), [("WEBP", 16384), ("JPEG", 65501)])
def test_formats_with_a_limit_say_so(format_, side):
    with pytest.raises(ImageError, match="pixels a side"):
        encode_photo(Photo(np.zeros((1, side, 3), np.uint8)), format_)


@pytest.mark.parametrize("metadata", [Metadata(exif=b"II*\0\x08\0\0\0" + bytes(70000)), Metadata(xmp=b"<x>" * 30000)])
def test_metadata_too_long_for_jpeg_is_an_error(metadata):
    with pytest.raises(ImageError, match="JPEG cannot hold"):
        encode_photo(photo(metadata=metadata), "JPEG")


@pytest.mark.parametrize("shape", [(1, 1), (3, 5000), (5000, 3)])
@pytest.mark.parametrize("format_", ["PNG", "TIFF", "WEBP", "JPEG"])
@pytest.mark.parametrize("bits", [8, 16])
def test_extreme_shapes(format_, shape, bits):
    result = again(photo(*shape, bits=bits, metadata=Metadata()), format_)
    assert result.size == (shape[1], shape[0])


@settings(PATIENT, max_examples=60)
@given(st.integers(1, 200), st.integers(1, 40), st.booleans(), st.booleans(), st.integers(0, 99), st.booleans())
def test_16_bit_files_are_exact_for_every_size(height, width, alpha, grey, seed, flat):
    rng = np.random.default_rng(seed)
    span = 3 if flat else 65536
    rgb = rng.integers(0, span, (height, width, 3), np.uint16)
    if grey:
        rgb[:] = rgb[..., :1]
    source = Photo(rgb, rng.integers(0, span, (height, width), np.uint16) if alpha else None, grey)
    for format_ in ("PNG", "TIFF"):
        result = again(source, format_)
        assert np.array_equal(result.rgb, rgb)
        assert source.alpha is None or np.array_equal(result.alpha, source.alpha)


@pytest.mark.parametrize("order", ["<", ">"])
def test_other_programs_read_our_tiff(order):
    block = Image.Exif()
    block.endian = order
    block[0x010F] = "A camera maker"
    exif = block.tobytes().removeprefix(b"Exif\0\0")
    assert exif.startswith(b"II" if order == "<" else b"MM")
    source = photo(600, 700, bits=16, alpha=True, metadata=Metadata(ICC, exif, XMP, (300, 300)))
    with tifffile.TiffFile(io.BytesIO(encode_photo(source, "TIFF"))) as file:
        assert len(file.pages) == 1
        page = file.pages[0]
        read = page.asarray()
        assert page.tags["Make"].value == "A camera maker"
        assert bytes(page.tags[34675].value) == ICC and bytes(page.tags[700].value) == XMP
        assert page.tags["XResolution"].value == (3000000, 10000)
    assert np.array_equal(read[..., :3], source.rgb) and np.array_equal(read[..., 3], source.alpha)
    eight = Image.open(io.BytesIO(encode_photo(photo(bits=8), "TIFF")))
    assert eight.info["icc_profile"] == ICC
    assert eight.info["dpi"] == (300, 150)


def test_chunks_of_our_png_are_sound():
    data, seen = encode_photo(photo(bits=16), "PNG"), []
    at = 8
    while at < len(data):
        size = struct.unpack_from(">I", data, at)[0]
        body = data[at + 4 : at + 8 + size]
        assert struct.unpack_from(">I", data, at + 8 + size)[0] == zlib.crc32(body)
        seen.append(body[:4])
        at += 12 + size
    assert seen == [b"IHDR", b"iCCP", b"pHYs", b"eXIf", b"iTXt", b"IDAT", b"IEND"]


def test_a_resolution_that_cannot_be_written_is_an_error():
    with pytest.raises(ImageError, match="PNG cannot hold"):
        encode_photo(photo(metadata=Metadata(dpi=(1e12, 1e12))), "PNG")


@pytest.mark.parametrize("format_", ["PNG", "JPEG", "WEBP", "TIFF"])
def test_the_same_photo_gives_the_same_bytes(format_):
    source = photo(40, 40)
    assert encode_photo(source, format_) == encode_photo(source, format_)


@pytest.mark.parametrize(
    ("format_", "alpha", "bits"),
    [("WEBP", False, 8), ("WEBP", True, 8), ("TIFF", True, 16), ("AVIF", True, 8), ("HEIC", True, 8)],
)
def test_greys_that_are_written_as_colours_get_a_profile_of_colours(format_, alpha, bits):
    if encoder_missing(format_):
        pytest.skip(f"no {format_} here")
    grey = photo(16, 16, bits=bits, alpha=alpha, grey=True, metadata=Metadata(icc=grey_profile(1.8)))
    written = decode_photo(encode_photo(grey, format_), "a")
    profile = ImageCms.ImageCmsProfile(io.BytesIO(written.metadata.icc))
    assert profile.profile.xcolor_space.strip() == "RGB"
    assert decode_photo(encode_photo(grey, "PNG"), "a").metadata.icc == grey_profile(1.8)  # which PNG keeps grey
