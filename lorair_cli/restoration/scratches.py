"""Scratches that the router does not see: told by what filling them took away.

A few thin lines are a hundredth of a photo and lie anywhere in it; a router that looks at it as a whole misses most of
them, and the expert for inpainting finds them all the same. It finds white lines that belong to a photo, too. What it
takes away is looked at: of scratches it is long, thin and several, and there is little else.
"""

from __future__ import annotations

import math

import cv2
import numpy as np
import numpy.typing as npt

from lorair_cli.imaging.arrays import Pixels
from lorair_cli.restoration.blending import greatest_change
from lorair_cli.restoration.distance import no_larger

Changes = npt.NDArray[np.uint8]
"""``(h, w)``: the greatest change of each pixel's colours, of 255."""

LEAST_CHANGE = 12
"""The change from which on a pixel may belong to a scratch."""

LENGTH, WIDTH = 0.2, 0.012
"""A scratch is longer than this and thinner than that, in short sides of the photo; three pixels are never thick."""

GAP = 12
"""Where scratches cross, or something as light lies behind one, so many pixels of it may be missing."""

MOST = 0.07
"""Share of the photo that may have changed: the mortar of a brick wall, or the lines of a page, are more."""

LINES, TOGETHER, SHARE = 5, 2.0, 0.5
"""So many scratches at least, so long all together in short sides, and so much of all that has changed (in squares).

Of 74 photos with scratches that a router had missed, 38 are told by this, and none of 295 others of which it was as
unsure, 85 of them with nothing wrong."""

_VOTES = 0.08
"""Of a line in the Hough transform, in short sides: less than half of the shortest scratch."""


def are_scratches(before: Pixels, after: Pixels) -> bool:
    """Whether the expert for inpainting has filled scratches: ``after`` in place of ``before``, both ``(h, w, 3)``."""
    changes = no_larger(greatest_change(before, after))  # enough to tell a line
    side = min(changes.shape)
    thick = math.ceil(WIDTH * side) + 2
    marks = (changes > LEAST_CHANGE).astype(np.uint8)
    if np.count_nonzero(marks) > MOST * marks.size:
        return False
    thin = marks & ~_around(_thicker(marks, thick))
    lines = _lines(thin, side)
    place = np.zeros_like(marks)
    found = []
    for (start, end), length in lines:
        line = np.zeros_like(marks)
        cv2.line(line, start, end, 1)
        new = int((line & ~place).sum()) > 0.5 * int(line.sum())
        cv2.line(place, start, end, 1, thick)
        if new:
            found.append(length / side)
    share = _squares(changes[(place & thin) > 0]) / max(_squares(changes), 1.0)
    return len(found) >= LINES and sum(found) >= TOGETHER and share >= SHARE


def _thicker(marks: Changes, width: int) -> Changes:
    """The parts of ``marks`` that a disk of that width fits into."""
    disk = cv2.getStructuringElement(cv2.MORPH_ELLIPSE, (width + 1, width + 1))
    return np.asarray(cv2.morphologyEx(marks, cv2.MORPH_OPEN, disk), np.uint8)


def _around(marks: Changes) -> Changes:
    """``marks`` and the pixels next to them."""
    return np.asarray(cv2.dilate(marks, np.ones((3, 3), np.uint8)), np.uint8)


def _lines(marks: Changes, side: int) -> list[tuple[tuple[tuple[int, int], tuple[int, int]], float]]:
    """Straight lines along the marks, ends and length in pixels, the longest first."""
    lines = cv2.HoughLinesP(
        marks, 1, math.pi / 360, round(_VOTES * side), minLineLength=LENGTH * side, maxLineGap=GAP
    )  # its random numbers are the same each time
    if lines is None:
        return []
    ends = [((x0, y0), (x1, y1)) for x0, y0, x1, y1 in lines.reshape(-1, 4).tolist()]
    return sorted(((line, math.dist(*line)) for line in ends), key=lambda line: -line[1])


def _squares(changes: Changes) -> float:
    """Their sum of squares."""
    return float(np.square(np.arange(256.0)) @ np.bincount(changes.ravel(), minlength=256))
