import numpy as np
import pytest
import skimage.data

from lorair_cli.data.synthesis import low_light
from lorair_cli.data.synthesis.light import to_linear
from lorair_cli.data.synthesis.low_light import LowLightParameters

PHOTO = skimage.data.astronaut()[:160, :160].astype(np.float32) / 255


def rng(seed=0):
    return np.random.default_rng(seed)


def flat(value, side=128):
    """A photo of one linear value, in display values."""
    display = 12.92 * value if value <= 0.0031308 else 1.055 * value ** (1 / 2.4) - 0.055
    return np.full((side, side, 3), display, np.float32)


def test_exposure_scales_linear_light():
    dark = low_light.apply(PHOTO, LowLightParameters(0.05), rng())
    np.testing.assert_allclose(to_linear(dark), 0.05 * to_linear(PHOTO), atol=1e-6)


def test_gamma_turns_about_mid_grey():
    parameters = LowLightParameters(0.1, gamma=1.5)
    for value in (0.05, 0.18, 0.6):
        dark = low_light.apply(flat(value), parameters, rng())
        assert to_linear(dark).mean() == pytest.approx(0.1 * 0.18 * (value / 0.18) ** 1.5, rel=1e-3)


def test_cast_scales_channels_and_greying_keeps_luminance():
    photo = np.zeros((16, 16, 3), np.float32)
    photo[..., 0] = 0.6
    tinted = to_linear(low_light.apply(flat(0.5), LowLightParameters(0.1, cast=(0.8, 1.0, 1.2)), rng()))
    np.testing.assert_allclose(tinted[0, 0], (0.04, 0.05, 0.06), atol=1e-5)
    grey = to_linear(low_light.apply(photo, LowLightParameters(0.5, greying=0.3), rng()))[0, 0]
    luma = np.array([0.2126, 0.7152, 0.0722])
    assert grey @ luma == pytest.approx(0.5 * to_linear(photo)[0, 0] @ luma, rel=1e-4)
    assert grey[1] > 0


@pytest.mark.parametrize("grain", [0, 0.6])
@pytest.mark.parametrize("value", [0.1, 0.5])
def test_noise_is_shot_plus_read(value, grain):
    shot, read = 2e-4, 1e-3
    dark = to_linear(low_light.apply(flat(value), LowLightParameters(0.2, shot=shot, read=read, grain=grain), rng()))
    assert dark.mean() == pytest.approx(0.2 * value, rel=0.01)
    assert dark.var() == pytest.approx(shot * 0.2 * value + read**2, rel=0.06)


def test_strength_sets_brightness():
    """Against a photo of mean 0.5: about 0.7 of it, then 0.13, then 0.04."""
    photo = np.clip(PHOTO * (0.5 / PHOTO.mean()), 0, 1)
    means = [
        np.mean([low_light.apply(photo, low_light.draw(r, s), r).mean() for r in map(rng, range(12))]) / photo.mean()
        for s in (0, 0.25, 0.5, 0.75, 1)
    ]
    assert means == sorted(means, reverse=True)
    assert 0.6 < means[0] < 0.8
    assert 0.2 < means[2] < 0.35
    assert 0.04 < means[4] < 0.11
