import numpy as np
import pytest
import skimage.data
from hypothesis import given, settings
from hypothesis import strategies as st

from lorair_cli.data.synthesis.fields import plausible_depth, smooth_field, stretch

PHOTO = skimage.data.astronaut()[:160, :200].astype(np.float32) / 255


def roughness(field):
    """Mean step between neighbours."""
    return np.abs(np.diff(field, axis=0)).mean() + np.abs(np.diff(field, axis=1)).mean()


@settings(max_examples=30, deadline=None)
@given(st.integers(16, 90), st.integers(16, 90), st.floats(1, 500), st.integers(0, 2**32 - 1))
def test_smooth_field_fills_zero_to_one(height, width, scale, seed):
    field = smooth_field((height, width), np.random.default_rng(seed), scale)
    assert field.shape == (height, width)
    assert field.dtype == np.float32
    assert field.min() == 0
    assert field.max() == 1


def test_larger_patches_are_smoother():
    fine, middle, coarse = (roughness(smooth_field((128, 128), np.random.default_rng(1), size)) for size in (4, 16, 64))
    assert fine > 2 * middle > 4 * coarse


def test_patches_have_the_asked_size():
    """The commonest wave of the field spans about two patches, a light and a dark one, never ten."""
    fields = [smooth_field((256, 256), np.random.default_rng(seed), 16) for seed in range(8)]
    power = np.mean([np.abs(np.fft.rfft(field - field.mean(), axis=1)) ** 2 for field in fields], axis=(0, 1))
    middle = (np.arange(len(power)) * power).sum() / power.sum()
    assert 16 < 256 / middle < 64


def test_stretch_of_a_constant_is_one_half():
    assert (stretch(np.full((4, 5), 7, np.float32)) == 0.5).all()


@pytest.mark.parametrize("make", [lambda rng: smooth_field((40, 50), rng, 9), lambda rng: plausible_depth(PHOTO, rng)])
def test_the_generator_decides_alone(make):
    assert np.array_equal(make(np.random.default_rng(5)), make(np.random.default_rng(5)))
    assert not np.array_equal(make(np.random.default_rng(5)), make(np.random.default_rng(6)))


@pytest.mark.parametrize(("height", "width"), [(16, 16), (16, 150), (157, 33), (160, 200)])
def test_depth_fits_any_photo(height, width):
    before = PHOTO[:height, :width].copy()
    for seed in range(5):
        depth = plausible_depth(before, np.random.default_rng(seed))
        assert depth.shape == (height, width)
        assert depth.dtype == np.float32
        assert 0.02 <= depth.min() <= depth.max() <= 1
    assert np.array_equal(before, PHOTO[:height, :width])


def test_far_is_up_on_average():
    depth = np.mean([plausible_depth(PHOTO, np.random.default_rng(seed)) for seed in range(30)], axis=0)
    assert depth[:40].mean() > depth[-40:].mean() + 0.1


def test_depth_breaks_where_the_photo_does():
    """A bright thing on a dark ground: the depth steps at its outline far more than beside it."""
    photo = np.full((120, 120, 3), 0.1, np.float32)
    photo[30:90, 40:80] = (0.9, 0.6, 0.2)
    steps = np.mean(
        [np.abs(np.diff(plausible_depth(photo, np.random.default_rng(seed)), axis=1)) for seed in range(20)], axis=0
    )[40:80].mean(axis=0)
    assert steps[[39, 79]].min() > 5 * np.delete(steps, [39, 79]).mean()
