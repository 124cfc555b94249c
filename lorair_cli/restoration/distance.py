"""From how far a photo is looked at: what lies over the scene is repaired on a small copy, then carried over.

Drops, shadows, streaks and haze are as large as the scene is in the photo, and experts know them from photos of some
500 pixels. On a photo of many megapixels they are larger than anything an expert ever saw, and larger than it can see
at once. Noise, JPEG's blocks, blur and thin scratches belong to the pixels and are repaired there.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping

import cv2
import numpy as np

from lorair_cli.imaging.arrays import Floats, Pixels, from_float, to_float

AFAR = 512
"""Short side in pixels of the copy: about that of the photos that experts were trained with."""

LARGE = 640
"""Short side in pixels above which a photo is looked at from afar, too."""

OVER_THE_SCENE = frozenset(("haze", "shadow", "raindrop"))
"""Repaired from afar on any large photo."""

OF_ANY_SIZE = frozenset(("rain", "snow"))
"""Repaired from afar where they are too large to be seen from near: streaks and flakes may be fine on a large photo."""

SEEN = 0.5
"""How probable they are where they are seen."""

_AROUND = 9
"""Side in pixels of the copy within which detail is compared."""

_FLAT = 4e-4
"""Variance, white being 1, below which there is hardly any detail: a deviation of 5 of 255."""

_SLOPES = (0.3, 4.0)

_ROWS = 256


def is_large(rgb: Pixels) -> bool:
    """Whether a photo ``(h, w, 3)`` is worth a look from afar."""
    return bool(min(rgb.shape[:2]) > LARGE)


def from_afar(rgb: Pixels, side: int = AFAR) -> Pixels:
    """A photo ``(h, w, 3)`` or a map ``(h, w)`` made smaller: each of its pixels is the mean of those it covers.

    ``side`` is the short side in pixels, fewer than it has.
    """
    height, width = rgb.shape[:2]
    scale = side / min(height, width)
    return np.asarray(
        cv2.resize(rgb, (round(width * scale), round(height * scale)), interpolation=cv2.INTER_AREA), rgb.dtype
    )


def no_larger(rgb: Pixels, side: int = AFAR) -> Pixels:
    """The same with a short side of ``side`` pixels at most: a small one as it is."""
    return from_afar(rgb, side) if min(rgb.shape[:2]) > side else rgb


def belongs_afar(degradations: Collection[str], near: Mapping[str, float], far: Mapping[str, float]) -> bool:
    """Whether experts for these repair a large photo from afar.

    Args:
        degradations: whose experts are in use.
        near: probabilities by a look at the photo itself.
        far: by a look at its small copy.
    """
    return bool(degradations) and all(
        name in OVER_THE_SCENE or (name in OF_ANY_SIZE and near[name] < SEEN <= far[name]) for name in degradations
    )


def carried_over(rgb: Pixels, small: Pixels, restored: Pixels) -> Pixels:
    """What ``rgb`` ``(h, w, 3)`` is, when its copy ``small`` has become ``restored``, both ``(n, m, 3)``.

    The enlarged result, and on it the photo's own fine detail, which the copy lacks: as much stronger or weaker as
    detail of the copy has become around there (the slope of a guided filter, He, Sun and Tang, 2013). A few rows at a
    time: floats of a whole photo would take more memory than restoring it does.
    """
    before, after = to_float(small), to_float(restored)
    slopes = slope(before, after)
    maps = np.concatenate([slopes, after - slopes * before], axis=2)
    height, width = rgb.shape[:2]
    step_y, step_x = small.shape[0] / height, small.shape[1] / width
    carried = np.empty_like(rgb)
    for top in range(0, height, _ROWS):
        rows = to_float(rgb[top : top + _ROWS])
        # Centres of pixels fall on centres of pixels.
        where = np.array([[step_x, 0, step_x / 2 - 0.5], [0, step_y, (top + 0.5) * step_y - 0.5]])
        times, rest = (
            cv2.warpAffine(
                np.ascontiguousarray(part),
                where,
                (width, len(rows)),
                flags=cv2.INTER_LINEAR | cv2.WARP_INVERSE_MAP,
                borderMode=cv2.BORDER_REPLICATE,
            )
            for part in (maps[..., :3], maps[..., 3:])
        )
        carried[top : top + _ROWS] = from_float(times * rows + rest, rgb.dtype)
    return carried


def around(values: Floats) -> Floats:
    """The mean of what is around each pixel, in the shape of ``values``."""
    return np.asarray(cv2.blur(values, (_AROUND, _AROUND), borderType=cv2.BORDER_REFLECT))


def slope(before: Floats, after: Floats) -> Floats:
    """How much stronger detail around each pixel has become, in their shape: 1 where there is none to see it by."""
    means = around(before), around(after)
    together = around(before * after) - means[0] * means[1]
    alone = around(before * before) - means[0] * means[0]
    return np.asarray(np.clip((together + _FLAT) / (alone + _FLAT), *_SLOPES), np.float32)
