"""How much of what the network made is taken, pixel by pixel."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import cv2
import numpy as np
import numpy.typing as npt

from lorair_cli.imaging.arrays import Floats, Pixels, from_float, to_eight_bits, to_float
from lorair_cli.restoration.background import white_background

LEAST_CHANGE = 16 / 255
"""A hole is filled with something that differs from it by more than so much, in one colour at least. What an expert
changes less was no hole; from half of it on, more and more of the change is taken, so that no edge is seen. On
validation photos anything from 16 to 32 gains as much; faint scratches want it low."""

CUT_OUT = 0.9
"""The share of what was filled that was pure white, from which on holes were cut out or painted over: they have hard
edges, and what is beside them goes on unharmed."""

MISTAKEN = 0.3
"""Share of a white background that is filled, from which on it was taken for a hole. Of 31 photos cut out before white
that were likely (0.35 or more) to have holes, and had none, 12 have more."""

_REACH = 3
"""Pixels around a hole that continue into it."""

_ROWS = 256


def blended(before: Pixels, after: Pixels, strength: float) -> Pixels:
    """``before`` and ``after`` ``(h, w, 3)`` mixed, ``strength`` in [0, 1] parts of ``after``."""
    share = np.float32(strength)
    return _by_rows(before, after, lambda old, new: old * (1 - share) + new * share)


class Mean:
    """The mean of several results ``(h, w, 3)`` of one type, which come one at a time, rounded once."""

    def __init__(self, rgb: Pixels, count: int = 1) -> None:
        """Begin with ``rgb``, itself the mean of ``count`` results."""
        self._rgb, self._count = rgb, count
        self._total: npt.NDArray[np.unsignedinteger[Any]] | None = None  # of a single result none is needed

    def add(self, rgb: Pixels) -> None:
        """Take one more into the mean; at most 256 in all."""
        if self._total is None:
            self._total = self._rgb.astype(np.uint16 if self._rgb.dtype == np.uint8 else np.uint32)
            self._total *= self._count
        self._total += rgb
        self._count += 1

    def rgb(self) -> Pixels:
        """The mean, halves rounded up; of the results' type."""
        if self._total is None:
            return self._rgb
        rounded: Pixels = ((self._total + self._count // 2) // self._count).astype(self._rgb.dtype)
        return rounded


def change(before: Pixels, after: Pixels) -> float:
    """What a pass changed: the root of the mean squared difference of two photos ``(h, w, 3)``, white being 1."""
    # A row at a time: floats of a whole photo would take more memory than restoring it does.
    total = sum(float(np.square(to_float(a) - to_float(b)).sum()) for a, b in zip(before, after, strict=True))
    return math.sqrt(total / before.size)


def agreement(before: Pixels, results: Sequence[Pixels]) -> float:
    """How many times as much several results of one photo, all ``(h, w, 3)``, change it as they differ.

    The root of the mean square of their mean change, by that of what each deviates from it; infinity if none deviates.
    """
    changes = np.stack([to_float(after) - to_float(before) for after in results])
    mean = changes.mean(axis=0)
    apart = float(np.square(changes - mean).mean())
    return math.sqrt(float(np.square(mean).mean()) / apart) if apart > 0 else math.inf


def greatest_change(before: Pixels, after: Pixels) -> npt.NDArray[np.uint8]:
    """The greatest change of each pixel's colours, ``(h, w)``, of 255."""
    return np.asarray(cv2.absdiff(to_eight_bits(before), to_eight_bits(after)).max(axis=2), np.uint8)


def holes_filled(before: Pixels, after: Pixels) -> Pixels:
    """``before`` ``(h, w, 3)`` with what ``after`` has in the holes: a pixel that hardly changes is left as it was.

    Where much of a white background was filled (``MISTAKEN``), nothing can be believed, and ``before`` is returned.

    In holes that were cut out it is the mean of that and of what continues from their edges (Bertalmio, Bertozzi and
    Sapiro, CVPR 2001): two guesses that err apart, 0.2 to 0.8 dB better together than the better one alone (12
    validation photos each, holes of five shapes). Scratches seldom have edges that hard.
    """

    def fill(old: Floats, new: Floats) -> Floats:
        change = new - old
        greatest = np.abs(change).max(axis=-1, keepdims=True)
        share = np.clip(2 * greatest / np.float32(LEAST_CHANGE) - 1, 0, 1)
        return np.asarray(old + share * change, np.float32)

    filled = _by_rows(before, after, fill)
    changed = greatest_change(before, filled) > 255 * LEAST_CHANGE / 2
    background = white_background(before)
    if background.any() and changed[background].mean() > MISTAKEN:
        return np.array(before)
    holes = _cut_out(before, changed)
    if not holes.any():
        return filled
    continued = cv2.inpaint(to_eight_bits(before), holes.astype(np.uint8), _REACH, cv2.INPAINT_NS)
    filled[holes] = from_float((to_float(filled[holes]) + to_float(continued[holes])) / 2, filled.dtype)
    return filled


def _cut_out(before: Pixels, changed: npt.NDArray[np.bool_]) -> npt.NDArray[np.bool_]:
    """Of the pixels ``(h, w)`` that changed, those of holes that were cut out; none where something else did, too."""
    holes = changed & (before.min(axis=2) == np.iinfo(before.dtype).max)
    return holes if np.count_nonzero(holes) >= CUT_OUT * np.count_nonzero(changed) else np.zeros_like(holes)


def _by_rows(before: Pixels, after: Pixels, mix: Callable[[Floats, Floats], Floats]) -> Pixels:
    """``mix`` of both as floats in [0, 1], a few rows at a time."""
    mixed = np.empty_like(after)
    for top in range(0, len(after), _ROWS):
        rows = slice(top, top + _ROWS)
        mixed[rows] = from_float(mix(to_float(before[rows]), to_float(after[rows])), after.dtype)
    return mixed
