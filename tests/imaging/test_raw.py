"""Camera raw files, on small DNGs written by hand."""

import io
import struct
import sys

import numpy as np
import pytest
import tifffile
from PIL import Image

from lorair_cli.errors import ImageError
from lorair_cli.imaging.decode import decode_photo
from lorair_cli.imaging.profiles import srgb_profile

XMP = b'<x:xmpmeta xmlns:x="adobe:ns:meta/" tiff:Orientation="6"><rdf:RDF/></x:xmpmeta>'
SIDE, WHITE = 64, 4095


def mosaic(pixels):
    """``pixels`` (h, w, 3) in [0, 1] through an RGGB filter, as 12-bit numbers (h, w)."""
    values = np.rint(pixels * WHITE).astype(np.uint16)
    sensor = values[..., 1].copy()
    sensor[::2, ::2], sensor[1::2, 1::2] = values[::2, ::2, 0], values[1::2, 1::2, 2]
    return sensor


def dng(pixels, orientation=1):
    """A DNG (DNG 1.4) of a camera whose colours are sRGB's, with a few of the tags that cameras write."""
    xyz_to_rgb = [32405, -15371, -4985, -9693, 18760, 416, 556, -2040, 10572]  # in ten-thousandths
    tags = [
        (271, 2, None, "Maker", True),
        (272, 2, None, "Model", True),
        (274, 3, 1, orientation, True),
        (700, 1, len(XMP), XMP, True),
        (33421, 3, 2, (2, 2), True),
        (33422, 1, 4, (0, 1, 1, 2), True),
        (50706, 1, 4, (1, 4, 0, 0), True),
        (50708, 2, None, "Maker Model", True),
        (50717, 3, 1, WHITE, True),
        (50721, 10, 9, [part for value in xyz_to_rgb for part in (value, 10000)], True),
        (50728, 5, 3, (1, 1, 1, 1, 1, 1), True),
        (50778, 3, 1, 21, True),
    ]
    buffer = io.BytesIO()
    with tifffile.TiffWriter(buffer, byteorder="<") as writer:
        writer.write(mosaic(pixels), photometric=32803, metadata=None, extratags=tags, software="camera 1.0")
    return buffer.getvalue()


def scene():
    """Left grey, right red, one corner white, so that the exposure is known."""
    pixels = np.full((SIDE, SIDE * 2, 3), 0.25)
    pixels[:, SIDE:] = (0.5, 0.1, 0.1)
    pixels[:16, :16] = 1
    return pixels


def decode(data):
    return decode_photo(data, "photo.bin")


def encoded(linear):
    """sRGB's curve (IEC 61966-2-1) for linear light."""
    return 1.055 * linear ** (1 / 2.4) - 0.055


@pytest.fixture
def rawpy():
    return pytest.importorskip("rawpy")


def test_a_raw_file_becomes_16_bit_srgb(rawpy):
    photo = decode(dng(scene()))
    assert (photo.format, photo.bits, photo.size) == ("RAW", 16, (SIDE * 2, SIDE))
    assert photo.metadata.icc == srgb_profile() and not photo.grey
    values = photo.rgb / 65535
    assert values[30:50, 20:50].mean(axis=(0, 1)) == pytest.approx([encoded(0.25)] * 3, abs=0.02)
    assert values[30:50, 80:110].mean(axis=(0, 1)) == pytest.approx([encoded(v) for v in (0.5, 0.1, 0.1)], abs=0.03)
    assert (photo.rgb % 257 != 0).any(), "no 8 bits in between"


@pytest.mark.parametrize("orientation", [1, 3, 6, 8])
def test_orientation_is_applied_once(rawpy, orientation):
    photo = decode(dng(scene(), orientation))
    upright = np.rot90(decode(dng(scene())).rgb, {1: 0, 3: 2, 6: -1, 8: 1}[orientation])
    assert photo.rgb.shape == upright.shape and np.array_equal(photo.rgb, upright)
    kept = Image.Exif()
    kept.load(photo.metadata.exif)
    assert kept.get(274, 1) == 1 and b'tiff:Orientation="1"' in photo.metadata.xmp


def test_exif_says_what_the_camera_said_and_nothing_about_the_sensor(rawpy):
    kept = Image.Exif()
    kept.load(decode(dng(scene())).metadata.exif)
    assert (kept[271], kept[272]) == ("Maker", "Model")
    assert not [tag for tag in kept if tag >= 50706 or tag in (33421, 33422, 256, 273)]


def test_a_value_that_is_cut_off_would_change_the_colours(rawpy):
    """The white balance behind the pixels: a file that ends within it holds every pixel, in other colours."""
    data = dng(scene())
    neutral = struct.pack("<HHI", 50728, 5, 3)
    at = data.index(neutral) + 8
    moved = data[:at] + struct.pack("<I", len(data)) + data[at + 4 :] + struct.pack("<6I", 1, 1, 1, 1, 1, 1)
    assert np.array_equal(decode(moved).rgb, decode(data).rgb)
    with pytest.raises(ImageError, match="whose end is missing"):
        decode(moved[:-1])


@pytest.mark.parametrize("part", [0.05, 0.5, 0.9])
def test_truncated(rawpy, part):
    data = dng(scene())
    with pytest.raises(ImageError, match=r"photo\.bin"):
        decode(data[: int(len(data) * part)])


def test_what_only_looks_raw_is_one_line(rawpy):
    buffer = io.BytesIO()
    tifffile.imwrite(buffer, np.zeros((8, 8, 3), np.uint8), photometric="rgb", subfiletype=1)
    for data in (
        buffer.getvalue(),
        b"FUJIFILMCCD-RAW 0201",
        b"\0\0\0\x18ftypcrx \0\0\0\1crx isom",
        b"IIU\0" + bytes(40),
    ):
        with pytest.raises(ImageError, match=r"photo\.bin: a camera's raw file that LibRaw cannot read") as caught:
            decode(data)
        assert "\n" not in str(caught.value) and "b'" not in str(caught.value)


def test_too_many_pixels(rawpy):
    with pytest.raises(ImageError, match="megapixels"):
        decode_photo(dng(scene()), "x", max_pixels=2 * SIDE * SIDE - 1)


def test_without_the_library_one_line_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "rawpy", None)
    with pytest.raises(ImageError, match="raw file needs rawpy") as caught:
        decode(dng(scene()))
    assert caught.value.hint == "pip install 'lorair[formats]'"
