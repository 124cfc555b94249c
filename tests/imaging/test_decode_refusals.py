"""What is no photo, or not the whole of one, ends in one line; so does whatever a path may lead to."""

import os
import struct
import sys

import cv2
import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from imaging.decode_samples import (
    COLOUR,
    RNG,
    SMOOTH,
    assert_pixels,
    decode,
    exif,
    png_16,
    saved,
    sixteen,
    tiff,
)
from PIL import Image

from lorair_cli.errors import ImageError
from lorair_cli.imaging.decode import decode_photo, read_photo

# Shared machines stall: time says nothing about these tests.
PATIENT = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])

# Refusals -------------------------------------------------------------------------------------------------------


def frames(format_: str) -> bytes:
    first, *others = (Image.fromarray(np.full((8, 8, 3), value, np.uint8)) for value in (0, 100, 200))
    return saved(first, format_, save_all=True, append_images=others)


@pytest.mark.parametrize(
    ("format_", "reason"),
    [("PNG", "3 frames"), ("WEBP", "3 frames"), ("TIFF", "3 pages"), ("GIF", "this is a GIF")],
)
def test_animations_and_pages_are_refused(format_, reason):
    with pytest.raises(ImageError, match=reason):
        decode(frames(format_))


@pytest.mark.parametrize(
    ("format_", "kind"), [("JPEG2000", "a JPEG 2000"), ("PPM", "a Netpbm picture"), ("GIF", "a GIF")]
)
def test_formats_that_are_not_read_are_called_by_their_names(format_, kind):
    with pytest.raises(ImageError, match=f"this is {kind}, not a photo that can be read"):
        decode(saved(COLOUR, format_))


@pytest.mark.parametrize("options", [{"subfiletype": 1}, {"extratags": [(50706, 1, 4, (1, 4, 0, 0), True)]}])
def test_camera_raw_is_refused_instead_of_its_thumbnail(options):
    with pytest.raises(ImageError, match="raw"):
        decode(tiff(COLOUR, photometric="rgb", **options))


@pytest.mark.parametrize("format_", ["PNG", "JPEG", "WEBP", "TIFF", "BMP"])
@pytest.mark.parametrize("part", [0.02, 0.3, 0.6, 0.9])
def test_truncated_files(format_, part):
    data = saved(RNG.integers(0, 256, (40, 40, 3), np.uint8), format_)
    with pytest.raises(ImageError) as caught:
        decode(data[: int(len(data) * part)])
    assert "\n" not in str(caught.value) and "photo.bin" in str(caught.value)


@pytest.mark.parametrize("part", [0.3, 0.6, 0.9])
def test_truncated_16_bits(part, capfd):
    for data in (png_16(sixteen(3), 2), tiff(sixteen(3), photometric="rgb")):
        with pytest.raises(ImageError, match=r"photo\.bin"):
            decode(data[: int(len(data) * part)])
    assert capfd.readouterr().err == ""


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "empty"),
        (b"<!DOCTYPE html><html></html>", "web page"),
        (b"<svg xmlns='http://www.w3.org/2000/svg'/>", "SVG"),
        (b"%PDF-1.7", "PDF"),
        (b"\x76\x2f\x31\x01\x02\0\0\0", "OpenEXR"),
        (b"#?RADIANCE\nFORMAT=32-bit_rle_rgbe\n", "Radiance"),
        (b"gimp xcf v011\0", "GIMP"),
        (b"P1 is the way to the cellar", "not an image"),
        (b"\0\0\0\x18ftypheic", "HEIC"),
        (b"\0\0\0\x18ftypavif", "AVIF"),
        (b"hello, world", "not an image"),
        (b"\x89PNG\r\n\x1a\n", "damaged"),
        (b"\xff\xd8\xff", "damaged"),
        (b"II*\0\x08\0\0\0", "damaged"),
        (b"BM", "damaged"),
        (b"RIFF\0\0\0\0WEBP", "damaged"),
    ],
)
def test_what_is_no_photo(data, reason):
    with pytest.raises(ImageError, match=reason) as caught:
        decode(data)
    assert "\n" not in str(caught.value) and "photo.bin" in str(caught.value)


def bomb(format_: str) -> bytes:
    """A small file that claims 60000 x 60000 pixels."""
    side = 60000
    if format_ == "PNG":
        return png_16(np.zeros((1, 1, 3), np.uint16), 2, size=(side, side))
    if format_ == "JPEG":
        data = bytearray(saved(SMOOTH, "JPEG"))
        struct.pack_into(">HH", data, data.index(b"\xff\xc0") + 5, side, side)
        return bytes(data)
    if format_ == "BMP":
        data = bytearray(saved(COLOUR, "BMP"))
        struct.pack_into("<II", data, 18, side, side)
        return bytes(data)
    data = bytearray(tiff(COLOUR, photometric="rgb", byteorder="<"))
    for tag in (256, 257):  # width and height, stored as one LONG each
        entry = data.index(struct.pack("<HHI", tag, 4, 1))
        struct.pack_into("<I", data, entry + 8, side)
    return bytes(data)


@pytest.mark.parametrize("format_", ["PNG", "JPEG", "BMP", "TIFF"])
def test_decompression_bombs_are_refused_before_decoding(format_):
    with pytest.raises(ImageError, match=r"3600\.0 megapixels"):
        decode(bomb(format_))


@pytest.mark.parametrize("format_", ["PNG", "JPEG", "WEBP", "TIFF", "BMP"])
def test_our_limit_holds_not_pillows_global_one(format_, monkeypatch):
    data = saved(SMOOTH, format_)
    if format_ != "WEBP":
        monkeypatch.setattr(Image, "MAX_IMAGE_PIXELS", 10)
    assert decode_photo(data, "x", max_pixels=24 * 40).size == (40, 24)
    with pytest.raises(ImageError, match="megapixels"):
        decode_photo(data, "x", max_pixels=24 * 40 - 1)


@pytest.mark.parametrize("depth", [8, 16])
def test_png_pixels_that_are_not_what_their_checksum_says(depth):
    """Stored without compression, so that no decoder would notice."""
    pixels = COLOUR if depth == 8 else COLOUR.astype(np.uint16)
    data = bytearray(cv2.imencode(".png", pixels, [cv2.IMWRITE_PNG_COMPRESSION, 0])[1].tobytes())
    assert decode(bytes(data)).size == (9, 6)
    data[data.index(b"IDAT") + 40] ^= 1
    with pytest.raises(ImageError, match=r"damaged or unusual PNG file: the checksum of its pixels is wrong"):
        decode(bytes(data))


def test_a_memory_error_is_one_line(monkeypatch):
    def fail(*args, **kwargs):
        raise MemoryError

    data = saved(COLOUR, "PNG")
    monkeypatch.setattr(np, "asarray", fail)
    with pytest.raises(ImageError, match="not enough memory"):
        decode(data)


@pytest.mark.parametrize("suffix", [".png", ".tiff"])
def test_16_bits_that_two_decoders_read_differently_are_refused(suffix, monkeypatch):
    pixels = sixteen(3)
    data = cv2.imencode(suffix, pixels)[1].tobytes()
    monkeypatch.setattr(cv2, "imdecode", lambda *args: np.roll(pixels, 1, axis=1))
    with pytest.raises(ImageError, match="disagree"):
        decode(data)


def healthy_files() -> list[bytes]:
    files = [saved(SMOOTH, format_) for format_ in ("PNG", "JPEG", "WEBP", "TIFF", "BMP")]
    files += [png_16(sixteen(4), 6), tiff(sixteen(3), photometric="rgb"), saved(COLOUR, "TIFF", compression="tiff_lzw")]
    files += [saved(Image.new("CMYK", (8, 8)), "JPEG"), saved(Image.fromarray(COLOUR).quantize(9), "PNG", exif=exif(6))]
    return files


HEALTHY = healthy_files()


@settings(PATIENT, max_examples=400)
@given(st.sampled_from(HEALTHY), st.data())
def test_mutated_files_are_photos_or_one_line(file, data):
    mutated = bytearray(file)
    for _ in range(data.draw(st.integers(1, 4))):
        at = data.draw(st.integers(0, min(len(mutated), 400) - 1))
        mutated[at : at + data.draw(st.integers(0, 4))] = data.draw(st.binary(max_size=4))
        if not mutated:
            break
    try:
        photo = decode_photo(bytes(mutated), "photo.bin", max_pixels=1_000_000)
    except ImageError as error:
        assert "\n" not in str(error) and "photo.bin" in str(error)
    else:
        assert photo.rgb.dtype in (np.uint8, np.uint16)


# Files ----------------------------------------------------------------------------------------------------------


def test_content_decides_not_the_suffix(tmp_path):
    path = tmp_path / "lies.jpg"
    path.write_bytes(saved(COLOUR, "PNG"))
    photo = read_photo(path)
    assert photo.format == "PNG"
    assert_pixels(photo, COLOUR)


def test_missing_file_and_folder(tmp_path):
    with pytest.raises(ImageError, match=r"missing\.png: No such file"):
        read_photo(tmp_path / "missing.png")
    folder = tmp_path / "folder.png"
    folder.mkdir()
    with pytest.raises(ImageError, match=r"folder\.png: (is a folder|not a regular file)"):
        read_photo(folder)


@pytest.mark.skipif(sys.platform == "win32", reason="no such pipes")
def test_a_pipe_does_not_hang(tmp_path):
    pipe = tmp_path / "pipe.png"
    os.mkfifo(pipe)
    with pytest.raises(ImageError, match="not a regular file"):
        read_photo(pipe)


@pytest.mark.skipif(sys.platform == "win32", reason="names that Windows refuses")
def test_odd_names(tmp_path):
    for name in ("new\nline.png", "-o.png", "ünïcödé 日本.png", "x" * 251 + ".png"):
        path = tmp_path / name
        path.write_bytes(saved(COLOUR, "PNG"))
        assert_pixels(read_photo(path), COLOUR)
        path.write_bytes(b"no")
        with pytest.raises(ImageError) as caught:
            read_photo(path)
        assert "\n" not in str(caught.value)


def test_symlink_loop(tmp_path):
    loop = tmp_path / "loop.png"
    loop.symlink_to(loop)
    with pytest.raises(ImageError, match=r"loop\.png"):
        read_photo(loop)
