"""AVIF through Pillow, and through OpenCV where it has more than 8 bits."""

import io
import struct

import cv2
import numpy as np
import pytest
import skimage.data
from PIL import Image, ImageOps

from lorair_cli.errors import ImageError
from lorair_cli.imaging import avif, decode
from lorair_cli.imaging.decode import decode_photo
from lorair_cli.imaging.encode import WriteOptions, encode_photo
from lorair_cli.imaging.photo import Photo
from lorair_cli.imaging.profiles import profile_for, srgb_profile

pytestmark = pytest.mark.skipif(avif.PLUGIN is None, reason="this Pillow has no AVIF")

CAT = np.ascontiguousarray(skimage.data.chelsea()[60:124, 90:170])
XMP = b'<x:xmpmeta xmlns:x="adobe:ns:meta/" tiff:Orientation="6"><rdf:RDF/></x:xmpmeta>'


def saved(pixels, **options):
    buffer = io.BytesIO()
    Image.fromarray(pixels).save(buffer, "AVIF", **{"quality": 95, "subsampling": "4:4:4", **options})
    return buffer.getvalue()


def read(data):
    return decode_photo(data, "photo.bin")


def deep_avif(bits):
    """A ramp of ``bits`` bits, and its AVIF by OpenCV, without loss."""
    rows, columns = np.mgrid[0:64, 0:80]
    ramp = np.dstack([columns * 12, rows * 15, columns * 6 + rows * 7]).astype(np.uint16) << (bits - 10)
    parameters = [cv2.IMWRITE_AVIF_DEPTH, bits, cv2.IMWRITE_AVIF_QUALITY, 100]
    try:
        return ramp, cv2.imencode(".avif", ramp[..., ::-1], parameters)[1].tobytes()
    except cv2.error:
        pytest.skip("this OpenCV writes no AVIF")


def test_colours_grey_and_alpha():
    photo = read(saved(CAT))
    assert photo.format == "AVIF" and photo.bits == 8 and np.abs(photo.rgb.astype(int) - CAT).mean() < 3
    assert read(saved(CAT[..., 1], subsampling="4:0:0")).grey
    alpha = np.repeat(np.arange(80, dtype=np.uint8)[None] * 3, 64, axis=0)
    assert np.array_equal(read(saved(np.dstack([CAT, alpha]), quality=100)).alpha, alpha)


@pytest.mark.parametrize("bits", [10, 12])
def test_deep_colours_are_exact_16_bits(bits):
    ramp, data = deep_avif(bits)
    photo = read(data)
    white = (1 << bits) - 1
    assert photo.bits == 16 and photo.metadata.deep.bits == bits
    assert np.array_equal(np.rint(photo.rgb * (white / 65535)), ramp)


def test_deep_colours_that_two_decoders_read_differently_are_refused(monkeypatch):
    ramp, data = deep_avif(10)
    monkeypatch.setattr(cv2, "imdecode", lambda *_: np.roll(ramp, 20, axis=1))
    with pytest.raises(ImageError, match="disagree"):
        read(data)


def test_an_opencv_without_avif_leaves_8_bits_and_says_so(monkeypatch):
    _, data = deep_avif(10)
    monkeypatch.setattr(cv2, "imdecode", lambda *_: None)
    photo = read(data)
    assert photo.bits == 8 and "8 were read" in photo.notes[0]


@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_is_applied_once_and_the_container_decides(orientation):
    tags = Image.Exif()
    tags[270], tags[274] = "a cat", orientation
    photo = read(saved(CAT, exif=tags, xmp=XMP))
    image = Image.fromarray(CAT)
    image.getexif()[274] = orientation
    upright = ImageOps.exif_transpose(image)
    assert photo.size == upright.size and np.abs(photo.rgb.astype(int) - np.asarray(upright)).mean() < 3
    kept = Image.Exif()
    kept.load(photo.metadata.exif)
    assert kept[270] == "a cat" and kept.get(274, 1) == 1 and b'tiff:Orientation="1"' in photo.metadata.xmp


def test_profile_exif_xmp_and_dpi_go_out_again():
    tags = Image.Exif()
    tags[271], tags[274], tags[282], tags[283], tags[296] = "Camera", 6, 300.0, 150.0, 2
    p3 = profile_for(12)
    first = read(saved(CAT, exif=tags, xmp=XMP, icc_profile=p3))
    assert first.metadata.dpi == (150.0, 300.0), "across and down change places with the turn"
    again = read(encode_photo(first, "AVIF"))
    kept = Image.Exif()
    kept.load(again.metadata.exif)
    assert kept[271] == "Camera" and kept.get(274, 1) == 1 and again.size == first.size == (64, 80)
    assert (again.metadata.icc, again.metadata.xmp) == (p3, first.metadata.xmp)


@pytest.mark.parametrize(("name", "number"), [("4:4:4", 0), ("4:2:2", 1), ("4:2:0", 2)])
def test_subsampling_follows_the_source_unless_said(name, number):
    photo = read(saved(CAT, subsampling=name))
    assert photo.metadata.deep.subsampling == number
    assert read(encode_photo(photo, "AVIF")).metadata.deep.subsampling == number
    assert read(encode_photo(Photo(CAT), "AVIF", WriteOptions(subsampling=name))).metadata.deep.subsampling == number
    assert read(encode_photo(Photo(CAT), "AVIF")).metadata.deep.subsampling == 0


@pytest.mark.parametrize("shape", [(1, 1), (3, 700), (700, 3)])
def test_odd_sizes(shape):
    photo = read(encode_photo(Photo(np.full((*shape, 3), 120, np.uint8)), "AVIF"))
    assert photo.rgb.shape == (*shape, 3) and np.abs(photo.rgb.astype(int) - 120).max() < 6


def test_animations_are_refused():
    other = Image.fromarray(CAT[::-1].copy())
    with pytest.raises(ImageError, match=r"photo\.bin: an animation of 2 frames"):
        read(saved(CAT, save_all=True, append_images=[other]))


def test_colours_said_by_number():
    plain = saved(CAT)
    at = plain.index(b"colrnclx") + 8
    for primaries, profile in ((1, None), (12, profile_for(12)), (9, profile_for(9))):
        data = plain[:at] + struct.pack(">H", primaries) + plain[at + 2 :]
        assert read(data).metadata.icc == profile != srgb_profile()
    with pytest.raises(ImageError, match=r"HDR photo \(HLG\)"):
        read(plain[: at + 2] + struct.pack(">H", 18) + plain[at + 4 :])


def test_a_pillow_without_avif_is_one_line(monkeypatch):
    monkeypatch.delitem(decode._PLUGINS, "AVIF")
    with pytest.raises(ImageError, match="built without AVIF") as caught:
        read(saved(CAT))
    assert caught.value.hint == "pip install --upgrade pillow"


def test_transparency_comes_back_to_the_bit_whatever_the_quality():
    rng = np.random.default_rng(0)
    rgb = rng.integers(0, 256, (40, 60, 3), np.uint8)
    disc = np.where(np.hypot(*np.ogrid[-20:20, -30:30]) < 15, 255, 0).astype(np.uint8)
    for alpha in (disc, rng.integers(0, 256, (40, 60), np.uint8)):
        back = read(encode_photo(Photo(rgb, alpha=alpha), "AVIF", WriteOptions(quality=60)))
        assert np.array_equal(back.alpha, alpha)
