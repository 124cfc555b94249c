"""What was imagined: degradations that the router named and that were not there."""

from __future__ import annotations

import math
from types import MappingProxyType

from lorair_cli.restoration.checks import BEYOND_DOUBT, HAZE, LOW_LIGHT, SHADOW, left_of
from lorair_cli.restoration.result import Diagnosis
from lorair_cli.settings import HOLES

LEAST_LIKELY = MappingProxyType({HAZE: 0.5, LOW_LIGHT: 0.35, HOLES: 0.36})
"""How probable these must be for their expert to touch a photo: each of them changes all of it, or fills in what was
meant to be there."""

MOST_LEFT = MappingProxyType({HOLES: 0.45, "snow": 0.55})
"""The share of its probability of which no more is left, where there was a hole, or snow.

Of 861 training and validation photos with nothing wrong 51 lost much (to less than 38 dB) by being taken for one of
these or for dark or hazy; ``LEAST_LIKELY`` and this leave 15 of them. Of 4,480 with every degradation but noise, JPEG
and shadows, by two recipes, 71 are treated otherwise for it, and gain 64 dB together."""

PLAINLY = MappingProxyType({SHADOW: 0.4, "raindrop": 0.15})
"""How plainly (see :func:`plainness`) what lay over the scene is taken away, if it was there and is not beyond doubt.

Of 431 training and validation photos with nothing wrong 105 are taken for shadows, none beyond doubt, and the expert
would spoil 36 (to less than 38 dB against themselves): four of those have more. Of 117 with shadows that are not beyond
doubt 29 have less, and would gain 3.2 dB on average. Raindrops are taken from 39 photos with nothing wrong by 0.04 at
most; of 103 with drops five have less than 0.15, and would gain 0.8 dB."""


def plainness(degradation: str, before: Diagnosis, after: Diagnosis, changed: float, agreed: float) -> float:
    """How plainly something was taken away that lay over the scene: the more was changed, the more the copies of a
    photo agree in what, and the less of it the router still sees.

    Where nothing was, each copy is changed in another place.

    Args:
        degradation: what it was, such as a shadow.
        before: of the photo.
        after: of the result.
        changed: how far that is from the photo (see ``blending.change``).
        agreed: how many times as far as the results of the copies are from each other (see ``blending.agreement``).
    """
    if changed == 0:  # in which any number of copies agree
        return 0.0
    return changed * agreed / max(left_of(degradation, before, after), 1e-6)


def was_imagined(before: Diagnosis, after: Diagnosis, plain: float) -> bool:
    """Whether something was treated that was not there: it was too unlikely from the start, or much of its probability
    is left, where a repair leaves little, or it was not taken away ``plain`` enough (see :func:`plainness`).

    A mild expert, such as that for blur, leaves much of what it treats.
    """
    found, confidence = before.likeliest, before.confidence
    if confidence >= BEYOND_DOUBT:
        return False
    if found in PLAINLY:
        return plain < PLAINLY[found]
    return confidence < LEAST_LIKELY.get(found, 0.0) or left_of(found, before, after) >= MOST_LEFT.get(found, math.inf)
