"""The second recipe: right classes, whole results, repeatable, and as strong as its docstrings say."""

import io

import independent_recipe as recipe
import numpy as np
import pytest
import skimage.data
from PIL import Image
from skimage.metrics import peak_signal_noise_ratio

from lorair_cli.settings import TEN_DEGRADATIONS

NAMES = sorted(recipe.RECIPES)

# Mean input PSNR in dB that each recipe is meant to have at its middle strength; noise from 20 log10(255 / sigma), less
# up to half a decibel since clipping removes noise at black and white.
BANDS = {
    "noise-15": (24.4, 25.2),
    "noise-25": (20.0, 21.0),
    "noise-50": (14.1, 15.5),
    "jpeg-10": (23.0, 31.0),
    "jpeg-20": (25.0, 34.0),
    "blur": (18.0, 28.0),
    "haze": (8.0, 15.0),
    "low-light": (7.0, 13.0),
    "rain": (20.0, 22.0),
    "rain-heavy": (13.0, 15.0),
    "snow": (18.0, 20.0),
    "raindrop": (22.0, 24.0),
    "shadow": (18.0, 20.0),
    "inpainting": (11.0, 17.0),
    "scratches": (19.0, 27.0),  # two or three hundredths of the photo, white on what is darker by a half
}


@pytest.fixture(scope="module")
def photo():
    return skimage.data.coffee().astype(np.float32) / 255.0


@pytest.fixture(scope="module")
def crop(photo):
    return np.ascontiguousarray(photo[100:260, 200:420])


def test_recipes_make_every_class_and_no_other():
    assert set(recipe.DEGRADATION_OF) == set(recipe.RECIPES)
    assert set(recipe.DEGRADATION_OF.values()) == set(TEN_DEGRADATIONS)
    assert recipe.DEGRADATION_OF["rain-heavy"] == "rain"
    assert recipe.DEGRADATION_OF["low-light"] == "low-light"
    assert recipe.DEGRADATION_OF["noise-50"] == "noise"


@pytest.mark.parametrize("name", NAMES)
def test_result_is_an_8_bit_photo_of_the_same_shape(name, crop):
    before = crop.copy()
    result = recipe.degrade(crop, name, 3)
    assert result.shape == crop.shape
    assert result.dtype == np.float32
    assert 0.0 <= result.min() <= result.max() <= 1.0
    np.testing.assert_allclose(result * 255.0, np.round(result * 255.0), atol=1e-4)
    assert (result != crop).any()
    np.testing.assert_array_equal(crop, before)


@pytest.mark.parametrize("name", NAMES)
def test_seed_decides_the_result(name, crop):
    first = recipe.degrade(crop, name, 7)
    np.testing.assert_array_equal(first, recipe.degrade(crop, name, 7))
    if not name.startswith("jpeg"):
        assert (first != recipe.degrade(crop, name, 8)).any()


@pytest.mark.parametrize("name", NAMES)
def test_strength_lies_in_its_band(name, photo):
    figures = [peak_signal_noise_ratio(photo, recipe.degrade(photo, name, seed), data_range=1.0) for seed in range(6)]
    low, high = BANDS[name]
    assert low <= np.mean(figures) <= high


@pytest.mark.parametrize("name", NAMES)
@pytest.mark.parametrize("shape", [(64, 64, 3), (65, 203, 3)])
def test_small_and_narrow_photos_work(name, shape):
    result = recipe.degrade(np.full(shape, 0.5, np.float32), name, 1)
    assert result.shape == shape
    assert np.isfinite(result).all()


@pytest.mark.parametrize("quality", [10, 20])
def test_jpeg_is_pillows_own_at_that_quality(quality, photo):
    buffer = io.BytesIO()
    Image.fromarray(skimage.data.coffee()).save(buffer, "JPEG", quality=quality)
    expected = np.asarray(Image.open(buffer), np.float32) / 255.0
    np.testing.assert_allclose(recipe.degrade(photo, f"jpeg-{quality}", 0), expected, atol=1e-6)


@pytest.mark.parametrize("sigma", [15, 25, 50])
def test_noise_has_its_sigma(sigma):
    grey = np.full((256, 256, 3), 0.5, np.float32)
    assert np.std(recipe.degrade(grey, f"noise-{sigma}", 0) - grey) * 255.0 == pytest.approx(sigma, rel=0.02)


def test_blur_does_not_move_the_photo():
    image = np.zeros((65, 65, 3), np.float32)
    image[32, 32] = 1.0
    rows, columns, _ = np.nonzero(recipe.degrade(image, "blur", 5))
    assert np.hypot(rows - 32, columns - 32).min() < 1.0  # the middle frame lies on the sharp photo
    assert 9 <= np.hypot(np.ptp(rows), np.ptp(columns)) <= 20


def test_haze_grows_towards_the_top_and_meets_its_transmission():
    black = recipe.degrade(np.zeros((120, 160, 3), np.float32), "haze", 2)
    white = recipe.degrade(np.ones((120, 160, 3), np.float32), "haze", 2)
    transmission = white - black  # J t + A (1 - t) for J = 1, less the same for J = 0
    assert 0.39 <= transmission.mean() <= 0.51
    assert transmission[:30].mean() < transmission[-30:].mean()


@pytest.mark.parametrize("seed", range(6))
def test_low_light_is_dark(seed, photo):
    assert 0.07 <= recipe.degrade(photo, "low-light", seed).mean() <= 0.16


@pytest.mark.parametrize("seed", range(6))
def test_holes_are_white_and_cover_their_share(seed):
    black = np.zeros((200, 300, 3), np.float32)
    result = recipe.degrade(black, "inpainting", seed)
    assert set(np.unique(result)) == {0.0, 1.0}
    assert 0.08 <= result.mean() <= 0.15


@pytest.mark.parametrize("name", ["rain", "rain-heavy", "snow"])
def test_falling_water_only_brightens_black(name):
    black = np.zeros((128, 128, 3), np.float32)
    result = recipe.degrade(black, name, 4)
    assert result.max() > 0.5
    np.testing.assert_allclose(np.ptp(result, axis=2), 0.0, atol=1e-6)  # white, without a colour


def test_shadow_only_darkens_and_leaves_light():
    grey = np.full((160, 240, 3), 0.8, np.float32)
    ratio = (recipe.degrade(grey, "shadow", 1) / np.float32(204 / 255)) ** 2.2
    assert ratio.max() == pytest.approx(1.0, abs=0.02)
    assert 0.23 <= ratio.min() <= 0.47


def test_wrong_input_is_refused(crop):
    with pytest.raises(KeyError):
        recipe.degrade(crop, "fog", 0)
    with pytest.raises(ValueError, match="RGB image"):
        recipe.degrade(crop[..., 0], "rain", 0)
    with pytest.raises(ValueError, match="64 pixels"):
        recipe.degrade(crop[:40], "rain", 0)
