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

NOISE = "noise"
"""What hides the dark from a router, and fills it."""

HAZE = "haze"
"""What is never a second choice: its expert finds haze to take away in any photo, which then looks less hazy, and all
of the photo has changed."""

RAIN = "rain"
"""What is often faint, and lies in haze: a router sees the haze, or nothing in particular. What its expert takes away
tells it (see ``streaks.are_streaks``)."""

BEYOND_DOUBT = 0.9
"""From this probability on, the router's choice is not questioned, and worth one more pass. What a repaired photo only
resembles (one that is misty by nature) reached 0.86 on 44 photos that no test figure is of, and taking a noisy photo of
the night for one in low light costs ten decibels and more."""

PLAIN_TO_SEE = MappingProxyType({NOISE: 0.5, RAIN: 0.5, "snow": 0.5, "raindrop": 0.5, HOLES: 0.7, HAZE: 0.7})
"""How probable a degradation that few repaired photos resemble must be for one more pass.

720 photos that no test figure is of, each with two degradations, gain 1.86 dB over one pass that way, and 1.39 with
``BEYOND_DOUBT`` for all; 432 with one degradation lose 0.05, all of it on one photo with white lines and one of mist.
"""

IN_MIST = frozenset((RAIN, "snow"))
"""Behind these there is often haze, which is hard to see as long as they are there."""

MISTY = 0.5
"""How probable haze must be behind them for a pass of its own: 128 such photos gain 2.1 dB by it, and one of 160 with
rain or snow alone loses by it."""

IN_NOISE = 0.7
"""How probable low light must be behind noise, ..."""

HINTED = 0.002
"""... if it had so much of a chance before that noise was gone; without, it was not there. Of 68 training and
validation photos that were darkened and then noisy all had more (0.004 at least), and of 66 that are likely dark then
64 come out better, by 0.6 to 21 dB. Of 400 noisy copies, 180 of them of the night, none is as likely dark (0.64 at
most); those that are likeliest had 0.001 before, and would lose 11 to 20 dB."""

HIDES_RAIN = frozenset((HAZE, LOW_LIGHT))
"""Behind these rain may be that the router does not see, even when they are gone."""

PERHAPS_RAINY = 0.1
"""How probable rain must be for its expert to be tried in place of something else."""

SECOND = 0.15
"""How probable a second choice must be to be tried."""

LEVEL = 0.8
"""The share of the first choice's probability from which on a second one is tried in any case."""

UNREPAIRED = 0.7
"""The share of a degradation's probability that is left where its expert did not help."""

REPAIRED = 0.6
"""What may be left of a second choice's probability for it to take the place of the first."""

PLAINLY_INSTEAD = 1.0
"""How plainly (see ``imagined.plainness``) a shadow that was a second choice is taken away, if it was
there. Of seven photos with nothing wrong six have less; of ten with shadows one, which loses the 0.9 dB that it had
gained."""

UNCLEAR = 0.6
"""How probable what is likeliest may be at most for something hidden by it, blur or the dark, to be tried in its
place."""

LIKELIER_THAN_NOTHING = 1.2
"""How many times as probable as that nothing is wrong low light must be, for a photo that was taken for something else.
Of 26 such photos those that were dark have 1.4 or more; four that were not, and lost 5 to 20 dB, have less than 1."""

HAS_TO_BE_LIKELIER = frozenset((LOW_LIGHT, HOLES, RAIN, "snow"))
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
    repaired = _repaired(passes)
    imagined = {before.likeliest for before in passes if before.treated == {nothing}}  # looks as before
    if found in repaired | imagined | {nothing, SHADOW, BLUR}:  # a restored photo has nothing wrong, and is soft
        return False
    least = MISTY if found == HAZE and repaired & IN_MIST else PLAIN_TO_SEE.get(found, BEYOND_DOUBT)
    if found == LOW_LIGHT and passes and NOISE in passes[-1].treated:
        least = IN_NOISE if passes[-1].probabilities[LOW_LIGHT] >= HINTED else math.inf
    return diagnosis.confidence >= least


def _repaired(passes: Sequence[Diagnosis]) -> set[str]:
    """What the experts of ``passes`` were for."""
    return {name for before in passes for name in before.treated}


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


def may_be_scratched(before: Diagnosis) -> bool:
    """Whether a photo is worth a try of the expert for inpainting, which finds scratches that a router does not, or of
    which it is unsure."""
    return before.confidence < BEYOND_DOUBT


def may_be_rainy(before: Diagnosis) -> bool:
    """Whether a photo that is taken for something else is worth a try of the expert for rain.

    Not where that is haze: rain is seen better when that is gone. Nor where it is blur: what sharpening a shaken photo
    takes runs one way, too.
    """
    passed_by = before.likeliest in (RAIN, HAZE, BLUR)
    return not passed_by and before.confidence < BEYOND_DOUBT and before.probabilities[RAIN] >= PERHAPS_RAINY


def may_hide_rain(passes: Sequence[Diagnosis]) -> bool:
    """Whether a photo that ``passes`` have restored is worth a try of the expert for rain, unseen by the router.

    Not one that has been sharpened: edges run one way then that it was shaken along.
    """
    repaired = _repaired(passes)
    return bool(repaired & HIDES_RAIN) and not repaired & {RAIN, BLUR}


def takes_over(second: str, before: Diagnosis, after: Diagnosis, instead: Diagnosis, plain: float) -> bool:
    """Whether the result of a second choice is the better one.

    Args:
        second: the degradation that was treated.
        before: of the photo.
        after: of the result for its likeliest degradation.
        instead: of the result for the second choice.
        plain: how plainly that was taken away (see ``imagined.plainness``).
    """
    left = left_of(second, before, instead)
    repaired = left <= min(REPAIRED, left_of(before.likeliest, before, after))
    return repaired and (second != SHADOW or plain >= PLAINLY_INSTEAD)
