import numpy as np
import pytest

from lorair_cli.imaging.photo import JpegStyle, Metadata, Photo


def test_sizes_and_bits():
    photo = Photo(np.zeros((2, 5, 3), np.uint16))
    assert (photo.height, photo.width, photo.size, photo.bits) == (2, 5, (5, 2), 16)


def test_new_colours_keep_everything_else():
    photo = Photo(np.zeros((2, 2, 3), np.uint8), np.ones((2, 2), np.uint8), True, "TIFF", Metadata(b"icc"), ("note",))
    other = photo.with_rgb(np.full((2, 2, 3), 9, np.uint8))
    assert (other.rgb == 9).all() and (photo.rgb == 0).all()
    assert (other.alpha is photo.alpha, other.grey, other.format) == (True, True, "TIFF")
    assert (other.metadata, other.notes) == (photo.metadata, ("note",))


def test_a_part_is_cut_out_and_put_back():
    rgb, alpha = np.arange(4 * 6 * 3, dtype=np.uint8).reshape(4, 6, 3), np.arange(24, dtype=np.uint8).reshape(4, 6)
    photo = Photo(rgb, alpha, grey=True, format="TIFF", metadata=Metadata(dpi=(300, 300)))
    where = (slice(1, 3), slice(2, 6))
    part = photo.part(where)
    assert np.array_equal(part.rgb, rgb[1:3, 2:6]) and np.array_equal(part.alpha, alpha[1:3, 2:6])
    assert part.grey and part.format == "TIFF" and part.metadata == photo.metadata
    changed = photo.with_part(where, part.rgb + 100)
    expected = rgb.copy()
    expected[1:3, 2:6] += 100
    assert np.array_equal(changed.rgb, expected) and changed.alpha is alpha and photo.rgb[1, 2, 0] == rgb[1, 2, 0]
    for wrong in (rgb, part.rgb.astype(np.uint16)):
        with pytest.raises(ValueError, match="in place of"):
            photo.with_part(where, wrong)


@pytest.mark.parametrize("rgb", [np.zeros((2, 3, 3), np.uint8), np.zeros((2, 2, 3), np.uint16)])
def test_new_colours_of_another_size_or_depth_are_refused(rgb):
    with pytest.raises(ValueError, match="in place of"):
        Photo(np.zeros((2, 2, 3), np.uint8)).with_rgb(rgb)


@pytest.mark.parametrize(
    ("rgb", "alpha"),
    [
        (np.zeros((2, 2), np.uint8), None),
        (np.zeros((0, 2, 3), np.uint8), None),
        (np.zeros((2, 2, 3), np.float32), None),
        (np.zeros((2, 2, 3), np.uint8), np.zeros((2, 3), np.uint8)),
        (np.zeros((2, 2, 3), np.uint8), np.zeros((2, 2), np.uint16)),
    ],
)
def test_arrays_that_are_no_photo_are_refused(rgb, alpha):
    with pytest.raises(ValueError):
        Photo(rgb, alpha)


def test_stripping_keeps_colour_and_compression_only():
    style = JpegStyle(((1,) * 64,), 0)
    native = ((b"gAMA", b"1234"), (b"tEXt", b"Author\0me"))
    stripped = Metadata(b"icc", b"exif", b"xmp", (72, 72), (2, 1), native, style, True).stripped()
    assert stripped == Metadata(icc=b"icc", aspect=(2, 1), native=((b"gAMA", b"1234"),), jpeg=style, lossless=True)
    assert Photo(np.zeros((1, 1, 3), np.uint8), metadata=Metadata(exif=b"x")).without_metadata().metadata == Metadata()
