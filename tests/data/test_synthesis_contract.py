"""What every degradation owes its caller, whatever its model."""

import cv2
import numpy as np
import pytest
import skimage.data
from hypothesis import given, settings
from hypothesis import strategies as st

from lorair_cli.data.synthesis import IN_ORDER, SYNTHESES, degrade
from lorair_cli.errors import UsageError

NAMES = sorted(SYNTHESES)


def photo(side=128):
    picture = cv2.resize(skimage.data.astronaut(), (side, side), interpolation=cv2.INTER_AREA)
    return picture.astype(np.float32) / np.float32(255)


def mean_psnr(name, strength, draws=8):
    clean = photo()
    errors = [np.mean((degrade(clean, name, np.random.default_rng(k), strength) - clean) ** 2) for k in range(draws)]
    return float(np.mean(-10 * np.log10(np.array(errors) + 1e-10)))


@pytest.mark.parametrize("name", NAMES)
@settings(max_examples=25, deadline=None)
@given(
    height=st.integers(16, 90),
    width=st.integers(16, 90),
    strength=st.floats(0, 1),
    seed=st.integers(0, 2**32),
    level=st.sampled_from([None, 0.0, 1.0]),
)
def test_any_photo_gives_a_photo_of_its_size_and_stays_as_it_was(name, height, width, strength, seed, level):
    clean = np.random.default_rng(0).random((height, width, 3), dtype=np.float32)
    if level is not None:
        clean[:] = level
    before = clean.copy()
    degraded = degrade(clean, name, np.random.default_rng(seed), strength)
    assert degraded.shape == clean.shape
    assert degraded.dtype == np.float32
    assert degraded.min() >= 0 and degraded.max() <= 1  # false for NaN too
    np.testing.assert_array_equal(clean, before)
    assert not np.shares_memory(degraded, clean)


@pytest.mark.parametrize("name", NAMES)
def test_a_seed_gives_the_same_picture_and_another_seed_another(name):
    clean = photo()
    first, again, other = (degrade(clean, name, np.random.default_rng(seed), 0.6) for seed in (3, 3, 4))
    np.testing.assert_array_equal(first, again)
    assert np.any(first != other)


@pytest.mark.parametrize("name", NAMES)
def test_more_strength_is_more_damage(name):
    mild, middle, heavy = (mean_psnr(name, strength) for strength in (0.0, 0.5, 1.0))
    assert mild > middle + 1
    assert middle > heavy + 1


@pytest.mark.parametrize("strength", [-0.1, 1.1, float("nan")])
def test_a_strength_outside_zero_to_one_is_refused(strength):
    with pytest.raises(UsageError):
        degrade(photo(16), "rain", np.random.default_rng(0), strength)


@pytest.mark.parametrize("name", ["rain", "snow"])
def test_a_veil_is_there_or_not_as_asked(name):
    night = np.zeros((64, 64, 3), np.float32)
    for seed in range(5):
        clear, veiled = (degrade(night, name, np.random.default_rng(seed), 0.7, {"veiled": p}) for p in (0.0, 1.0))
        assert clear.min() == 0 and veiled.min() > 0


def test_rain_is_misty_or_not_as_asked():
    night = np.zeros((64, 64, 3), np.float32)
    for seed in range(3):
        veils = [{"veiled": 1.0, "misty": p} for p in (0.0, 1.0)]
        patchy, misty = (degrade(night, "rain", np.random.default_rng(seed), 1.0, shares) for shares in veils)
        assert not np.array_equal(patchy, misty)
    with pytest.raises(UsageError, match="snow is never misty"):
        degrade(night, "snow", np.random.default_rng(0), 0.5, {"misty": 1.0})


@pytest.mark.parametrize(("name", "veiled"), [("haze", 0.5), ("rain", -0.1), ("snow", 1.1), ("rain", float("nan"))])
def test_a_veil_that_cannot_be_is_refused(name, veiled):
    with pytest.raises(UsageError, match="veil"):
        degrade(photo(16), name, np.random.default_rng(0), 0.5, {"veiled": veiled})


def test_drops_are_plain_or_not_as_asked():
    night = np.zeros((64, 64, 3), np.float32)  # only what shines by itself is seen in it
    for seed in range(3):
        plain, shining = (degrade(night, "raindrop", np.random.default_rng(seed), 0.7, {"plain": p}) for p in (1, 0))
        assert plain.max() == 0 and shining.max() > 0


def edge_to_area(name, scale):
    """How much edge there is to what was changed of a grey photo: less, the larger the structures."""
    grey = np.tile(np.linspace(0.3, 0.7, 160, dtype=np.float32)[:, None, None], (1, 160, 3))
    edge = area = 0.0
    for seed in range(6):
        changed = np.abs(degrade(grey, name, np.random.default_rng(seed), 0.6, scale=scale) - grey).mean(axis=2)
        edge += np.abs(np.diff(changed, axis=0)).sum() + np.abs(np.diff(changed, axis=1)).sum()
        area += changed.sum()
    return edge / area


@pytest.mark.parametrize("name", [name for name in NAMES if SYNTHESES[name].scales])
def test_structures_are_as_large_as_asked(name):
    small, usual, large = (edge_to_area(name, scale) for scale in (0.6, 1.0, 3.0))
    assert small > usual > 1.2 * large


@pytest.mark.parametrize("name", [name for name in NAMES if not SYNTHESES[name].scales])
def test_what_has_no_structures_has_no_size(name):
    first, second = (degrade(photo(32), name, np.random.default_rng(0), 0.5, scale=scale) for scale in (1.0, 3.0))
    np.testing.assert_array_equal(first, second)


@pytest.mark.parametrize("scale", [0.0, -1.0, float("inf"), float("nan")])
def test_a_size_that_cannot_be_is_refused(scale):
    with pytest.raises(UsageError, match="scale"):
        degrade(photo(16), "rain", np.random.default_rng(0), 0.5, scale=scale)


def test_an_unknown_degradation_is_refused():
    with pytest.raises(UsageError):
        degrade(photo(16), "fog", np.random.default_rng(0), 0.5)


def test_every_degradation_has_its_place_in_the_order():
    assert sorted(IN_ORDER) == NAMES
