"""Smooth random fields, and depth maps that suit a photo: what weather and shade are made of."""

from __future__ import annotations

from typing import cast

import cv2
import numpy as np
import numpy.typing as npt

from lorair_cli.data.synthesis.light import Photo

Field = npt.NDArray[np.float32]
"""``(h, w)`` float32."""

_CELLS_PER_BLOB = 4
_DEPTH_SIDE = 80
"""Short side at which depth is computed: fine enough to tell objects apart, and a few percent of the photo's pixels."""


def smooth_field(shape: tuple[int, int], rng: np.random.Generator, scale: float) -> Field:
    """A smooth random field, like clouds.

    Args:
        shape: ``(h, w)``.
        rng: the only source of randomness.
        scale: size of a patch, in pixels; may exceed the photo, whose field is then a gentle slope.

    Returns:
        ``(h, w)`` float32, stretched so that its least value is 0 and its greatest is 1.
    """
    height, width = shape
    cell = max(scale / _CELLS_PER_BLOB, 1.0)
    # A coarse lattice of noise, smoothed by itself, then enlarged: the smoothing hides the lattice.
    margin = 2 * _CELLS_PER_BLOB
    rows, columns = (int(np.ceil(side / cell)) + 2 * margin for side in shape)
    lattice = rng.standard_normal((rows, columns), dtype=np.float32)
    lattice = cast(Field, cv2.GaussianBlur(lattice, (0, 0), _CELLS_PER_BLOB / 3))
    # Sampled at pixel centres, away from the reflected borders of the blur.
    enlarge = np.array([[1 / cell, 0, margin], [0, 1 / cell, margin]], np.float32)
    how = cv2.INTER_CUBIC | cv2.WARP_INVERSE_MAP
    return stretch(cv2.warpAffine(lattice, enlarge, (width, height), flags=how, borderMode=cv2.BORDER_REFLECT))


def stretch(field: Field) -> Field:
    """``field`` moved and scaled to [0, 1]; a constant field becomes 0.5."""
    low, high = float(field.min()), float(field.max())
    if high - low < 1e-12:
        return np.full_like(field, 0.5)
    stretched: Field = np.clip((field - np.float32(low)) / np.float32(high - low), 0, 1)
    return stretched


def plausible_depth(photo: Photo, rng: np.random.Generator) -> Field:
    """A depth map that could belong to the photo: a ground plane, things standing on it, and relief.

    A guess, not an estimate: training needs depths that vary as scenes do and break where things do.

    Args:
        photo: ``(h, w, 3)`` in [0, 1].
        rng: the only source of randomness.

    Returns:
        ``(h, w)`` float32 in [0.02, 1]; 1 is far.
    """
    height, width = photo.shape[:2]
    shrink = min(_DEPTH_SIDE / min(height, width), 1.0)
    size = (max(round(width * shrink), 8), max(round(height * shrink), 8))
    small = cast(Photo, cv2.resize(photo, size, interpolation=cv2.INTER_AREA))
    ground = _ground(small.shape[:2], rng)
    things = _things(small, ground, rng)
    relief = smooth_field(small.shape[:2], rng, rng.uniform(0.5, 1.5) * _DEPTH_SIDE)
    # Things tell near from far most often; a share of each keeps the draws apart.
    weights = rng.dirichlet((2.0, 4.0, 1.0)).astype(np.float32)
    coarse = weights[0] * ground + weights[1] * things + weights[2] * relief
    depth: Field = np.clip(_follow_edges(coarse, photo, small), np.float32(0.02), 1)
    return depth


def _ground(shape: tuple[int, int], rng: np.random.Generator) -> Field:
    """Depth of a plane under a horizon, seen with a slight roll: inverse to the distance below the horizon."""
    height, width = shape
    horizon = rng.uniform(-0.1, 0.6)
    steepness = rng.uniform(2.0, 9.0)
    y = np.linspace(0, 1, height, dtype=np.float32)[:, None]
    x = np.linspace(-0.5, 0.5, width, dtype=np.float32)[None, :]
    below = np.clip((y + rng.normal(0, 0.1) * x - horizon) / (1 - horizon), 0, 1)
    depth: Field = np.reciprocal(1 + np.float32(steepness) * below)
    return depth


def _things(small: Photo, ground: Field, rng: np.random.Generator) -> Field:
    """The photo cut into regions of like colour and place, each as far away as the ground where it stands, roughly."""
    height, width = ground.shape
    count = int(rng.integers(6, 16))
    smoothed = cv2.GaussianBlur(small, (0, 0), 1.0).reshape(-1, 3)
    place = np.indices((height, width), dtype=np.float32).reshape(2, -1).T / np.float32(max(height, width))
    # Regions are the cells of random pixels in the space of colour and place: a superpixel at no cost.
    features = np.concatenate([smoothed * np.float32(rng.uniform(1.0, 3.0)), place], axis=1)
    seeds = features[rng.integers(0, len(features), count)]
    distance = (seeds**2).sum(axis=1) - 2 * features @ seeds.T
    region = distance.argmin(axis=1)
    depth = np.empty(count)
    for index in range(count):
        inside = ground.reshape(-1)[region == index]
        depth[index] = np.quantile(inside, 0.3) if inside.size else 0.5
    # Pale and unsaturated regions are sky or far hills more often than not.
    pale = smoothed.min(axis=1)
    paleness = np.bincount(region, pale, count) / np.maximum(np.bincount(region, minlength=count), 1)
    depth = depth * rng.uniform(0.6, 1.4, count) + rng.uniform(0, 0.5) * (paleness - 0.4)
    things: Field = np.clip(depth, 0.05, 1).astype(np.float32)[region].reshape(height, width)
    return things


def _follow_edges(coarse: Field, photo: Photo, small: Photo) -> Field:
    """``coarse`` at the photo's size, with its steps moved to the photo's edges.

    The fast guided filter (He and Sun, arXiv 1505.00996): the local linear model is fitted on the small photo and
    applied to the large one.
    """
    height, width = photo.shape[:2]
    window = (9, 9)
    guide = cast(Field, cv2.cvtColor(small, cv2.COLOR_RGB2GRAY))
    mean_guide, mean_depth = cv2.blur(guide, window), cv2.blur(coarse, window)
    covariance = cv2.blur(guide * coarse, window) - mean_guide * mean_depth
    variance = cv2.blur(guide * guide, window) - mean_guide * mean_guide
    slope = covariance / (variance + np.float32(0.005))
    offset = cv2.blur(mean_depth - slope * mean_guide, window)
    slope = cv2.blur(slope, window)
    slope, offset = (cv2.resize(each, (width, height), interpolation=cv2.INTER_LINEAR) for each in (slope, offset))
    return cast(Field, slope * cv2.cvtColor(photo, cv2.COLOR_RGB2GRAY) + offset)
