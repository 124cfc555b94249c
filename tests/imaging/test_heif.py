"""HEIC through pillow-heif, on files that pillow-heif made."""

import io
import sys

import numpy as np
import pytest
import skimage.data
from PIL import Image, ImageOps

from lorair_cli.errors import ImageError
from lorair_cli.imaging.decode import decode_photo
from lorair_cli.imaging.encode import WriteOptions, encode_photo
from lorair_cli.imaging.photo import Metadata, Photo
from lorair_cli.imaging.profiles import profile_for, srgb_profile

CAT = np.ascontiguousarray(skimage.data.chelsea()[60:124, 90:170])
XMP = b'<x:xmpmeta xmlns:x="adobe:ns:meta/"><rdf:RDF/></x:xmpmeta>'


@pytest.fixture
def pillow_heif():
    return pytest.importorskip("pillow_heif")


@pytest.fixture
def heic(pillow_heif):
    """Bytes of a HEIC of ``pixels``; ``mode`` as pillow-heif names it."""

    def make(pixels, mode="RGB", **options):
        file = pillow_heif.from_bytes(mode, pixels.shape[1::-1], np.ascontiguousarray(pixels).tobytes())
        buffer = io.BytesIO()
        file.save(buffer, quality=options.pop("quality", 95), **options)
        return buffer.getvalue()

    return make


def decode(data):
    return decode_photo(data, "photo.bin")


def test_colours_and_grey(heic):
    photo = decode(heic(CAT, chroma="444"))
    assert photo.format == "HEIC" and photo.bits == 8 and photo.alpha is None and not photo.grey
    assert np.abs(photo.rgb.astype(int) - CAT).mean() < 3
    grey = decode(heic(CAT[..., 1], "L"))
    assert grey.grey and np.abs(grey.rgb[..., 0].astype(int) - CAT[..., 1]).mean() < 3


@pytest.mark.parametrize("bits", [10, 12])
def test_deep_colours_become_16_bits_and_white_stays_white(heic, bits):
    white = (1 << bits) - 1
    deep = np.rint(CAT.astype(float) * white / 255).astype(np.uint16)
    deep[:32] = white
    photo = decode(heic(deep, f"RGB;{bits}", chroma="444", quality=100))
    assert photo.bits == 16 and photo.metadata.deep.bits == bits
    assert np.percentile(photo.rgb[:24], 5) > 65535 * 0.995
    difference = photo.rgb[40:].astype(float) / 65535 - deep[40:] / white
    assert np.abs(difference).mean() < 0.006


def test_alpha(heic):
    alpha = np.repeat(np.arange(80, dtype=np.uint8)[None] * 3, 64, axis=0)
    photo = decode(heic(np.dstack([CAT, alpha]), "RGBA"))
    assert photo.alpha is not None and np.abs(photo.alpha.astype(int) - alpha).mean() < 2


@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_is_applied_once(pillow_heif, orientation):
    tags = Image.Exif()
    tags[270], tags[274] = "a cat", orientation
    image = Image.fromarray(CAT)
    image.info["exif"] = tags.tobytes()
    buffer = io.BytesIO()
    # Saved as a phone does it: pixels as they lie on the sensor, the turn in the container and in EXIF.
    file = pillow_heif.from_bytes("RGB", image.size, image.tobytes())
    file.save(buffer, quality=95, chroma="444", exif=image.info["exif"])
    photo = decode(buffer.getvalue())
    upright = ImageOps.exif_transpose(_tagged(orientation))
    assert photo.size == upright.size and np.abs(photo.rgb.astype(int) - np.asarray(upright)).mean() < 3
    kept = Image.Exif()
    kept.load(photo.metadata.exif)
    assert kept[270] == "a cat" and kept.get(274, 1) == 1


def _tagged(orientation):
    image = Image.fromarray(CAT)
    image.getexif()[274] = orientation
    return image


def test_profile_exif_xmp_and_dpi_come_in_and_go_out(heic):
    tags = Image.Exif()
    tags[271], tags[282], tags[283], tags[296] = "Camera", 300.0, 300.0, 2
    p3 = profile_for(12)
    first = decode(heic(CAT, exif=tags.tobytes(), xmp=XMP))
    first = Photo(first.rgb, format="HEIC", metadata=Metadata(p3, first.metadata.exif, first.metadata.xmp))
    again = decode(encode_photo(first, "HEIC"))
    for metadata in (again.metadata,):
        kept = Image.Exif()
        kept.load(metadata.exif)
        assert kept[271] == "Camera" and metadata.xmp == XMP and metadata.icc == p3
        assert metadata.dpi == (300.0, 300.0)


@pytest.mark.parametrize("chroma", ["444", "422", "420"])
def test_subsampling_and_depth_follow_the_source_unless_said(heic, chroma):
    photo = decode(heic((CAT.astype(np.uint16) << 2), "RGB;10", chroma=chroma))
    again = decode(encode_photo(photo, "HEIC"))
    assert again.metadata.deep == photo.metadata.deep and again.bits == 16
    said = decode(encode_photo(photo, "HEIC", WriteOptions(subsampling="4:4:4")))
    assert said.metadata.deep.subsampling == 0


def test_quality_is_followed(pillow_heif):
    photo = Photo(CAT)
    sizes = [len(encode_photo(photo, "HEIC", WriteOptions(quality=quality))) for quality in (20, 95)]
    assert sizes[0] < sizes[1] / 2


@pytest.mark.parametrize("shape", [(1, 1), (3, 700), (700, 3), (37, 51)])
def test_odd_sizes(pillow_heif, shape):
    photo = decode(encode_photo(Photo(np.full((*shape, 3), 120, np.uint8)), "HEIC"))
    assert photo.rgb.shape == (*shape, 3) and np.abs(photo.rgb.astype(int) - 120).max() < 6


def test_several_pictures_are_refused(pillow_heif):
    file = pillow_heif.from_bytes("RGB", (80, 64), CAT.tobytes())
    file.add_frombytes("RGB", (80, 64), CAT[::-1].tobytes())
    buffer = io.BytesIO()
    file.save(buffer, save_all=True)
    with pytest.raises(ImageError, match=r"photo\.bin: a HEIC of 2 pictures"):
        decode(buffer.getvalue())


def test_a_sequence_is_refused(heic):
    data = heic(CAT) + b"\0\0\0\x10moov" + bytes(8)
    with pytest.raises(ImageError, match="sequence"):
        decode(data)


def test_hdr_is_refused_instead_of_losing_its_meaning(heic):
    data = heic((CAT.astype(np.uint16) << 2), "RGB;10", color_primaries=9, transfer_characteristics=16)
    assert b"colrnclx\x00\x09\x00\x10" in data, "the library wrote the numbers"
    with pytest.raises(ImageError, match="HDR photo \\(PQ\\)"):
        decode(data)


def test_wide_colours_said_by_number_get_a_profile(heic):
    data = heic(CAT, color_primaries=12, transfer_characteristics=13)
    assert decode(data).metadata.icc == profile_for(12) != srgb_profile()
    assert decode(heic(CAT)).metadata.icc is None


def test_too_many_pixels(heic):
    with pytest.raises(ImageError, match="megapixels"):
        decode_photo(heic(CAT), "x", max_pixels=64 * 80 - 1)


@pytest.mark.parametrize("part", [0.1, 0.5, 0.9])
def test_truncated(heic, part):
    data = heic(CAT)
    with pytest.raises(ImageError, match=r"photo\.bin"):
        decode(data[: int(len(data) * part)])


def test_without_the_library_one_line_says_what_to_install(monkeypatch):
    monkeypatch.setitem(sys.modules, "pillow_heif", None)
    with pytest.raises(ImageError, match="HEIC needs pillow-heif") as caught:
        decode(b"\0\0\0\x18ftypheic\0\0\0\0mif1heic")
    assert caught.value.hint == "pip install 'lorair[formats]'"
    with pytest.raises(ImageError, match="pillow-heif"):
        encode_photo(Photo(CAT), "HEIC")
