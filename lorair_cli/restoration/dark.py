"""Dark photos that a router takes for something else: they show by what it sees in the light."""

from __future__ import annotations

from lorair_cli.restoration.checks import BLUR, LIKELIER_THAN_NOTHING, LOW_LIGHT, REPAIRED, UNCLEAR, left_of
from lorair_cli.restoration.result import Diagnosis

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
