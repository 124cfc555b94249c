"""Haze: atmospheric scattering over a plausible depth map."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from lorair_cli.data.synthesis.fields import Field, plausible_depth
from lorair_cli.data.synthesis.light import Photo
from lorair_cli.data.synthesis.ranges import HAZE


@dataclass(frozen=True)
class HazeParameters:
    """How dense the haze is and of what colour."""

    transmission: float
    """Mean share, in (0, 1], of the scene's own light that gets through."""
    airlight: tuple[float, float, float]
    """Colour of infinitely thick haze, RGB in [0, 1]."""
    flat: bool = False
    """The whole scene at one depth, so that the transmission is the same everywhere."""


def draw(rng: np.random.Generator, strength: float) -> HazeParameters:
    """Haze of a strength in [0, 1]."""
    airlight = HAZE.grey if rng.uniform() < HAZE.grey_chance else HAZE.airlight
    brightness = airlight.draw(rng)
    red, green, blue = (float(np.clip(brightness + HAZE.tint.draw(rng), 0, 1)) for _ in range(3))
    transmission = float(np.exp(-HAZE.optical_depth.draw(rng, strength)))
    return HazeParameters(transmission, (red, green, blue), bool(rng.uniform() < HAZE.flat_chance))


def apply(clean: Photo, parameters: HazeParameters, rng: np.random.Generator) -> Photo:
    """``clean`` (h, w, 3) in [0, 1] behind haze."""
    if parameters.flat:
        transmission = np.full(clean.shape[:2], parameters.transmission, np.float32)
    else:
        transmission = thin_out(plausible_depth(clean, rng), parameters.transmission)
    return scatter(clean, transmission, parameters.airlight)


def scatter(clean: Photo, transmission: Field, airlight: tuple[float, float, float]) -> Photo:
    """``I = J t + A (1 - t)`` on display values, as RESIDE does.

    Args:
        clean: J, ``(h, w, 3)`` in [0, 1].
        transmission: t, ``(h, w)`` in [0, 1].
        airlight: A, RGB in [0, 1].

    Returns:
        I, ``(h, w, 3)`` in [0, 1].
    """
    air = np.array(airlight, np.float32)
    hazy = clean - air
    hazy *= transmission[:, :, None]
    hazy += air
    return np.clip(hazy, 0, 1, out=hazy)


def thin_out(depth: Field, mean: float) -> Field:
    """``exp(-beta depth)`` with the one beta that makes its mean ``mean``; ``(h, w)`` in (0, 1]."""
    # A few thousand pixels tell the mean well enough. Newton's method cannot overshoot: the mean is convex in beta.
    sample = depth[:: max(depth.shape[0] // 64, 1), :: max(depth.shape[1] // 64, 1)].astype(np.float64)
    beta = 0.0
    for _ in range(12):
        attenuation = np.exp(-beta * sample)
        beta += (attenuation.mean() - mean) / (sample * attenuation).mean()
    transmission: Field = np.exp(np.float32(-beta) * depth)
    return transmission
