"""Raindrops on a window: each drop is a small lens that shows the wide scene upside down, blurred with the window.

Model: ``I = (1 - M) B + M R`` (Qian et al., CVPR 2018) with a refracted scene R (Roser and Geiger, ICCVW 2009). Numbers
in ``ranges.RAINDROP``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import cast

import cv2
import numpy as np
import numpy.typing as npt

from lorair_cli.data.synthesis.fields import Field
from lorair_cli.data.synthesis.light import Photo
from lorair_cli.data.synthesis.ranges import RAINDROP, REFERENCE_SIDE
from lorair_cli.data.synthesis.shapes import fill, random_outlines, soften

_MOST_DROPS = 400
_SCENE_SIDE = 64
"""Short side of the scene as seen in a drop: a drop is so small a lens that no finer detail survives."""


@dataclass(frozen=True)
class RaindropParameters:
    """What one wet window looks like."""

    coverage: float
    """Share of the photo under drops, before those too close to another are left out."""
    radius: float
    """Typical radius, pixels at the reference side."""
    radius_spread: float
    """Standard deviation of the logarithm of the radius."""
    irregularity: float
    """Deviation of outlines from an ellipse, in radii."""
    stretch: float
    """Height over width of a drop."""
    closest: float
    """Least distance of the centres of two drops, in the sum of their radii: under 1, drops run into each other."""
    defocus: float
    """Standard deviation of the blur of the edges and of what a drop shows, in typical radii."""
    reach: float
    """Half-width of the scene a drop shows, share of the photo's short side."""
    opacity: float
    """Weight of the refracted scene inside a drop, in [0, 1]."""
    glow: float
    """Share of the brightest part of the scene that a drop shows all over, in [0, 1]."""
    rim: float
    """Darkening at the edge, in [0, 1]."""
    highlight: float
    """Brightness of the light spot, display value in [0, 1]."""


def draw(rng: np.random.Generator, strength: float, plain: float = RAINDROP.plain_chance) -> RaindropParameters:
    """Parameters of a wet window of the given strength in [0, 1], its drops plain with the probability ``plain``."""
    is_plain = float(rng.uniform()) < plain
    return RaindropParameters(
        coverage=RAINDROP.coverage.draw(rng, strength),
        radius=RAINDROP.radius.draw(rng, strength),
        radius_spread=RAINDROP.radius_spread.draw(rng),
        irregularity=RAINDROP.irregularity.draw(rng),
        stretch=RAINDROP.stretch.draw(rng),
        closest=RAINDROP.closest.draw(rng),
        defocus=RAINDROP.defocus.draw(rng),
        reach=RAINDROP.reach.draw(rng),
        opacity=RAINDROP.opacity.draw(rng),
        glow=0.0 if is_plain else RAINDROP.glow.draw(rng),
        rim=RAINDROP.rim.draw(rng),
        highlight=0.0 if is_plain else RAINDROP.highlight.draw(rng),
    )


def apply(clean: Photo, parameters: RaindropParameters, rng: np.random.Generator, scale: float = 1.0) -> Photo:
    """``clean`` (``(h, w, 3)`` in [0, 1]) seen through a wet window, whose drops are ``scale`` times as large."""
    height, width = clean.shape[:2]
    radius = max(parameters.radius * scale * min(height, width) / REFERENCE_SIDE, 1.5)
    count = math.ceil(parameters.coverage * height * width / (math.pi * radius**2 * parameters.stretch))
    count = min(count, _MOST_DROPS)
    radii = radius * np.exp(np.clip(parameters.radius_spread * rng.standard_normal(count), -1.2, 1.2))
    centres = rng.uniform((0, 0), (width, height), (count, 2))
    apart = _apart(centres / (1, parameters.stretch), radii, parameters.closest)
    centres, radii = centres[apart], radii[apart]
    blur = parameters.defocus * radius

    outlines = random_outlines(radii, parameters.irregularity, rng)
    outlines[..., 1] *= parameters.stretch
    # The blur carries a drop beyond its outline, so what it shows is drawn larger than what it covers.
    larger = outlines * (1 + 2.5 * blur / radii)[:, None, None]
    labels = np.zeros((height, width), np.uint16)  # 0 is no drop
    mask = np.zeros((height, width), np.uint8)
    for label, (centre, outline) in enumerate(zip(centres, larger, strict=True), start=1):
        fill(labels, outline + centre, label, smooth=False)
    # A second round, so that every drop owns the pixels it covers, and only the soft margins are shared out.
    for label, (centre, outline) in enumerate(zip(centres, outlines, strict=True), start=1):
        fill(labels, outline + centre, label, smooth=False)
        fill(mask, outline + centre, 255)
    alpha = soften(mask, max(blur, 0.4))
    u, v = _lens_coordinates(labels, centres, radii, parameters.stretch)
    seen = _refracted(clean, labels, centres, u, v, parameters)
    if blur > 0.4:  # the camera looks past the window: what a drop shows is as far out of focus as its edge
        seen = cast(Photo, cv2.GaussianBlur(seen, (0, 0), blur))
    weight = (np.float32(parameters.opacity) * alpha)[..., None]
    return cast(Photo, np.clip(clean + weight * (seen - clean), 0, 1))


def _apart(centres: npt.NDArray[np.float64], radii: npt.NDArray[np.float64], closest: float) -> npt.NDArray[np.int64]:
    """The drops that no earlier drop swallows, which are those ``closest`` sums of radii from every earlier one."""
    distances = np.hypot(*(centres[:, None] - centres).transpose(2, 0, 1))
    clash = np.tril(distances < closest * (radii[:, None] + radii), k=-1)
    free = np.ones(len(radii), bool)
    for index, row in enumerate(clash):
        free[index] = not (row & free).any()
    return np.flatnonzero(free)


def _per_pixel(values: npt.NDArray[np.float64], labels: npt.NDArray[np.uint16]) -> Field:
    """The value of each pixel's drop; pixels of no drop hold anything."""
    return np.concatenate([[values[0]], values]).astype(np.float32)[labels]


def _lens_coordinates(
    labels: npt.NDArray[np.uint16],
    centres: npt.NDArray[np.float64],
    radii: npt.NDArray[np.float64],
    stretch: float,
) -> tuple[Field, Field]:
    """Where in its drop each pixel lies: x and y from the centre, about -1 to 1."""
    height, width = labels.shape
    x, y = np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32)[:, None]
    u = (x - _per_pixel(centres[:, 0], labels)) * _per_pixel(1 / radii, labels)
    v = (y - _per_pixel(centres[:, 1], labels)) * _per_pixel(1 / (radii * stretch), labels)
    return np.clip(u, -1.5, 1.5), np.clip(v, -1.5, 1.5)


def _refracted(
    clean: Photo,
    labels: npt.NDArray[np.uint16],
    centres: npt.NDArray[np.float64],
    u: Field,
    v: Field,
    parameters: RaindropParameters,
) -> Photo:
    """What the drops show, for every pixel of every drop (other pixels hold anything)."""
    height, width = clean.shape[:2]
    shrink = max(min(height, width) / _SCENE_SIDE, 1.0)
    small = cv2.resize(clean, (max(int(width / shrink), 1), max(int(height / shrink), 1)), interpolation=cv2.INTER_AREA)
    small = cv2.GaussianBlur(small, (0, 0), 1.2)
    squared = u * u + v * v
    # Turned by half a turn, and wider towards the edge, where the surface of the drop is steepest.
    reach = np.float32(parameters.reach * min(height, width)) * (np.float32(0.7) + np.float32(0.5) * squared)
    map_x = (_per_pixel(centres[:, 0], labels) - reach * u) * np.float32(small.shape[1] / width)
    map_y = (_per_pixel(centres[:, 1], labels) - reach * v) * np.float32(small.shape[0] / height)
    scene = cast(Photo, cv2.remap(small, map_x, map_y, cv2.INTER_LINEAR, borderMode=cv2.BORDER_REFLECT))
    scene += np.float32(parameters.glow) * (small.max(axis=(0, 1)) - scene)
    # Light leaves sideways at the rim; the sky mirrors in a spot below the centre, where the turned scene has it too.
    shade = 1 - np.float32(parameters.rim) * np.clip(squared, 0, 1) ** 2
    spot = np.float32(parameters.highlight) * np.exp(-6 * ((u + np.float32(0.1)) ** 2 + (v - np.float32(0.35)) ** 2))
    return cast(Photo, np.clip(scene * shade[..., None] + spot[..., None], 0, 1))
