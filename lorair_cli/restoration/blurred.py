"""Blur that a router does not see, or only imagines: it shows by how much sharpening changes a photo."""

from __future__ import annotations

import math
from collections.abc import Sequence

import cv2
import numpy as np

from lorair_cli.imaging.arrays import Pixels, to_float
from lorair_cli.restoration.checks import BEYOND_DOUBT, BLUR, LOW_LIGHT, SHADOW, UNCLEAR
from lorair_cli.restoration.result import Diagnosis

SHARPENED = 2.0
"""How many times as much as its own finest detail (see :func:`fine_detail`) the expert for blur changes a photo that is
blurred. Of 17 blurred photos that were taken for shadows it was more than that with 15, of 101 with shadows, for which
blur was as likely, with two. Of 48 photos with nothing wrong that were taken for blurred it was less with 42, of 70
blurred ones that were taken for that without conviction, or for JPEGs and blurred, with five."""

PLAINLY_SHARPENED = 3.0
"""The same for a photo that is taken for one with a shadow, and not for a blurred one at all (of 77 with true shadows
none is changed so much), for one that is taken for blurred, which is not questioned then (of 170 unsure ones two would
have been ruined), and for one that has been repaired already and now looks blurred. Of 100 training and validation
photos that were JPEGs and nothing else, two are sharpened for that and lose 4 dB each; of 150 that were blurred before
they became JPEGs, 77, which gain 1.4 dB on average."""

SHAKEN = 1.5
"""The same for a photo that was dark until now. Of 62 such photos, with blur of a quarter and of half the strength, 48
are sharpened for that and gain 0.8 dB on average; of 70 without blur, two, and lose 1.4."""

SOFT = 0.3
"""How probable blur must be after a repair for that to be tried."""

LEAST_BLUR = 0.05
"""How probable blur must be for ``SHARPENED`` to be enough."""

LIKELY_BLUR = 0.1
"""How probable blur must be to be tried in place of something else than a shadow that is ``UNCLEAR``, ..."""

SHARPENED_INSTEAD = 2.5
"""... and how many times as much as its finest detail its expert must change the photo. Of 4,100 photos that no test
figure is of, with every degradation and none, 50 are tried. Four are changed so much: all are blurred, and gain 2 to 11
dB, most where they were taken for hazy. Of those that are not blurred none is changed more than 2.2 times."""


def least_sharpening_instead(before: Diagnosis) -> float:
    """How many times as much as its finest detail the expert for blur must change a photo that is taken for anything
    else for it to have been blurred; infinitely for one that need not be tried."""
    blur = before.probabilities.get(BLUR, 0.0)
    if before.likeliest == SHADOW:
        doubtful = before.confidence < BEYOND_DOUBT and blur >= LEAST_BLUR
        return SHARPENED if doubtful else PLAINLY_SHARPENED
    unclear = before.likeliest != BLUR and before.confidence < UNCLEAR and blur >= LIKELY_BLUR
    return SHARPENED_INSTEAD if unclear else math.inf


def least_sharpening(diagnosis: Diagnosis, passes: Sequence[Diagnosis], large: bool) -> float:
    """What tells that a photo that ``passes`` have restored was blurred, if it is worth a try of the expert for that.

    A repaired photo is often soft, and to a router as good as blurred. The expert changes it less, though.

    Args:
        diagnosis: of the photo as the last pass left it.
        passes: what the router said before each of them.
        large: whether the photo is large.

    Returns:
        How many times as much as its own finest detail the expert must change the photo; infinitely if it
        need not be tried.
    """
    repaired = [before.treated for before in passes]
    if not repaired or any(BLUR in experts for experts in repaired):
        return math.inf
    probability = diagnosis.probabilities.get(BLUR, 0.0) if diagnosis.likeliest == BLUR else 0.0
    if large:  # has no detail as fine as its pixels, blurred or not
        return 0.0 if probability >= BEYOND_DOUBT else math.inf
    if LOW_LIGHT in repaired[-1]:  # in the dark nobody sees blur, a router neither
        return SHAKEN
    return PLAINLY_SHARPENED if probability >= SOFT else math.inf


def was_blurred(photo: Pixels, changed: float, least: float) -> bool:
    """Whether a photo ``(h, w, 3)`` was blurred that the expert for blur has ``changed`` so much (``blending.change``).

    ``least`` is how many times as much as its finest detail that must be.
    """
    return changed >= least * fine_detail(photo)


def fine_detail(photo: Pixels) -> float:
    """The finest detail of a photo ``(h, w, 3)``: the root of the mean squared difference to its 3x3 means."""
    # As many rows at a time as fit into a cache, and their neighbours, so that a photo needs no second one in memory.
    total, step = 0.0, 256
    for top in range(0, len(photo), step):
        first = max(top - 1, 0)
        rows = to_float(photo[first : top + step + 1])
        fine = (rows - cv2.blur(rows, (3, 3), borderType=cv2.BORDER_REPLICATE))[top - first :][:step]
        total += float(np.square(fine).sum())
    return math.sqrt(total / photo.size)
