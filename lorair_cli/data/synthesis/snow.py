"""Snow: flakes from far and tiny to near, big and soft, laid over the photo, and a light veil.

Model: ``I = z A + (1 - z) B`` (Liu et al., TIP 2018, Snow100K) with the veil of CSD (Chen et al., ICCV 2021).
Numbers in ``ranges.SNOW``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import cast

import cv2
import numpy as np

from lorair_cli.data.synthesis.fields import Field, smooth_field
from lorair_cli.data.synthesis.light import Photo
from lorair_cli.data.synthesis.ranges import REFERENCE_SIDE, SNOW
from lorair_cli.data.synthesis.shapes import fill, random_outlines, soften

_DRAWN_RADIUS = 1.8
"""Below this radius, in pixels, a flake has no shape: it is a blurred dot."""
_MOST_DRAWN = 600


@dataclass(frozen=True)
class FlakeLayer:
    """Flakes at about one distance."""

    coverage: float
    """Share of the photo under flakes, if none overlapped."""
    radius: float
    """Typical radius, pixels at the reference side."""
    defocus: float
    """Standard deviation of the blur, in radii."""
    motion: float
    """Length along the fall over width, at least 1."""
    angle: float
    """Direction of the fall, degrees from vertical."""
    opacity: float
    """Greatest opacity in [0, 1]."""


@dataclass(frozen=True)
class SnowParameters:
    """What one snowfall looks like."""

    layers: tuple[FlakeLayer, ...]
    radius_spread: float
    """Standard deviation of the logarithm of the radius inside a layer."""
    irregularity: float
    """Deviation of outlines from a circle, in radii."""
    white: float
    """Brightness of flakes and veil, display value in [0, 1]."""
    veil: float
    """Mean opacity of the veil in [0, 1]."""


def draw(rng: np.random.Generator, strength: float, veiled: float = SNOW.veiled) -> SnowParameters:
    """Parameters of a snowfall of the given strength in [0, 1], which has a veil with the probability ``veiled``."""
    count = round(SNOW.layers.draw(rng))
    radii = np.geomspace(SNOW.far_radius.draw(rng), SNOW.near_radius.draw(rng, strength), count)
    near = SNOW.near_share.draw(rng)
    shares = np.linspace(1 - near, near, count) * rng.uniform(0.6, 1.4, count)
    shares *= SNOW.coverage.draw(rng, strength) / shares.sum()
    tilt, motion = SNOW.tilt.draw(rng), SNOW.motion.draw(rng)
    layers = tuple(
        FlakeLayer(
            coverage=float(share),
            radius=float(radius),
            defocus=SNOW.defocus.draw(rng),
            motion=max(motion * float(rng.uniform(0.7, 1.3)), 1.0),
            angle=tilt + 8 * float(rng.standard_normal()),
            opacity=SNOW.opacity.draw(rng, strength),
        )
        for share, radius in zip(shares, radii, strict=True)
    )
    return SnowParameters(
        layers=layers,
        radius_spread=SNOW.radius_spread.draw(rng),
        irregularity=SNOW.irregularity.draw(rng),
        white=SNOW.white.draw(rng),
        veil=SNOW.veil.draw(rng, strength) if rng.uniform() < veiled else 0.0,
    )


def apply(clean: Photo, parameters: SnowParameters, rng: np.random.Generator, scale: float = 1.0) -> Photo:
    """``clean`` (``(h, w, 3)`` in [0, 1]) in the snow; every pixel moves towards the white of the flakes or stays.

    Flakes are ``scale`` times as large as the parameters say.
    """
    shape = clean.shape[:2]
    seen = np.ones(shape, np.float32)  # share of the photo's own light that gets through
    if parameters.veil:
        seen -= parameters.veil * (smooth_field(shape, rng, 0.7 * min(shape)) + np.float32(0.5))
    for layer in parameters.layers:
        seen *= 1 - _layer(shape, layer, parameters, scale, rng)
    white = np.float32(parameters.white)
    return cast(Photo, np.clip(white + np.clip(seen, 0, 1)[..., None] * (clean - white), 0, 1))


def _layer(
    shape: tuple[int, int], layer: FlakeLayer, parameters: SnowParameters, scale: float, rng: np.random.Generator
) -> Field:
    radius = max(layer.radius * scale * min(shape) / REFERENCE_SIDE, 0.6)
    count = math.ceil(layer.coverage * shape[0] * shape[1] / (math.pi * radius * radius * layer.motion))
    if radius < _DRAWN_RADIUS or count > _MOST_DRAWN:
        return _dots(shape, layer, radius, count, rng)
    return _flakes(shape, layer, parameters, radius, count, rng)


def _dots(shape: tuple[int, int], layer: FlakeLayer, radius: float, count: int, rng: np.random.Generator) -> Field:
    """Opacity of flakes too small to have a shape: single pixels, spread by one elongated Gaussian."""
    height, width = shape
    opacity = np.zeros(shape, np.float32)
    places = rng.integers(0, height * width, count)
    opacity.ravel()[places] = layer.opacity * rng.uniform(0.2, 1.0, count)
    spread = max(0.7 * radius, 0.5)
    reach = min(math.ceil(2.5 * spread * layer.motion), 3 + 3 * math.ceil(spread))
    y, x = np.mgrid[-reach : reach + 1, -reach : reach + 1].astype(np.float32)
    sine, cosine = math.sin(math.radians(layer.angle)), math.cos(math.radians(layer.angle))
    along, across = x * sine + y * cosine, x * cosine - y * sine
    kernel = np.exp(-0.5 * ((across / spread) ** 2 + (along / (spread * layer.motion)) ** 2))
    return np.clip(cast(Field, cv2.filter2D(opacity, -1, kernel, borderType=cv2.BORDER_REFLECT)), 0, layer.opacity)


def _flakes(
    shape: tuple[int, int],
    layer: FlakeLayer,
    parameters: SnowParameters,
    radius: float,
    count: int,
    rng: np.random.Generator,
) -> Field:
    """Opacity of flakes with an outline each, stretched along the fall and blurred with their distance."""
    height, width = shape
    canvas = np.zeros(shape, np.uint8)
    radii = radius * np.exp(parameters.radius_spread * rng.standard_normal(count))
    outlines = random_outlines(radii, parameters.irregularity, rng)
    outlines[..., 1] *= layer.motion
    angle = math.radians(layer.angle)
    turn = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
    centres = rng.uniform((0, 0), (width, height), (count, 2))
    outlines = outlines @ turn + centres[:, None]
    # More opaque ones last: OpenCV overwrites, so the stronger of two overlapping flakes stays.
    for outline, opacity in zip(outlines, np.sort(255 * layer.opacity * rng.uniform(0.3, 1.0, count)), strict=True):
        fill(canvas, outline, float(opacity))
    return soften(canvas, max(layer.defocus * radius, 0.4))
