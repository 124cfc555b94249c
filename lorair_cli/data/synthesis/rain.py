"""Rain: layers of streaks, added or screened onto the photo, sometimes behind a veil.

Model: ``I = T (B + sum_k S_k) + (1 - T) A`` (Yang et al., CVPR 2017; Li et al., CVPR 2019); streaks come in two kinds,
drawn one by one, or sparse noise stretched along the fall. Numbers in ``ranges.RAIN``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import cast

import cv2
import numpy as np

from lorair_cli.data.synthesis.fields import Field, plausible_depth, smooth_field
from lorair_cli.data.synthesis.haze import scatter, thin_out
from lorair_cli.data.synthesis.light import Photo
from lorair_cli.data.synthesis.ranges import RAIN, REFERENCE_SIDE

_CELLS_PER_STREAK = 8
_MOST_DRAWN = 500
"""More streaks than this in a layer are not told apart by eye: they come from noise, at one cost for any number."""


@dataclass(frozen=True)
class StreakLayer:
    """One layer of streaks at about one distance."""

    coverage: float
    """Share of the photo under streaks, if none overlapped."""
    brightness: float
    """Greatest brightness of one streak, display value in [0, 1]; filtered ones add up where they overlap."""
    angle: float
    """Direction, degrees from vertical."""
    length: float
    """Pixels at the reference side."""
    width: float
    """Pixels at the reference side."""
    rendered: bool
    """Drawn streak by streak; else filtered noise."""


@dataclass(frozen=True)
class RainParameters:
    """What one rain looks like."""

    layers: tuple[StreakLayer, ...]
    screened: bool
    """Screen the streaks, ``1 - (1 - B)(1 - S)``, instead of adding them."""
    veil: float
    """Mean opacity of the veil in [0, 1]."""
    airlight: float
    """Brightness of the veil, display value in [0, 1]."""
    deep: bool = False
    """The veil is thicker before what is far away, as haze is; else it hangs in patches."""


def draw(
    rng: np.random.Generator,
    strength: float,
    veiled: float = RAIN.veiled,
    misty: float = RAIN.misty,
    drizzling: float = RAIN.drizzling,
) -> RainParameters:
    """Parameters of a rain of the given strength in [0, 1].

    It has a veil with the probability ``veiled``, and that is mist with the probability ``misty``. With the probability
    ``drizzling`` it is a drizzle, which has veils of its own.
    """
    # Nothing is drawn where no drizzle is asked for: what recipes without it draw stays the same.
    drizzle = drizzling > 0 and bool(rng.uniform() < drizzling)
    count = round(RAIN.layers.draw(rng, strength))
    tilt, spread = RAIN.tilt.draw(rng), (RAIN.drizzle_spread if drizzle else RAIN.spread).draw(rng, strength)
    dense = bool(rng.uniform() < RAIN.dense)
    coverage, brightness, widths = RAIN.coverage, RAIN.brightness, RAIN.width
    if drizzle:
        coverage, brightness, widths = RAIN.drizzle_coverage, RAIN.drizzle_brightness, RAIN.drizzle_width
        veiled, misty = RAIN.drizzle_veiled, RAIN.drizzle_misty
    elif dense:
        coverage, brightness = RAIN.dense_coverage, RAIN.dense_brightness
    shares = rng.dirichlet(np.full(count, 3.0)) * coverage.draw(rng, strength)
    lengths = [RAIN.length.draw(rng) for _ in range(count)]
    layers = tuple(
        StreakLayer(
            coverage=float(share),
            brightness=brightness.draw(rng, strength),
            angle=tilt + spread * float(rng.standard_normal()),
            length=length,
            width=min(widths.draw(rng), RAIN.widest * length),
            rendered=bool(rng.uniform() < RAIN.rendered),
        )
        for share, length in zip(shares, lengths, strict=True)
    )
    has_veil = bool(rng.uniform() < veiled)
    screened = bool(rng.uniform() < RAIN.screened)
    deep = has_veil and bool(rng.uniform() < misty)
    opacity, airlight = (RAIN.mist, RAIN.mist_airlight) if deep else (RAIN.veil, RAIN.airlight)
    return RainParameters(layers, screened, opacity.draw(rng, strength) if has_veil else 0.0, airlight.draw(rng), deep)


def apply(clean: Photo, parameters: RainParameters, rng: np.random.Generator, scale: float = 1.0) -> Photo:
    """``clean`` (``(h, w, 3)`` in [0, 1]) in rain of ``scale`` times the size; without a veil no pixel gets darker."""
    shape = clean.shape[:2]
    streaks = np.zeros(shape, np.float32)
    for layer in parameters.layers:
        streaks += _layer(shape, layer, scale, rng)
    light = np.clip(streaks, 0, 1)[..., None]
    rainy: Photo = np.clip(clean + (light * (1 - clean) if parameters.screened else light), 0, 1)
    if not parameters.veil:
        return rainy
    return scatter(rainy, _transmission(clean, parameters, rng), (parameters.airlight,) * 3)


def _transmission(clean: Photo, parameters: RainParameters, rng: np.random.Generator) -> Field:
    """T of the veil, ``(h, w)`` in [0.05, 1], ``1 - parameters.veil`` in the mean."""
    if parameters.deep:
        transmission = thin_out(plausible_depth(clean, rng), 1 - parameters.veil)
    else:
        shape = clean.shape[:2]
        # Half to one and a half times the mean: the veil is never even.
        transmission = 1 - np.float32(parameters.veil) * (smooth_field(shape, rng, 0.7 * min(shape)) + np.float32(0.5))
    return cast(Field, np.clip(transmission, 0.05, 1))


def _layer(shape: tuple[int, int], layer: StreakLayer, scale: float, rng: np.random.Generator) -> Field:
    scale *= min(shape) / REFERENCE_SIDE
    length, width = max(layer.length * scale, 4.0), max(layer.width * scale, 1.0)
    count = math.ceil(layer.coverage * shape[0] * shape[1] / (length * width))
    if layer.rendered and count <= _MOST_DRAWN:
        return _drawn(shape, layer, count, length, width, rng)
    return _filtered(shape, layer, length, width, rng)


def _drawn(
    shape: tuple[int, int], layer: StreakLayer, count: int, length: float, width: float, rng: np.random.Generator
) -> Field:
    """Anti-aliased segments of varied length, direction and brightness, fading towards their ends."""
    height, columns = shape
    canvas = np.zeros(shape, np.uint8)
    angles = np.radians(layer.angle + 1.5 * rng.standard_normal(count))
    half = 0.5 * length * rng.uniform(0.5, 1.5, count)
    centres = rng.uniform((0, 0), (columns, height), (count, 2))
    along = np.stack([np.sin(angles), np.cos(angles)], axis=1)
    thickness = np.maximum(np.round(width * rng.uniform(0.6, 1.4, count)), 1).astype(int)
    # Brighter ones last: OpenCV overwrites, so the brighter of two crossing streaks stays.
    brightness = np.sort(255 * layer.brightness * rng.uniform(0.3, 1.0, count))
    for reach, share in ((1.0, 0.5), (0.6, 1.0)):
        ends = np.stack([centres - (reach * half)[:, None] * along, centres + (reach * half)[:, None] * along], axis=1)
        for (start, end), value, thick in zip((16 * ends).astype(int).tolist(), brightness, thickness, strict=True):
            cv2.line(canvas, start, end, float(share * value), int(thick), cv2.LINE_AA, 4)
    return cast(Field, cv2.GaussianBlur(canvas, (0, 0), 0.35 + 0.15 * width).astype(np.float32) / np.float32(255))


def _filtered(
    shape: tuple[int, int], layer: StreakLayer, length: float, width: float, rng: np.random.Generator
) -> Field:
    """Sparse noise on an upright lattice, stretched along the fall, then turned into place in one resampling."""
    height, columns = shape
    cell = max(length / _CELLS_PER_STREAK, 1.0)
    cells = max(round(length / cell), 2)
    side = math.hypot(height, columns)
    rows, places = math.ceil(side / cell) + cells, math.ceil(side / width) + 2
    seeds = rng.random((rows, places), dtype=np.float32)
    # What is left of evenly drawn numbers above a threshold is even again: brightness comes for free.
    seeds = np.maximum(seeds - np.float32(1 - min(layer.coverage / cells, 1.0)), 0)
    seeds *= np.float32(layer.brightness * cells / max(float(seeds.max()), 1e-6))
    lattice = cv2.blur(seeds, (1, cells), borderType=cv2.BORDER_REFLECT)
    sine, cosine = math.sin(math.radians(layer.angle)), math.cos(math.radians(layer.angle))
    turn = np.array([[cosine / width, -sine / width, places / 2], [sine / cell, cosine / cell, rows / 2]], np.float64)
    turn[:, 2] -= turn[:, :2] @ np.array([columns / 2, height / 2])
    flags = cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP
    return cast(Field, cv2.warpAffine(lattice, turn, (columns, height), flags=flags, borderMode=cv2.BORDER_REFLECT))
