"""When one pass is not enough: what the router finds once the first thing is repaired.

A photo may be noisy and dark, or hazy and wet. The router names one of the two, and the other after that one is gone.
Trained on photos with nothing wrong, too, it is unsure of those, so that an answer of which it is sure means something.
"""

from __future__ import annotations

from collections.abc import Sequence

from lorair_cli.restoration.result import Diagnosis
from lorair_cli.settings import TEN_DEGRADATIONS

MOST_BY_ITSELF = 3
"""Passes that follow each other without being asked for."""

LEAST_SURE = 0.5
"""How probable something must be for one more pass."""

SEEN_IN_NOTHING = frozenset({"jpeg", "shadow"})
"""What a router takes a photo with nothing wrong for, which a restored one is."""


def finds_more(diagnosis: Diagnosis, passes: Sequence[Diagnosis]) -> bool:
    """Whether to restore a photo once more that ``passes`` have restored.

    Not where the router knows a few degradations only: it has to name one of them, and is sure of it, whatever it sees.

    Args:
        diagnosis: of the photo as the last pass left it.
        passes: what the router said before each of them.
    """
    found = diagnosis.likeliest
    return (
        diagnosis.probabilities.keys() == set(TEN_DEGRADATIONS)
        and diagnosis.confidence >= LEAST_SURE
        and found not in SEEN_IN_NOTHING
        and all(found not in (expert.degradation for expert in before.experts) for before in passes)
    )
