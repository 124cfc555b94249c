"""How the program checks its own work: was that the right expert, and is there more to repair?

The router looks at what it has restored. A degradation that was there is gone then; one that was only imagined is seen
as before, its expert found little to change, and it was the wrong one. And a photo may be noisy and dark, or hazy and
wet: the router names one of the two, and the other when that is gone. All this takes a router that can tell when
nothing is wrong: one trained on untouched photos, too, is unsure of those.
"""

from __future__ import annotations

import math
from collections.abc import Collection, Sequence
from types import MappingProxyType

import cv2
import numpy as np

from lorair_cli.imaging.arrays import Pixels, to_float
from lorair_cli.restoration.result import Diagnosis
from lorair_cli.settings import HOLES, TEN_DEGRADATIONS

MOST_BY_ITSELF = 3
"""Passes that follow each other without being asked for."""

LEAST_SIDE = 256
"""Short side in pixels below which one pass is all: a repaired photo of 128 pixels looks dark or wet to the router so
often that 24 lose 1.5 dB in the mean; of 36 of 256 or more none does."""

SHADOW = "shadow"
"""What a router takes a photo with nothing wrong for as often, and what a wrong expert costs most for."""

BLUR = "blur"
"""What costs most to take for a shadow: a blurred photo loses ten decibels by that."""

LOW_LIGHT = "low-light"
"""What a shaken camera goes along with: the shutter is open for long. Blur hides it from the router, and what is left
dark loses ten decibels."""

HAZE = "haze"
"""What is never a second choice: its expert finds haze to take away in any photo, which then looks less hazy, and all
of the photo has changed."""

BEYOND_DOUBT = 0.9
"""From this probability on, the router's choice is not questioned, and worth one more pass. What a repaired photo only
resembles (one that is misty by nature) reached 0.86 on 44 photos that no test figure is of, and taking a noisy photo of
the night for one in low light costs ten decibels and more."""

PLAIN_TO_SEE = MappingProxyType({"noise": 0.5, "rain": 0.5, "snow": 0.5, "raindrop": 0.5, HOLES: 0.7, HAZE: 0.7})
"""How probable a degradation that few repaired photos resemble must be for one more pass.

720 photos that no test figure is of, each with two degradations, gain 1.86 dB over one pass that way, and 1.39 with
``BEYOND_DOUBT`` for all; 432 with one degradation lose 0.05, all of it on one photo with white lines and one of mist.
"""

IN_MIST = frozenset(("rain", "snow"))
"""Behind these there is often haze, which is hard to see as long as they are there."""

MISTY = 0.5
"""How probable haze must be behind them for a pass of its own: 128 such photos gain 2.1 dB by it, and one of 160 with
rain or snow alone loses by it."""

SECOND = 0.15
"""How probable a second choice must be to be tried."""

LEVEL = 0.8
"""The share of the first choice's probability from which on a second one is tried in any case."""

UNREPAIRED = 0.7
"""The share of a degradation's probability that is left where its expert did not help."""

REPAIRED = 0.6
"""What may be left of a second choice's probability for it to take the place of the first."""

LEAST_LIKELY = MappingProxyType({HAZE: 0.5, LOW_LIGHT: 0.35, HOLES: 0.36})
"""How probable these must be for their expert to touch a photo: each of them changes all of it, or fills in what was
meant to be there."""

MOST_LEFT = MappingProxyType({HOLES: 0.45, "snow": 0.55})
"""The share of its probability of which no more is left, where there was a hole, or snow.

Of 861 training and validation photos with nothing wrong 51 lost much (to less than 38 dB) by being taken for one of
these or for dark or hazy; ``LEAST_LIKELY`` and this leave 15 of them. Of 4,480 with every degradation but noise, JPEG
and shadows, by two recipes, 71 are treated otherwise for it, and gain 64 dB together."""

PLAINLY = MappingProxyType({SHADOW: 0.3, "raindrop": 0.15})
"""How plainly (see :func:`plainness`) what lay over the scene is taken away, if it was there.

Of 104 training and validation photos with nothing wrong that the expert for shadows spoils (to less than 38 dB against
themselves) 14 have more; of 174 with shadows 24 have less, and would gain 2.8 dB on average. Raindrops are taken from
39 photos with nothing wrong by 0.04 at most; of 103 with drops five have less than 0.15, and would gain 0.8 dB."""

PLAINLY_INSTEAD = 1.0
"""The same for a shadow that was a second choice. Of seven photos with nothing wrong six have less; of ten with
shadows one, which loses the 0.9 dB that it had gained."""

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

UNCLEAR = 0.6
"""How probable something other than blur or a shadow may be at most for blur to be tried in its place, ..."""

LIKELY_BLUR = 0.1
"""... and how probable blur must be, ..."""

SHARPENED_INSTEAD = 2.5
"""... and how many times as much as its finest detail its expert must change the photo. Of 4,100 photos that no test
figure is of, with every degradation and none, 50 are tried. Four are changed so much: all are blurred, and gain 2 to 11
dB, most where they were taken for hazy. Of those that are not blurred none is changed more than 2.2 times."""

PERHAPS_DARK = 0.06
"""How probable low light must be for its expert to be tried in place of something else as unclear."""

REVEALED = 0.5
"""How probable blur must be then for that to be kept: where it was dark, it is seen in the light only. Four of eight
blurred and darkened photos that were tried with less than ``LIKELY_DARK`` are kept for it and come 5 to 12 dB nearer to
the truth; of 17 with shadows or with nothing wrong none is: blur has 0.11 there at most."""

LIKELY_DARK = 0.12
"""How probable low light must be ..."""

BRIGHTENED = 0.2
"""... for so little of it to be enough, if that is what is left. Of 29 such photos 17 have so little left. Nine of them
would not be brightened otherwise, all of which were blurred and then darkened, and gain 6 to 10 dB; one with scratches
loses 15."""

LIKELIER_THAN_NOTHING = 1.2
"""How many times as probable as that nothing is wrong low light must be, too. Of 26 such photos those that were dark
have 1.4 or more; four that were not, and lost 5 to 20 dB, have less than 1."""

HAS_TO_BE_LIKELIER = frozenset((LOW_LIGHT, HOLES, "rain", "snow"))
"""As second choices, these must be so much likelier than that nothing is wrong, too. Shadows and blur show by what
their experts change, and the one for raindrops hardly touches a photo without any."""


def can_check(degradations: Collection[str], experts: int, nothing: str) -> bool:
    """Whether weights with these degradations and so many experts can check their work.

    A router that knows a few degradations only has to name one of them, and is sure of it, whatever it sees; so has one
    that was not taught what photos with ``nothing`` wrong are to be taken for.
    """
    return experts > 0 and set(degradations) == set(TEN_DEGRADATIONS) and nothing in degradations


def finds_more(diagnosis: Diagnosis, passes: Sequence[Diagnosis], nothing: str) -> bool:
    """Whether to restore a photo once more that ``passes`` have restored.

    Args:
        diagnosis: of the photo as the last pass left it.
        passes: what the router said before each of them.
        nothing: what it takes photos with nothing wrong for.
    """
    found = diagnosis.likeliest
    repaired = {name for before in passes for name in before.treated}
    imagined = {before.likeliest for before in passes if before.treated == {nothing}}  # looks as before
    if found in repaired | imagined or found in (
        nothing,
        SHADOW,
        BLUR,
    ):  # a restored photo has nothing wrong, and is soft
        return False
    least = MISTY if found == HAZE and repaired & IN_MIST else PLAIN_TO_SEE.get(found, BEYOND_DOUBT)
    return diagnosis.confidence >= least


def left_of(degradation: str, before: Diagnosis, after: Diagnosis) -> float:
    """The share of a degradation's probability that restoring has left, 0 or more."""
    return after.probabilities[degradation] / max(before.probabilities[degradation], 1e-6)


def second_choice(before: Diagnosis, after: Diagnosis, nothing: str) -> str | None:
    """The degradation to try in place of the likeliest; None where that was plain, or likelier by far and is repaired.

    Args:
        before: of the photo that was restored for its likeliest degradation.
        after: of the result.
        nothing: what the router takes photos with nothing wrong for; never a second choice.
    """
    if before.confidence >= BEYOND_DOUBT:
        return None
    passed_by = {before.likeliest, nothing, HAZE}
    likelier = LIKELIER_THAN_NOTHING * before.probabilities[nothing]
    passed_by |= {name for name in HAS_TO_BE_LIKELIER if before.probabilities[name] < likelier}
    # In the order of the labels, not of a set: of two as probable, it must be the same one in every run.
    others = (name for name in before.probabilities if name not in passed_by)
    second = max(others, key=before.probabilities.__getitem__)
    doubtful = left_of(before.likeliest, before, after) >= UNREPAIRED
    least = SECOND if doubtful else max(SECOND, LEVEL * before.confidence)
    return second if before.probabilities[second] >= least else None


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


def may_be_dark(before: Diagnosis, nothing: str) -> bool:
    """Whether a photo is worth a try of the expert for low light, though something else is likelier.

    Not where that is ``nothing``: the photos of an evening are as likely low-light then.
    """
    unclear = before.likeliest not in (LOW_LIGHT, nothing) and before.confidence < UNCLEAR
    return unclear and before.probabilities.get(LOW_LIGHT, 0.0) >= PERHAPS_DARK


def was_dark(before: Diagnosis, brightened: Diagnosis, nothing: str) -> bool:
    """Whether a photo was dark that the expert for low light has ``brightened``.

    ``nothing`` is what the router takes photos with nothing wrong for.
    """
    left = left_of(LOW_LIGHT, before, brightened)
    least = max(LIKELY_DARK, LIKELIER_THAN_NOTHING * before.probabilities[nothing])
    if before.probabilities[LOW_LIGHT] >= least and left <= BRIGHTENED:
        return True
    return brightened.likeliest == BLUR and brightened.confidence >= REVEALED and left <= REPAIRED


def may_be_scratched(before: Diagnosis) -> bool:
    """Whether a photo is worth a try of the expert for inpainting, which finds scratches that a router does not, or of
    which it is unsure."""
    return before.confidence < BEYOND_DOUBT


def plainness(degradation: str, before: Diagnosis, after: Diagnosis, changed: float, agreed: float) -> float:
    """How plainly something was taken away that lay over the scene: the more was changed, the more the copies of a
    photo agree in what, and the less of it the router still sees.

    Where nothing was, each copy is changed in another place.

    Args:
        degradation: what it was, such as a shadow.
        before: of the photo.
        after: of the result.
        changed: how far that is from the photo (see :func:`change`).
        agreed: how many times as far as the results of the copies are from each other (see ``blending.agreement``).
    """
    if changed == 0:  # in which any number of copies agree
        return 0.0
    return changed * agreed / max(left_of(degradation, before, after), 1e-6)


def takes_over(second: str, before: Diagnosis, after: Diagnosis, instead: Diagnosis, plain: float) -> bool:
    """Whether the result of a second choice is the better one.

    Args:
        second: the degradation that was treated.
        before: of the photo.
        after: of the result for its likeliest degradation.
        instead: of the result for the second choice.
        plain: how plainly that was taken away (see :func:`plainness`).
    """
    left = left_of(second, before, instead)
    repaired = left <= min(REPAIRED, left_of(before.likeliest, before, after))
    return repaired and (second != SHADOW or plain >= PLAINLY_INSTEAD)


def was_imagined(before: Diagnosis, after: Diagnosis, plain: float) -> bool:
    """Whether something was treated that was not there: it was too unlikely from the start, or much of its probability
    is left, where a repair leaves little, or it was not taken away ``plain`` enough (see :func:`plainness`).

    A mild expert, such as that for blur, leaves much of what it treats.
    """
    found, confidence = before.likeliest, before.confidence
    if found in PLAINLY:
        return plain < PLAINLY[found]
    if confidence >= BEYOND_DOUBT:
        return False
    return confidence < LEAST_LIKELY.get(found, 0.0) or left_of(found, before, after) >= MOST_LEFT.get(found, math.inf)


def was_blurred(photo: Pixels, changed: float, least: float) -> bool:
    """Whether a photo ``(h, w, 3)`` that the expert for blur has ``changed`` so much (see :func:`change`) was blurred.

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


def change(before: Pixels, after: Pixels) -> float:
    """What a pass changed: the root of the mean squared difference of two photos ``(h, w, 3)``, white being 1."""
    # A row at a time: floats of a whole photo would take more memory than restoring it does.
    total = sum(float(np.square(to_float(a) - to_float(b)).sum()) for a, b in zip(before, after, strict=True))
    return math.sqrt(total / before.size)
