"""The frame of a photo: the paper around a print, the bars above and below a film, the border of a slide.

A frame is no part of what was degraded. A router that sees one takes white for a hole and black for the night, and no
expert has ever seen any; what lies inside is looked at and restored alone.
"""

from __future__ import annotations

import statistics
from collections.abc import Mapping, Sequence

import numpy as np
import numpy.typing as npt

from lorair_cli.imaging.arrays import Pixels, to_eight_bits
from lorair_cli.imaging.photo import Part

TOLERANCES = 20, 12, 8
"""How far, of 255, a colour of a pixel may be from the frame's: compression and a scanner leave it uneven. Where the
photo is nearly of its colour, in haze on paper for one, less tells where it ends. Of 28 such photos, saved with
quality 60 or not, the first alone finds 20 to 23, all three 27 or 28."""

EVEN = 0.95
"""Share of a line's pixels that are of the frame's colour, in the frame: there may be dust on it."""

STEP, BEHIND = 0.5, 2
"""So much of the line that lies so many behind the frame's last is of other colours. A frame ends all at once; a white
sky, a night or a wall ends here and there."""

THINNEST = 8
"""Lines of a frame, at least: a thinner edge, such as scanned slides have, misleads nobody, and is restored, too."""

LEAST_INSIDE = 0.25
"""Share of either side that lies inside at least."""


def inside_frame(rgb: Pixels) -> Part | None:
    """Where the photo lies in ``rgb`` ``(h, w, 3)``; None if it has no frame.

    A frame is of one colour and lies on two opposite sides at least: half a photo may be missing on one.
    """
    seen = to_eight_bits(rgb)
    tries = (_inside(seen, tolerance) for tolerance in TOLERANCES)
    return next((part for part in tries if part is not None), None)


def _inside(seen: Pixels, tolerance: int) -> Part | None:
    turned = seen.transpose(1, 0, 2)
    sides = {"top": seen, "bottom": seen[::-1], "left": turned, "right": turned[::-1]}
    colours = {name: np.median(lines[0], axis=0) for name, lines in sides.items()}
    widths = {name: _width(lines, colours[name], tolerance) for name, lines in sides.items()}
    pairs = [("top", "bottom"), ("left", "right")]
    pairs = [
        pair
        for pair in pairs
        if min(widths[side] for side in pair) > 0 and _alike([colours[s] for s in pair], tolerance)
    ]
    if not pairs or not _alike([colours[side] for pair in pairs for side in pair], tolerance):
        return None
    colour = colours[pairs[0][0]]
    found = {side: width for side, width in widths.items() if width > 0 and _alike([colour, colours[side]], tolerance)}
    # Where the photo is of the frame's colour, nobody can tell where it begins: as far in as on the other sides.
    usual = round(statistics.median(found.values()))
    for side, lines in sides.items():
        if side not in found and _reaches(lines, colour, usual, tolerance):
            found[side] = usual
    return _slices(seen.shape[:2], found)


def _width(lines: Pixels, colour: npt.NDArray[np.floating], tolerance: int) -> int:
    """Lines ``(n, m, 3)`` that a frame of that colour has, counted from the first; 0 for none, or if it has no edge."""
    width = 0
    while width < len(lines) and _share(lines[width], colour, tolerance) >= EVEN:
        width += 1
    behind = width + BEHIND
    if width < THINNEST or behind >= len(lines) or _share(lines[behind], colour, tolerance) > 1 - STEP:
        return 0
    return width


def _reaches(lines: Pixels, colour: npt.NDArray[np.floating], width: int, tolerance: int) -> bool:
    """Whether the first ``width`` of the lines are all of that colour."""
    return all(_share(line, colour, tolerance) >= EVEN for line in lines[:width])


def _share(line: Pixels, colour: npt.NDArray[np.floating], tolerance: int) -> float:
    """Share of a line's pixels ``(m, 3)`` that are of a colour."""
    return float((np.abs(line - colour).max(axis=1) <= tolerance).mean())


def _alike(colours: Sequence[npt.NDArray[np.floating]], tolerance: int) -> bool:
    return bool(np.ptp(np.stack(colours), axis=0).max() <= tolerance)


def _slices(shape: tuple[int, int], widths: Mapping[str, int]) -> Part | None:
    height, width = shape
    rows = slice(widths.get("top", 0), height - widths.get("bottom", 0))
    columns = slice(widths.get("left", 0), width - widths.get("right", 0))
    if rows.stop - rows.start < LEAST_INSIDE * height or columns.stop - columns.start < LEAST_INSIDE * width:
        return None
    return rows, columns
