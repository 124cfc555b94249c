"""Haze: atmospheric scattering over a plausible depth map."""

from __future__ import annotations

import math
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
    stretch: float = 1.0
    """Power of the depth: above 1, the haze lies in the distance and leaves what is near clear."""


def draw(rng: np.random.Generator, strength: float, distant: float = HAZE.distant) -> HazeParameters:
    """Haze of a strength in [0, 1]; in the distance with the probability ``distant``, if it is not flat."""
    airlight = HAZE.grey if rng.uniform() < HAZE.grey_chance else HAZE.airlight
    brightness = airlight.draw(rng)
    red, green, blue = (float(np.clip(brightness + HAZE.tint.draw(rng), 0, 1)) for _ in range(3))
    optical_depth = HAZE.optical_depth.draw(rng, strength)
    flat = bool(rng.uniform() < HAZE.flat_chance)
    # Nothing is drawn where nothing is asked for: what recipes without it draw stays the same.
    stretch = HAZE.stretch.draw(rng) if distant > 0 and not flat and rng.uniform() < distant else 1.0
    # Of two photos of the same mean, the one with a clear foreground has the thicker haze behind it: a lighter mean
    # leaves something to be seen there.
    transmission = math.exp(-optical_depth / math.sqrt(stretch))
    return HazeParameters(transmission, (red, green, blue), flat, stretch)


def apply(clean: Photo, parameters: HazeParameters, rng: np.random.Generator) -> Photo:
    """``clean`` (h, w, 3) in [0, 1] behind haze."""
    if parameters.flat:
        transmission = np.full(clean.shape[:2], parameters.transmission, np.float32)
    else:
        depth = plausible_depth(clean, rng)
        if parameters.stretch != 1:
            depth **= np.float32(parameters.stretch)
        transmission = thin_out(depth, parameters.transmission)
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
