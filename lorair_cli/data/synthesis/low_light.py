"""Low light: a short exposure, a toe that swallows the shadows, a colour cast, and the sensor's noise."""

from __future__ import annotations

from dataclasses import dataclass

import cv2
import numpy as np

from lorair_cli.data.synthesis.light import Photo, to_display, to_linear
from lorair_cli.data.synthesis.noise import unit_noise
from lorair_cli.data.synthesis.ranges import LOW_LIGHT

_MID_GREY = 0.18
_LUMA = (0.2126, 0.7152, 0.0722)


@dataclass(frozen=True)
class LowLightParameters:
    """An underexposed picture. Linear light, where 1 is display white."""

    exposure: float
    """Gain at mid-grey, in (0, 1]."""
    gamma: float = 1.0
    """Exponent on linear light; above 1 the shadows fall deeper than the exposure alone would let them."""
    cast: tuple[float, float, float] = (1.0, 1.0, 1.0)
    """Gain per channel."""
    greying: float = 0.0
    """Share of the colour that is lost, in [0, 1]."""
    shot: float = 0.0
    """Variance of the photon noise per unit of light."""
    read: float = 0.0
    """Standard deviation of the read noise."""
    grain: float = 0.0
    """Radius, in pixels, over which neighbouring pixels share noise; 0 is independent pixels."""


def draw(rng: np.random.Generator, strength: float) -> LowLightParameters:
    """Darkness of a strength in [0, 1]."""
    spread = LOW_LIGHT.cast.draw(rng, strength)
    gains = np.exp(spread * rng.standard_normal(3))
    red, green, blue = (float(gain) for gain in gains / gains.mean())
    exposure, gamma = LOW_LIGHT.exposure.draw(rng, strength), LOW_LIGHT.gamma.draw(rng, strength)
    if rng.uniform() < LOW_LIGHT.steep_chance:
        gamma = LOW_LIGHT.steep.draw(rng)
        exposure = min(exposure, _MID_GREY ** (gamma - 1))  # white stays white at most
    return LowLightParameters(
        exposure=exposure,
        gamma=gamma,
        cast=(red, green, blue),
        greying=LOW_LIGHT.greying.draw(rng, strength),
        shot=LOW_LIGHT.shot.draw(rng),
        read=LOW_LIGHT.read.draw(rng),
        grain=LOW_LIGHT.grain.draw(rng) if rng.uniform() < LOW_LIGHT.grain_chance else 0.0,
    )


def apply(clean: Photo, parameters: LowLightParameters, rng: np.random.Generator) -> Photo:
    """``clean`` (h, w, 3) in [0, 1], taken with too little light; not rounded to 8 bits."""
    light = cv2.pow(to_linear(clean), parameters.gamma).reshape(clean.shape)
    # One 3x3 matrix holds the exposure, the cast and the loss of colour.
    gain = parameters.exposure * _MID_GREY ** (1 - parameters.gamma)
    colour = (1 - parameters.greying) * np.eye(3) + parameters.greying * np.array([_LUMA] * 3)
    light = cv2.transform(light, (gain * np.diag(parameters.cast) @ colour).astype(np.float32))
    noise = unit_noise(clean.shape, rng, grain=parameters.grain)
    noise *= np.sqrt(np.float32(parameters.shot) * light + np.float32(parameters.read**2))
    light += noise
    return np.clip(to_display(light), 0, 1)
