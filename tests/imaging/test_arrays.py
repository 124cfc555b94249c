import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image, ImageOps

from lorair_cli.imaging.arrays import (
    from_float,
    max_value,
    mirrored_to,
    oriented,
    to_eight_bits,
    to_float,
    to_grey,
)

# Shared machines stall: time says nothing about these tests.
PATIENT = settings(deadline=None, suppress_health_check=[HealthCheck.too_slow])


@pytest.mark.parametrize("dtype", [np.uint8, np.uint16])
def test_every_pixel_value_survives_the_way_through_floats(dtype):
    values = np.arange(np.iinfo(dtype).max + 1).astype(dtype)
    floats = to_float(values)
    assert floats.dtype == np.float32
    assert floats[0] == 0 and floats[-1] == 1
    assert np.array_equal(from_float(floats, dtype), values)


def test_halves_go_up_and_excess_is_clipped():
    floats = np.array([0.5 / 255, 1.5 / 255, 2.5 / 255, 2.49 / 255, -3, 7, np.inf, -np.inf])
    assert from_float(floats, np.uint8).tolist() == [1, 2, 3, 2, 0, 255, 255, 0]


def test_the_floats_given_stay_as_they_were():
    floats = np.full((2, 2), 0.25, np.float32)
    from_float(floats, np.uint16)
    assert (floats == 0.25).all()


def test_nan_is_no_pixel():
    with pytest.raises(ValueError, match="NaN"):
        from_float(np.array([0.5, np.nan]), np.uint8)


def test_only_whole_numbers_of_8_or_16_bits_are_pixels():
    with pytest.raises(ValueError, match="float64"):
        max_value(np.float64)


def test_16_bits_become_the_nearest_8():
    values = np.arange(65536).astype(np.uint16)
    assert np.array_equal(to_eight_bits(values), np.floor(values * 255.0 / 65535.0 + 0.5).astype(np.uint8))


@PATIENT
@given(st.integers(0, 65535))
def test_grey_of_equal_channels_is_the_channel(value):
    for dtype in (np.uint8, np.uint16):
        rgb = np.full((1, 2, 3), value).astype(dtype)
        assert np.array_equal(to_grey(rgb), rgb[..., 0])


def test_grey_follows_the_luma_weights():
    assert to_grey(np.array([[[255, 0, 0], [0, 255, 0], [0, 0, 255]]], np.uint8)).tolist() == [[76, 150, 29]]


@pytest.mark.parametrize("orientation", range(1, 9))
def test_orientation_agrees_with_pillow(orientation):
    pixels = np.arange(2 * 3 * 3, dtype=np.uint8).reshape(2, 3, 3)
    image = Image.fromarray(pixels)
    image.getexif()[274] = orientation
    assert np.array_equal(oriented(pixels, orientation), np.asarray(ImageOps.exif_transpose(image)))


@PATIENT
@given(
    size=st.tuples(st.integers(1, 9), st.integers(1, 9)),
    least=st.tuples(st.integers(1, 30), st.integers(1, 30)),
    dtype=st.sampled_from([np.uint8, np.float32]),
)
def test_a_mirrored_image_goes_back_and_forth_at_the_bottom_and_the_right(size, least, dtype):
    image = np.random.default_rng(0).integers(0, 256, (*size, 3)).astype(dtype)
    larger = mirrored_to(image, *least)
    assert larger.shape == (max(size[0], least[0]), max(size[1], least[1]), 3) and larger.dtype == dtype
    there, along = (([*range(n), *reversed(range(n))] * 30)[:m] for n, m in zip(size, larger.shape, strict=False))
    assert np.array_equal(larger, image[there][:, along])
