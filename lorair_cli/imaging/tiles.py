"""Overlapping tiles: which windows to read, and how to blend what comes back, a band of finished rows at a time.

The blending weights of a tile are the product of one ramp down the rows and one along the columns. Along each axis the
ramps of all tiles add up to one everywhere, so the weights of all tiles over a pixel do too, and a network that changes
nothing gives the photo back. Only as many float rows are kept as one row of tiles is high: memory grows with the tile
and the photo's width, never with its height.
"""

from __future__ import annotations

import itertools
from collections.abc import Iterator, Sequence
from dataclasses import dataclass

import numpy as np

from lorair_cli.errors import UsageError
from lorair_cli.imaging.arrays import Floats


@dataclass(frozen=True)
class Tile:
    """A window of a photo: rows ``y0`` to ``y1`` and columns ``x0`` to ``x1``, ends excluded, in pixels."""

    y0: int
    y1: int
    x0: int
    x1: int

    @property
    def window(self) -> tuple[slice, slice]:
        """The slices that cut this tile out of an array (h, w, ...)."""
        return slice(self.y0, self.y1), slice(self.x0, self.x1)

    @property
    def shape(self) -> tuple[int, int]:
        """Height and width."""
        return self.y1 - self.y0, self.x1 - self.x0


@dataclass(frozen=True)
class Band:
    """Finished rows of a result: ``pixels`` (n, w, channels) belong at rows ``y0`` to ``y0 + n``."""

    y0: int
    pixels: Floats

    @property
    def rows(self) -> slice:
        """The slice of the photo's rows that this band fills."""
        return slice(self.y0, self.y0 + len(self.pixels))


def plan_tiles(height: int, width: int, tile: int, overlap: int, multiple: int) -> list[Tile]:
    """Windows that cover ``height`` x ``width`` pixels, row by row, neighbours sharing ``overlap`` pixels or more.

    Every window starts at a multiple of ``multiple``, so that a network's strides and a JPEG's 8x8 blocks fall as they
    do on the whole photo. As few windows as there would be of ``tile`` pixels share a side evenly, and are as short as
    they can be then, for what neighbours share is computed twice. The last one of a row or column is moved inside, and
    is shorter by less than ``multiple`` where the size is no multiple. A photo that fits into a tile is one window.

    Raises ``UsageError`` if a step from tile to tile, ``tile - overlap``, would be shorter than ``multiple``.
    """
    if height < 1 or width < 1:
        raise ValueError(f"a photo has at least one pixel, not {width}x{height}")
    if overlap < 0 or multiple < 1 or tile - overlap < multiple:
        raise UsageError(
            f"tiles of {tile} pixels are too small for an overlap of {overlap}", f"use {overlap + multiple} or more"
        )
    rows = _spans(height, tile, overlap, multiple)
    columns = _spans(width, tile, overlap, multiple)
    return [Tile(y0, y1, x0, x1) for y0, y1 in rows for x0, x1 in columns]


def _spans(length: int, tile: int, overlap: int, multiple: int) -> list[tuple[int, int]]:
    """The windows along one axis. Counted in units of ``multiple``, the starts are spread evenly and rounded down."""
    if length <= tile:
        return [(0, length)]
    last = -(-(length - tile) // multiple)
    longest_step = (tile - overlap) // multiple
    steps = -(-last // longest_step)
    shortest = -(-(length + steps * overlap) // ((steps + 1) * multiple)) * multiple
    for shorter in range(shortest, tile, multiple):
        left = -(-(length - shorter) // multiple)
        if -(-left // steps) * multiple + overlap <= shorter:  # the longest step from one window to the next
            tile, last = shorter, left
            break
    starts = [index * last // steps * multiple for index in range(steps + 1)]
    return [(start, min(start + tile, length)) for start in starts]


def _ramps(spans: Sequence[tuple[int, int]]) -> dict[tuple[int, int], Floats]:
    """For each window along one axis its weights (length,), which add up to one over all windows at every pixel.

    In an overlap of n pixels the weight rises as sin^2 from the window's edge, where a network sees least of the
    surroundings, and the neighbour's falls as cos^2.
    """
    raw = {span: np.ones(span[1] - span[0]) for span in spans}
    for left, right in itertools.pairwise(spans):
        shared = left[1] - right[0]
        rise = np.sin((np.arange(shared) + 0.5) * (np.pi / (2 * shared))) ** 2 if shared > 0 else np.empty(0)
        raw[right][:shared] *= rise
        raw[left][len(raw[left]) - len(rise) :] *= rise[::-1]
    total = np.zeros(spans[-1][1])
    for (start, stop), weights in raw.items():
        total[start:stop] += weights
    # Steps of 2^-12, rounded on the running sum: then the products of two ramps are whole steps of 2^-24, which
    # float32 holds exactly, and the weights over a pixel are one to the last bit.
    running, used = np.zeros_like(total), np.zeros_like(total)
    ramps: dict[tuple[int, int], Floats] = {}
    for (start, stop), weights in raw.items():
        running[start:stop] += weights / total[start:stop]
        rounded = np.round(running[start:stop] * 4096) / 4096
        ramps[start, stop] = (rounded - used[start:stop]).astype(np.float32)
        used[start:stop] = rounded
    return ramps


class TileBlender:
    """Blends the results of a plan's tiles, given in the plan's order, and hands out rows as they are finished.

    >>> blender = TileBlender(tiles, channels=3)
    >>> for tile in tiles:
    ...     for band in blender.add(tile, restore(photo[tile.window])):
    ...         output[band.rows] = from_float(band.pixels, output.dtype)

    A blender is for one pass over one photo. To start a photo again with other tiles, make a new one.
    """

    def __init__(self, tiles: Sequence[Tile], channels: int = 3) -> None:
        rows = sorted({(tile.y0, tile.y1) for tile in tiles})
        columns = sorted({(tile.x0, tile.x1) for tile in tiles})
        self._tiles = list(tiles)
        self._row_ramps, self._column_ramps = _ramps(rows), _ramps(columns)
        self._added = 0
        self._top = 0
        self._rows: Floats = np.zeros((max(y1 - y0 for y0, y1 in rows), columns[-1][1], channels), np.float32)

    @property
    def rows_kept(self) -> int:
        """How many float rows of the photo's width are held: the height of one tile, whatever the photo's."""
        return len(self._rows)

    def add(self, tile: Tile, result: Floats) -> Iterator[Band]:
        """Blend the ``result`` (tile height, tile width, channels) of the next tile; yields a band when rows are done.

        Raises ``ValueError`` at once if the tile is not the next of the plan or the result has another shape.
        """
        if self._added >= len(self._tiles) or tile != self._tiles[self._added]:
            raise ValueError(f"{tile} is not the next tile of the plan")
        if result.shape != (*tile.shape, self._rows.shape[2]):
            raise ValueError(f"a result of shape {result.shape} does not fit {tile}")
        self._added += 1
        down = self._row_ramps[tile.y0, tile.y1][:, None, None]
        along = self._column_ramps[tile.x0, tile.x1][None, :, None]
        self._rows[tile.y0 - self._top : tile.y1 - self._top, tile.x0 : tile.x1] += result * (down * along)
        following = self._tiles[self._added].y0 if self._added < len(self._tiles) else tile.y1
        return iter(()) if following == tile.y0 else iter((self._take(following),))

    def _take(self, until: int) -> Band:
        """Cut off the rows above ``until``, which no later tile touches, and move the others up."""
        done = until - self._top
        band = Band(self._top, self._rows[:done].copy())
        remaining = len(self._rows) - done
        self._rows[:remaining] = self._rows[done:].copy()
        self._rows[remaining:] = 0
        self._top = until
        return band
