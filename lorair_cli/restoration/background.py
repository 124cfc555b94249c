"""White all around: the background of something cut out, the paper of a drawing. It looks like a hole, and is none."""

from __future__ import annotations

import cv2
import numpy as np
import numpy.typing as npt

from lorair_cli.imaging.arrays import Pixels, to_eight_bits

WHITE = 250
"""How light each colour of a white pixel is at least, of 255: compression leaves little that is pure."""

ALL_AROUND = 0.7
"""Share of the photo's outermost pixels that are white, from which on that is a background. Holes of the training
synthesis at middle strength make up to a third of them white (200 photos), 50 masks of broken strokes up to 0.59."""


def white_background(rgb: Pixels) -> npt.NDArray[np.bool_]:
    """Where a photo ``(h, w, 3)`` has a white background, ``(h, w)``: what is white and connected with its edges.

    Nowhere, where less than ``ALL_AROUND`` of the edges is white: a hole may well reach them.
    """
    edges = np.concatenate([rgb[0], rgb[-1], rgb[1:-1, 0], rgb[1:-1, -1]])
    if _is_white(edges).mean() < ALL_AROUND:  # most photos are done with here
        return np.zeros(rgb.shape[:2], np.bool_)
    count, parts = cv2.connectedComponents(_is_white(rgb).astype(np.uint8), connectivity=4)
    outside = np.zeros(count, np.bool_)
    for line in (parts[0], parts[-1], parts[:, 0], parts[:, -1]):
        outside[line] = True
    outside[0] = False  # all that is not white
    return np.asarray(outside[parts], np.bool_)


def _is_white(rgb: Pixels) -> npt.NDArray[np.bool_]:
    """Which pixels of ``(..., 3)`` are white."""
    return np.asarray(to_eight_bits(rgb).min(axis=-1) >= WHITE, np.bool_)
