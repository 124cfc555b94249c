import numpy as np
import pytest
import skimage.data

from lorair_cli.data.synthesis import noise
from lorair_cli.data.synthesis.noise import NoiseParameters

PHOTO = skimage.data.astronaut()[:128, :128].astype(np.float32) / 255
GREY = np.full((200, 200, 3), 0.5, np.float32)


def rng(seed=0):
    return np.random.default_rng(seed)


def added(clean, parameters):
    """The noise in 8-bit units."""
    return (noise.apply(clean, parameters, rng()) - clean) * 255


@pytest.mark.parametrize("sigma", [1, 15, 25, 30])
@pytest.mark.parametrize("grain", [0, 0.6])
@pytest.mark.parametrize("kind", ["gaussian", "poisson-gaussian"])
def test_noise_at_mid_grey_has_the_asked_sigma(sigma, grain, kind):
    noisy = added(GREY, NoiseParameters(sigma, kind, shot_share=0.7, grain=grain))
    assert noisy.std() == pytest.approx(sigma, rel=0.03)
    assert noisy.mean() == pytest.approx(0, abs=0.03 * sigma)


def test_gaussian_noise_is_independent():
    noisy = added(GREY, NoiseParameters(20))
    pairs = [(noisy[..., 0], noisy[..., 1]), (noisy[1:, :, 0], noisy[:-1, :, 0]), (noisy[:, 1:, 2], noisy[:, :-1, 2])]
    assert all(abs(np.corrcoef(a.ravel(), b.ravel())[0, 1]) < 0.03 for a, b in pairs)


def test_grain_ties_neighbours():
    noisy = added(GREY, NoiseParameters(20, grain=0.6))[..., 0]
    assert np.corrcoef(noisy[1:].ravel(), noisy[:-1].ravel())[0, 1] > 0.2


def test_grey_noise_has_no_colour():
    noisy = noise.apply(GREY, NoiseParameters(20, grey=True), rng())
    assert (noisy[..., 0] == noisy[..., 1]).all()
    assert (noisy[..., 0] == noisy[..., 2]).all()


def test_photon_noise_grows_with_light():
    """a x + b with the variance at mid-grey shared 60 : 40."""
    for value in (0.2, 0.8):
        clean = np.full_like(GREY, value)
        variance = added(clean, NoiseParameters(10, "poisson-gaussian", shot_share=0.6)).var()
        assert variance == pytest.approx(100 * (0.4 + 0.6 * value / 0.5), rel=0.05)


def test_strength_sets_sigma():
    sigmas = [np.mean([noise.draw(rng(seed), strength).sigma for seed in range(200)]) for strength in (0, 0.5, 1)]
    assert sigmas[0] < 5
    assert 24 < sigmas[1] < 34
    assert 50 < sigmas[2] <= 60


def test_all_kinds_are_drawn():
    drawn = [noise.draw(rng(seed), 0.5) for seed in range(300)]
    assert 0.15 < np.mean([each.kind == "poisson-gaussian" for each in drawn]) < 0.35
    assert any(each.grey for each in drawn)
    assert any(each.grain for each in drawn)
