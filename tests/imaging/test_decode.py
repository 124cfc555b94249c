"""What is in a photo comes out of it."""

import io
import struct
import zlib

import cv2
import numpy as np
import pytest
import tifffile
from imaging.decode_samples import (
    COLOUR,
    RNG,
    SMOOTH,
    assert_pixels,
    chunk,
    decode,
    exif,
    png_16,
    profile,
    saved,
    sixteen,
    tiff,
)
from PIL import Image, ImageCms, ImageOps

from lorair_cli.errors import ImageError
from lorair_cli.imaging.profiles import srgb_profile

# Formats and modes ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("format_", ["PNG", "TIFF", "BMP", "WEBP"])
def test_colour_without_loss(format_):
    photo = decode(saved(COLOUR, format_, **({"lossless": True} if format_ == "WEBP" else {})))
    assert_pixels(photo, COLOUR)
    assert (photo.format, photo.size, photo.bits, photo.notes) == (format_, (9, 6), 8, ())


@pytest.mark.parametrize("options", [{"quality": 95}, {"quality": 90, "progressive": True}])
def test_jpeg_as_pillow_decodes_it(options):
    data = saved(SMOOTH, "JPEG", **options)
    photo = decode(data)
    assert_pixels(photo, np.asarray(Image.open(io.BytesIO(data))))


def test_webp_says_whether_it_was_lossless():
    assert decode(saved(SMOOTH, "WEBP", lossless=True)).metadata.lossless
    assert decode(saved(SMOOTH, "WEBP", lossless=True, exif=Image.Exif(), xmp=b"<x/>")).metadata.lossless
    assert not decode(saved(SMOOTH, "WEBP", quality=80)).metadata.lossless
    assert not decode(saved(SMOOTH, "PNG")).metadata.lossless


@pytest.mark.parametrize("format_", ["PNG", "TIFF", "WEBP"])
def test_alpha_is_kept(format_):
    rgba = RNG.integers(0, 256, (4, 5, 4), np.uint8)
    options = {"lossless": True, "exact": True} if format_ == "WEBP" else {}
    assert_pixels(decode(saved(rgba, format_, **options)), rgba[..., :3], rgba[..., 3])


@pytest.mark.parametrize("format_", ["PNG", "TIFF", "BMP"])
def test_grey_stays_grey(format_):
    assert_pixels(decode(saved(COLOUR[..., 0], format_)), COLOUR[..., 0], grey=True)


def test_grey_jpeg():
    assert decode(saved(SMOOTH[..., 0], "JPEG")).grey


@pytest.mark.parametrize("format_", ["PNG", "TIFF", "BMP"])
def test_one_bit(format_):
    bits = COLOUR[..., 0] > 128
    photo = decode(saved(Image.fromarray(bits), format_))
    assert_pixels(photo, bits.astype(np.uint8) * 255, grey=True)


@pytest.mark.parametrize("format_", ["PNG", "TIFF"])
def test_grey_with_alpha(format_):
    la = RNG.integers(0, 256, (4, 5, 2), np.uint8)
    assert_pixels(decode(saved(Image.fromarray(la, "LA"), format_)), la[..., 0], la[..., 1], grey=True)


@pytest.mark.parametrize("format_", ["PNG", "TIFF", "BMP"])
def test_palette(format_):
    image = Image.fromarray(COLOUR[:2, :5]).quantize(10)
    assert_pixels(decode(saved(image, format_)), np.asarray(image.convert("RGB")))


def test_palette_of_greys_is_grey_unless_a_profile_says_otherwise():
    image = Image.fromarray(np.arange(6, dtype=np.uint8).reshape(2, 3), "P")
    image.putpalette([value for grey in (0, 9, 80, 81, 200, 255) for value in (grey, grey, grey)])
    greys = np.array([[0, 9, 80], [81, 200, 255]], np.uint8)
    assert_pixels(decode(saved(image, "PNG")), greys, grey=True)
    assert_pixels(decode(saved(image, "PNG", icc_profile=profile())), greys, grey=False)


@pytest.mark.parametrize("transparency", [1, bytes([0, 128, 255])])
def test_palette_with_transparency(transparency):
    image = Image.fromarray(np.array([[0, 1, 2]], np.uint8), "P")
    image.putpalette([255, 0, 0, 0, 255, 0, 0, 0, 255])
    alpha = np.array([[255, 0, 255] if transparency == 1 else [0, 128, 255]], np.uint8)
    expected = np.array([[[255, 0, 0], [0, 255, 0], [0, 0, 255]]], np.uint8)
    assert_pixels(decode(saved(image, "PNG", transparency=transparency)), expected, alpha)


def test_a_transparent_colour_or_grey_becomes_alpha():
    rgb = np.array([[[1, 2, 3], [4, 5, 6]]], np.uint8)
    alpha = np.array([[0, 255]], np.uint8)
    assert_pixels(decode(saved(rgb, "PNG", transparency=(1, 2, 3))), rgb, alpha)
    assert_pixels(decode(saved(rgb[..., 0], "PNG", transparency=1)), rgb[..., 0], alpha, grey=True)


@pytest.mark.parametrize("depth", [1, 2, 4])
def test_a_transparent_grey_of_few_bits(depth):
    """By hand: Pillow writes no grey of 2 or 4 bits."""
    values = np.arange(8, dtype=np.uint8)[None] % 2**depth
    bits = np.unpackbits(values[..., None], axis=2)[..., -depth:]
    row = b"\0" + np.packbits(bits.reshape(1, -1), axis=1).tobytes()
    chunks = (
        (b"IHDR", struct.pack(">IIBBBBB", 8, 1, depth, 0, 0, 0, 0)),
        (b"tRNS", struct.pack(">H", 1)),
        (b"IDAT", zlib.compress(row)),
        (b"IEND", b""),
    )
    data = b"\x89PNG\r\n\x1a\n" + b"".join(
        struct.pack(">I", len(body)) + name + body + struct.pack(">I", zlib.crc32(name + body)) for name, body in chunks
    )
    alpha = np.where(values == 1, 0, 255).astype(np.uint8)
    assert_pixels(decode(data), values * (255 // (2**depth - 1)), alpha, grey=True)


# 16 bits --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("colour_type", "channels"), [(0, 1), (4, 2), (2, 3), (6, 4)])
def test_16_bit_png(colour_type, channels):
    pixels = sixteen(channels)
    colour = pixels[..., 0] if channels < 3 else pixels[..., :3]
    alpha = pixels[..., -1] if channels in (2, 4) else None
    assert_pixels(decode(png_16(pixels, colour_type)), colour, alpha, grey=channels < 3)


@pytest.mark.parametrize(("colour_type", "channels"), [(0, 1), (2, 3)])
def test_16_bit_png_with_a_transparent_colour(colour_type, channels):
    pixels = sixteen(channels)
    extra = chunk(b"tRNS", pixels[2, 3].astype(">u2").tobytes())
    alpha = np.full((5, 7), 65535, np.uint16)
    alpha[2, 3] = 0
    photo = decode(png_16(pixels, colour_type, extra))
    assert_pixels(photo, pixels[..., 0] if channels == 1 else pixels, alpha, grey=channels == 1)


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"byteorder": ">"},
        {"bigtiff": True},
        {"compression": "deflate", "predictor": 2},
        {"tile": (16, 16)},
        {"rowsperstrip": 2},
    ],
)
@pytest.mark.parametrize("channels", [1, 3, 4])
def test_16_bit_tiff(channels, options):
    pixels = RNG.integers(0, 65536, (20, 18, channels), np.uint16)
    data = tiff(
        pixels[..., 0] if channels == 1 else pixels,
        photometric="minisblack" if channels == 1 else "rgb",
        extrasamples=["unassalpha"] if channels == 4 else None,
        **options,
    )
    colour = pixels[..., 0] if channels == 1 else pixels[..., :3]
    assert_pixels(decode(data), colour, pixels[..., 3] if channels == 4 else None, grey=channels == 1)


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_grey_tiff_with_white_as_zero(dtype):
    pixels = RNG.integers(0, np.iinfo(dtype).max, (5, 7), dtype)
    assert_pixels(decode(tiff(pixels, photometric="miniswhite")), np.iinfo(dtype).max - pixels, grey=True)


def test_16_bit_tiff_with_premultiplied_alpha():
    colour = sixteen(3)
    alpha = RNG.integers(20000, 65536, (5, 7), np.uint16)
    stored = np.round(colour * (alpha[..., None] / 65535.0)).astype(np.uint16)
    data = tiff(np.concatenate([stored, alpha[..., None]], 2), photometric="rgb", extrasamples=["assocalpha"])
    photo = decode(data)
    assert np.abs(photo.rgb.astype(int) - colour).max() <= 2  # stored in steps of up to 65535 / 20000
    assert np.array_equal(photo.alpha, alpha)


@pytest.mark.parametrize("dtype", [np.float32, np.int32, np.int16])
def test_other_kinds_of_samples_are_refused(dtype):
    with pytest.raises(ImageError, match=r"not supported|unusual"):
        decode(tiff(np.zeros((4, 4), dtype), photometric="minisblack"))


def test_16_bit_planes_are_refused_instead_of_misread():
    with pytest.raises(ImageError, match="planes"):
        decode(tiff(np.moveaxis(sixteen(3), 2, 0), photometric="rgb", planarconfig="separate"))


def test_16_bit_opencv_files():
    pixels = sixteen(3)
    for suffix in (".png", ".tiff"):
        assert_pixels(decode(cv2.imencode(suffix, pixels[..., ::-1])[1].tobytes()), pixels)


# Orientation ----------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("format_", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_orientation_is_applied_once_and_reset(format_, orientation):
    data = saved(SMOOTH, format_, exif=exif(orientation), **({"lossless": True} if format_ == "WEBP" else {}))
    photo = decode(data)
    expected = np.asarray(ImageOps.exif_transpose(Image.open(io.BytesIO(data))).convert("RGB"))
    assert_pixels(photo, expected)
    tags = Image.Exif()
    tags.load(photo.metadata.exif)
    assert (tags[0x010F], tags.get(0x0112, 1)) == ("Camera", 1)


@pytest.mark.parametrize("orientation", range(1, 9))
@pytest.mark.parametrize("channels", [1, 3])
@pytest.mark.parametrize("kind", ["png", "tiff"])
def test_orientation_of_16_bits(kind, channels, orientation):
    pixels = sixteen(channels)
    if kind == "png":
        block = exif(orientation).tobytes().removeprefix(b"Exif\0\0")
        data = png_16(pixels, 0 if channels == 1 else 2, chunk(b"eXIf", block))
    else:
        extratags = [(274, 3, 1, orientation, True)]
        photometric = "minisblack" if channels == 1 else "rgb"
        data = tiff(pixels[..., 0] if channels == 1 else pixels, photometric=photometric, extratags=extratags)
    # An independent turn: orient an index picture with Pillow, then look the pixels up.
    index = Image.fromarray(np.arange(35, dtype=np.uint8).reshape(5, 7))
    index.getexif()[274] = orientation
    expected = pixels.reshape(35, channels)[np.asarray(ImageOps.exif_transpose(index))]
    assert_pixels(decode(data), expected[..., 0] if channels == 1 else expected, grey=channels == 1)


def test_alpha_turns_with_the_colours():
    rgba = RNG.integers(0, 256, (4, 5, 4), np.uint8)
    photo = decode(saved(rgba, "PNG", exif=exif(6)))
    assert np.array_equal(photo.alpha, np.rot90(rgba[..., 3], -1))


def test_nonsense_orientation_is_upright():
    assert_pixels(decode(saved(COLOUR, "PNG", exif=exif(77))), COLOUR)


# Colour ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("format_", ["JPEG", "PNG", "WEBP", "TIFF"])
def test_profile_passes_through_and_pixels_stay(format_):
    icc = profile()
    plain, tagged = (decode(saved(SMOOTH, format_, **options)) for options in ({}, {"icc_profile": icc}))
    assert tagged.metadata.icc == icc and plain.metadata.icc is None
    assert np.array_equal(plain.rgb, tagged.rgb)


@pytest.mark.parametrize("format_", ["JPEG", "TIFF"])
def test_cmyk_without_profile(format_):
    inks = np.zeros((16, 16, 4), np.uint8)
    inks[:, 8:, 1:3] = 255  # left white, right magenta and yellow
    photo = decode(saved(Image.fromarray(inks, "CMYK"), format_, **({"quality": 100} if format_ == "JPEG" else {})))
    assert photo.rgb[0, 0].tolist() == pytest.approx([255, 255, 255], abs=3)
    assert photo.rgb[0, 15].tolist() == pytest.approx([255, 0, 0], abs=3)
    assert "CMYK" in photo.notes[0]
    assert (photo.metadata.icc, photo.metadata.jpeg) == (None, None)


def test_cmyk_goes_through_its_profile(monkeypatch):
    # lcms cannot make an output profile, so this checks the way there: source profile in, sRGB profile out.
    used = []
    real = ImageCms.buildTransform

    def build(source, target, source_mode, target_mode, *rest):
        used.append((source.tobytes(), source_mode, target_mode))
        return real(ImageCms.createProfile("sRGB"), target, "RGB", "RGB", *rest)

    icc = profile()
    white = np.full((4, 4, 3), 255, np.uint8)
    monkeypatch.setattr(ImageCms, "buildTransform", build)
    monkeypatch.setattr(ImageCms, "applyTransform", lambda image, transform: Image.fromarray(white))
    photo = decode(saved(Image.new("CMYK", (4, 4)), "TIFF", icc_profile=icc))
    assert used == [(icc, "CMYK", "RGB")]
    assert_pixels(photo, white)
    assert "sRGB" in photo.notes[0]
    described = ImageCms.getProfileDescription(ImageCms.ImageCmsProfile(io.BytesIO(photo.metadata.icc)))
    assert "sRGB" in described


def test_cmyk_with_a_profile_that_does_not_fit():
    photo = decode(saved(Image.new("CMYK", (4, 4)), "TIFF", icc_profile=profile()))
    assert (photo.rgb == 255).all()
    assert "without a usable profile" in photo.notes[0]
    assert photo.metadata.icc is None


# Odd files that are photos ---------------------------------------------------------------------------------------


def test_a_tiff_with_a_smaller_copy_is_one_photo():
    buffer = io.BytesIO()
    with tifffile.TiffWriter(buffer) as writer:
        writer.write(COLOUR, photometric="rgb", metadata=None)
        writer.write(COLOUR[::2, ::2], photometric="rgb", metadata=None, subfiletype=1)
    assert_pixels(decode(buffer.getvalue()), COLOUR)


def test_main_picture_of_a_multi_picture_jpeg():
    other = Image.fromarray(SMOOTH[::-1])
    data = saved(SMOOTH, "MPO", save_all=True, append_images=[other], quality=95)
    photo = decode(data)
    assert photo.format == "JPEG"
    assert np.abs(photo.rgb.astype(int) - SMOOTH).mean() < 8
    assert "main picture" in photo.notes[0]


@pytest.mark.parametrize("shape", [(1, 1), (3, 5000), (5000, 3)])
@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_extreme_shapes(shape, dtype):
    pixels = RNG.integers(0, 200, (*shape, 3), dtype)
    for suffix in (".png", ".tiff"):
        assert_pixels(decode(cv2.imencode(suffix, pixels[..., ::-1])[1].tobytes()), pixels)


def with_segment(data, marker, content):
    return data[:2] + marker + struct.pack(">H", len(content) + 2) + content + data[2:]


def test_what_a_jpeg_holds_beside_its_picture_is_told():
    xmp = b'<x:xmpmeta><rdf:Description GCamera:MotionPhoto="1" GCamera:MotionPhotoVersion="1"/></x:xmpmeta>'
    plain = saved(SMOOTH, "JPEG", xmp=xmp)
    assert decode(plain).notes == () and b'MotionPhoto="1"' in decode(plain).metadata.xmp
    assert decode(plain + bytes(64)).notes == ()  # padding
    moving = decode(with_segment(plain, b"\xff\xe1", b"FLIR\0" + bytes(20)) + b"ftypmp42" * 4)
    assert moving.notes == ("left out: FLIR, 32 bytes behind the picture, such as a motion photo's video",)
    assert b'MotionPhoto="0"' in moving.metadata.xmp and b'Version="1"' in moving.metadata.xmp


@pytest.mark.parametrize("progressive", [False, True])
def test_restart_markers_and_several_scans_are_the_picture(progressive):
    noise = np.random.default_rng(1).integers(0, 256, (64, 64, 3), np.uint8)
    _, data = cv2.imencode(
        ".jpg", noise, [cv2.IMWRITE_JPEG_RST_INTERVAL, 2, cv2.IMWRITE_JPEG_PROGRESSIVE, int(progressive)]
    )
    assert decode(data.tobytes()).notes == ()
    assert decode(data.tobytes() + b"more").notes[0].startswith("left out: 4 bytes behind the picture")


@pytest.mark.parametrize("transfer", [16, 18])
@pytest.mark.parametrize("format_", ["PNG", "JPEG", "WEBP"])
def test_hdr_said_by_a_profile_is_refused(format_, transfer):
    profile = srgb_profile()
    place = profile.index(b"cprt", 128)  # the statement of copyright gives way
    (offset,) = struct.unpack_from(">I", profile, place + 4)
    numbers = b"cicp" + bytes(4) + bytes((9, transfer, 0, 1))
    hdr = bytearray(profile)
    hdr[place : place + 4] = b"cicp"
    hdr[offset : offset + 12] = numbers
    with pytest.raises(ImageError, match="an HDR photo"):
        decode(saved(SMOOTH, format_, icc_profile=bytes(hdr)))
    assert decode(saved(SMOOTH, format_, icc_profile=profile)).metadata.icc == profile
