"""A contact sheet: photos under every degradation, to look at what training will see."""

from __future__ import annotations

from collections.abc import Sequence

import cv2
import numpy as np
import numpy.typing as npt
from PIL import Image, ImageDraw, ImageFont

from lorair_cli.data.synthesis import SYNTHESES, degrade
from lorair_cli.imaging.arrays import from_float, to_float

Pixels = npt.NDArray[np.uint8]

SAMPLES = ("astronaut", "coffee", "chelsea", "rocket")
"""Freely licensed photos that scikit-image brings along."""
LABEL = 20
"""Height of a line of text in pixels, and its distance from the next."""
TEXT, PAPER = (32, 32, 32), (255, 255, 255)


def sample_photos() -> list[tuple[str, Pixels]]:
    """Names and pixels ``(h, w, 3)`` of ``SAMPLES``; nothing is downloaded."""
    import skimage.data

    return [(name, np.asarray(getattr(skimage.data, name)(), np.uint8)) for name in SAMPLES]


def contact_sheet(
    photos: Sequence[tuple[str, Pixels]], strengths: Sequence[float], side: int = 256, seed: int = 0
) -> Pixels:
    """Every photo at every strength as a row: the clean square, then one square per degradation.

    Args:
        photos: names for the labels, and pixels ``(h, w, 3)`` uint8 RGB; the middle square of each is shown.
        strengths: in [0, 1], mild to heavy.
        side: of a square in pixels.
        seed: 0 or more. A square depends on it, the row's photo and strength and the degradation, on nothing else.

    Returns:
        ``(LABEL + rows * (LABEL + side), columns * side, 3)`` uint8: names of the degradations on top, and above each
        row the photo and the strength.

    Raises:
        UsageError: a strength is outside [0, 1].
        ValueError: there is nothing to show.
    """
    if not photos or not strengths:
        raise ValueError("a contact sheet needs a photo and a strength")
    squares = [middle_square(photo, side) for _, photo in photos]
    names = ("clean", *SYNTHESES)
    rows = [(photo, strength) for photo in range(len(photos)) for strength in strengths]
    sheet = np.full((LABEL + len(rows) * (LABEL + side), len(names) * side, 3), PAPER, np.uint8)
    for row, (photo, strength) in enumerate(rows):
        y = LABEL + row * (LABEL + side) + LABEL
        for column, name in enumerate(names):
            square = squares[photo]
            if name != "clean":
                rng = np.random.default_rng((seed, photo, column))  # the same draw in every strength of a photo
                square = from_float(degrade(to_float(square), name, rng, strength), np.uint8)
            sheet[y : y + side, column * side : (column + 1) * side] = square
    headings = [(column * side, 0, name) for column, name in enumerate(names)]
    margins = [
        (0, LABEL + row * (LABEL + side), f"{photos[photo][0]}, strength {strength:g}")
        for row, (photo, strength) in enumerate(rows)
    ]
    return _with_text(sheet, [*headings, *margins])


def middle_square(photo: Pixels, side: int) -> Pixels:
    """The largest square in the middle of ``photo``, at ``side`` pixels."""
    h, w = photo.shape[:2]
    short = min(h, w)
    y, x = (h - short) // 2, (w - short) // 2
    how = cv2.INTER_AREA if side < short else cv2.INTER_CUBIC
    return np.asarray(cv2.resize(photo[y : y + short, x : x + short], (side, side), interpolation=how), np.uint8)


def _with_text(sheet: Pixels, labels: Sequence[tuple[int, int, str]]) -> Pixels:
    """``sheet`` with each text at its ``(x, y)``."""
    picture = Image.fromarray(sheet)
    draw, font = ImageDraw.Draw(picture), ImageFont.load_default(LABEL * 0.7)
    for x, y, text in labels:
        draw.text((x + 3, y + LABEL / 2), text, fill=TEXT, font=font, anchor="lm")
    return np.asarray(picture)
