import numpy as np
import pytest
import skimage.data

from lorair_cli.data.synthesis import haze
from lorair_cli.data.synthesis.haze import HazeParameters, scatter, thin_out

PHOTO = skimage.data.astronaut()[:160, :160].astype(np.float32) / 255
AIR = (0.9, 0.92, 0.95)


def rng(seed=0):
    return np.random.default_rng(seed)


def test_flat_haze_is_the_formula():
    hazy = haze.apply(PHOTO, HazeParameters(0.4, AIR, flat=True), rng())
    np.testing.assert_allclose(hazy, 0.4 * PHOTO + 0.6 * np.array(AIR), atol=1e-6)


def test_scatter_at_its_ends():
    transmission = np.tile(np.float32([1, 0]), (160, 80))
    hazy = scatter(PHOTO, transmission, AIR)
    np.testing.assert_allclose(hazy[:, ::2], PHOTO[:, ::2], atol=1e-6)
    np.testing.assert_allclose(hazy[:, 1::2], np.broadcast_to(np.float32(AIR), (160, 80, 3)), atol=1e-6)


@pytest.mark.parametrize("mean", [1.0, 0.9, 0.47, 0.25, 0.1])
def test_thin_out_meets_its_mean(mean):
    """Also where a fifth of the scene is so near that it hardly fades."""
    ramp = np.linspace(0.02, 1, 64 * 64, dtype=np.float32).reshape(64, 64)
    near = np.where(ramp < 0.2, np.float32(0.02), 1).astype(np.float32)
    for depth in (ramp, near, np.full_like(ramp, 0.3)):
        transmission = thin_out(depth, mean)
        assert transmission.mean() == pytest.approx(mean, abs=2e-3)
        # Beer-Lambert: the logarithm of the transmission is in proportion to the depth.
        beta = -np.log(transmission) / depth
        assert np.ptp(beta) < 1e-3 * (1 + beta.mean())


def test_haze_is_as_dense_as_asked():
    """Black things show the airlight alone, so the mean of the haze over black tells the transmission."""
    black = np.zeros((96, 128, 3), np.float32)
    for mean in (0.25, 0.47, 0.9):
        hazy = haze.apply(black, HazeParameters(mean, (0.8, 0.9, 1.0)), rng(3))
        np.testing.assert_allclose(hazy.mean(axis=(0, 1)), (1 - mean) * np.array([0.8, 0.9, 1.0]), atol=0.01)


def test_haze_varies_with_depth():
    hazy = haze.apply(np.zeros_like(PHOTO), HazeParameters(0.5, (1.0, 1.0, 1.0)), rng(3))
    assert hazy.max() - hazy.min() > 0.15


def test_haze_in_the_distance_leaves_what_is_near_clear(monkeypatch):
    """The depths are stretched apart, and what is far is no thicker than it has to be."""
    depth = np.repeat(np.linspace(0.2, 0.8, 160, dtype=np.float32)[:, None], 160, axis=1)
    monkeypatch.setattr(haze, "plausible_depth", lambda photo, rng: depth.copy())
    black = np.zeros_like(PHOTO)
    even, distant = (
        haze.apply(black, HazeParameters(0.5, (1.0,) * 3, stretch=stretch), rng())[:, 0, 0] for stretch in (1.0, 3.0)
    )
    assert even[0] > 0.2 and distant[0] < 0.05, "the foreground"
    assert distant[-1] > even[-1] and distant.mean() == pytest.approx(even.mean(), abs=0.01)
    density = -np.log1p(-distant)
    np.testing.assert_allclose(density / density[-1], (depth[:, 0] / depth[-1, 0]) ** 3, atol=1e-3)


def test_haze_is_in_the_distance_as_often_as_asked():
    never, always = ([haze.draw(rng(seed), 0.5, share) for seed in range(200)] for share in (0.0, 1.0))
    assert never == [haze.draw(rng(seed), 0.5) for seed in range(200)]
    assert all(parameters.stretch == 1 for parameters in never)
    assert all((parameters.stretch == 1) == parameters.flat for parameters in always)
    some = [haze.draw(rng(seed), 0.5, 0.4).stretch > 1 for seed in range(400)]
    assert 0.25 < np.mean(some) < 0.5
    # A clear foreground is made up for by a lighter haze, or there would be nothing left to see behind it.
    assert np.mean([p.transmission for p in always]) > np.mean([p.transmission for p in never]) + 0.1


def test_strength_sets_transmission():
    means = [np.mean([haze.draw(rng(seed), s).transmission for seed in range(200)]) for s in (0, 0.5, 1)]
    assert means[0] > 0.85
    assert 0.42 < means[1] < 0.52
    assert 0.22 < means[2] < 0.3


def test_airlight_is_mostly_bright_sometimes_grey_and_never_coloured():
    drawn = np.array([haze.draw(rng(seed), 0.5).airlight for seed in range(400)])
    assert np.ptp(drawn, axis=1).max() <= 0.051
    assert drawn.min() >= 0.32 and drawn.max() <= 1
    brightness = drawn.mean(axis=1)
    assert brightness.min() < 0.45
    assert 0.7 < (brightness > 0.78).mean() < 0.82


def test_stronger_is_further_from_the_photo():
    errors = [
        np.mean([np.mean((haze.apply(PHOTO, haze.draw(r, s), r) - PHOTO) ** 2) for r in map(rng, range(10))])
        for s in (0, 0.25, 0.5, 0.75, 1)
    ]
    assert errors == sorted(errors)
    assert errors[-1] > 4 * errors[0]
