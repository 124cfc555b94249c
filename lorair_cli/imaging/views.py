"""The views of a photo that the router looks at.

One view shows the whole photo, squashed to a square; the local ones show detail. Both modes read 8-bit RGB, because
that is what the encoders were trained on.
"""

from __future__ import annotations

import math
from typing import Literal

import numpy as np
import numpy.typing as npt
from PIL import Image

from lorair_cli.imaging.arrays import mirrored_to

Pixels = npt.NDArray[np.uint8]

ViewMode = Literal["resize", "native"]
"""How a router looks at a photo: the released one's way, or the paper's."""

REACH = 768
"""Native windows side by side look at up to so many pixels each way, where three of them do not look at more: the whole
of a small photo, for a drop is in one place only, and of a large one more than enough to know its haze or its noise."""


def views_of(
    rgb: Pixels, mode: ViewMode, view: int, limit: int | None = None, rng: np.random.Generator | None = None
) -> Pixels:
    """What a router sees of a photo: :func:`resize_views`, or :func:`native_views` with ``limit`` and ``rng``."""
    return resize_views(rgb, view) if mode == "resize" else native_views(rgb, view, limit, rng)


def resize_views(rgb: Pixels, view: int) -> Pixels:
    """The released router's views: the photo at ``view``, and at twice that cut into 2x2.

    Args:
        rgb: ``(h, w, 3)`` uint8.
        view: side of a view in pixels.

    Returns:
        ``(5, view, view, 3)`` uint8: whole, then upper left, upper right, lower left, lower right.
    """
    photo = Image.fromarray(rgb)
    whole = np.asarray(photo.resize((view, view), Image.Resampling.BICUBIC))
    double = np.asarray(photo.resize((2 * view, 2 * view), Image.Resampling.BICUBIC))
    corners = [double[y : y + view, x : x + view] for y in (0, view) for x in (0, view)]
    return np.stack([whole, *corners])


def native_views(rgb: Pixels, view: int, limit: int | None = None, rng: np.random.Generator | None = None) -> Pixels:
    """The paper's views: the photo at ``view``, and windows of it at its own resolution.

    Windows lie on an even grid that reaches every border, without gaps up to ``REACH`` pixels. A photo smaller than a
    window is mirrored up to its size, so that its pixels keep their scale.

    Args:
        rgb: ``(h, w, 3)`` uint8.
        view: side of a view in pixels.
        limit: take only this many windows (training, where photos vary anyway).
        rng: chooses them at random places; needed with ``limit``.

    Returns:
        ``(1 + M, view, view, 3)`` uint8, the downsampled view first.
    """
    whole = np.asarray(Image.fromarray(rgb).resize((view, view), Image.Resampling.BICUBIC))
    rgb = mirrored_to(rgb, view, view)
    h, w = rgb.shape[:2]
    if limit is None:
        corners = [(y, x) for y in _even(h, view) for x in _even(w, view)]
    else:
        if rng is None:
            raise ValueError("random windows need a random generator")
        corners = [(int(rng.integers(h - view + 1)), int(rng.integers(w - view + 1))) for _ in range(limit)]
    return np.stack([whole, *(rgb[y : y + view, x : x + view] for y, x in corners)])


def most_windows(view: int) -> int:
    """How many windows of ``view`` pixels lie side by side at most."""
    return max(3, REACH // view)


def _even(length: int, view: int) -> list[int]:
    """Starts of 1 to ``most_windows(view)`` windows spread evenly over ``length``."""
    count = min(most_windows(view), math.ceil(length / view))
    return (
        [round(i * (length - view) / max(count - 1, 1)) for i in range(count)] if count > 1 else [(length - view) // 2]
    )
