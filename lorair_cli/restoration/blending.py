"""How much of what the network made is taken, pixel by pixel."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np

from lorair_cli.imaging.arrays import Floats, Pixels, from_float, to_float

LEAST_CHANGE = 16 / 255
"""A hole is filled with something that differs from it by more than so much, in one colour at least. What an expert
changes less was no hole; from half of it on, more and more of the change is taken, so that no edge is seen. On
validation photos anything from 16 to 32 gains as much; faint scratches want it low."""

_ROWS = 256


def blended(before: Pixels, after: Pixels, strength: float) -> Pixels:
    """``before`` and ``after`` ``(h, w, 3)`` mixed, ``strength`` in [0, 1] parts of ``after``."""
    share = np.float32(strength)
    return _by_rows(before, after, lambda old, new: old * (1 - share) + new * share)


def holes_filled(before: Pixels, after: Pixels) -> Pixels:
    """``before`` ``(h, w, 3)`` with what ``after`` has in the holes: a pixel that hardly changes is left as it was."""

    def fill(old: Floats, new: Floats) -> Floats:
        change = new - old
        greatest = np.abs(change).max(axis=-1, keepdims=True)
        share = np.clip(2 * greatest / np.float32(LEAST_CHANGE) - 1, 0, 1)
        return np.asarray(old + share * change, np.float32)

    return _by_rows(before, after, fill)


def _by_rows(before: Pixels, after: Pixels, mix: Callable[[Floats, Floats], Floats]) -> Pixels:
    """``mix`` of both as floats in [0, 1], a few rows at a time."""
    mixed = np.empty_like(after)
    for top in range(0, len(after), _ROWS):
        rows = slice(top, top + _ROWS)
        mixed[rows] = from_float(mix(to_float(before[rows]), to_float(after[rows])), after.dtype)
    return mixed
