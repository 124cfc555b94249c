"""The user's hand: experts by name, strength, a least confidence, several passes."""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass

from lorair_cli.errors import UsageError

MOST_PASSES = 8
"""More passes than any mixture of degradations needs; each costs as much as the first."""

_EXAMPLE = "for example haze=0.7,noise=0.3"


@dataclass(frozen=True)
class Choices:
    """What the user decides in place of the program. The defaults decide nothing.

    Raises ``UsageError`` for values out of their ranges.
    """

    experts: Mapping[str, float] | None = None
    """Weights by degradation in place of the router's mixture (Eq. 3), each above 0, together at most 1. The router
    still looks at the photo: its prior, where need be moved just far enough to agree, modulates the network."""
    strength: float = 1.0
    """0 to 1: how far to go from the photo as it came (0) to the restored one (1), in straight lines."""
    only_if: float | None = None
    """0 to 1: leave a photo alone in which no degradation is at least this probable; None restores every photo."""
    passes: int | None = 1
    """How often to restore, at most; before each pass the router looks again, at the result of the one before. With
    ``only_if``, passes end as soon as nothing is left that is so probable. None: the program checks its own work and
    goes on as ``passes.py`` says, once where experts are named, filling holes changes nothing else, and a frame around
    the photo (see ``frame.py``) is left as it is unless the expert for holes is named."""

    def __post_init__(self) -> None:
        if not 0 <= self.strength <= 1:
            raise UsageError(f"strength {self.strength} is outside 0 to 1")
        if self.only_if is not None and not 0 <= self.only_if <= 1:
            raise UsageError(f"probability {self.only_if} is outside 0 to 1")
        if self.passes is not None:
            _check_passes(self.passes)
        if self.experts is not None:
            _check_weights(self.experts)


def _check_passes(passes: int) -> None:
    if not 1 <= passes <= MOST_PASSES:
        raise UsageError(f"{passes} passes are outside 1 to {MOST_PASSES}")


def _check_weights(experts: Mapping[str, float]) -> None:
    if not experts:
        raise UsageError("no expert is named", _EXAMPLE)
    for name, weight in experts.items():
        if not 0 < weight <= 1:
            raise UsageError(f"expert weight {name}={weight} is not above 0 and at most 1", _EXAMPLE)
    total = sum(experts.values())
    if total > 1 + 1e-6:  # weights such as 0.7 and 0.3 are no exact binary fractions
        raise UsageError(
            f"expert weights add up to {total:.3g}, more than 1", "the network was trained with a sum of 1"
        )


def check_experts(names: Iterable[str], degradations: Sequence[str]) -> None:
    """``UsageError`` if weights for these ``degradations`` lack an expert of one of the ``names``."""
    for name in names:
        if name not in degradations:
            raise UsageError(f"there is no expert {name!r}", f"these weights have {', '.join(degradations)}")


def parse_passes(text: str) -> int | None:
    """``auto`` as None, or a number of passes. Raises ``UsageError``."""
    if text == "auto":
        return None
    try:
        passes = int(text)
    except ValueError:
        raise UsageError(f"{text!r} is no number of passes", f"use auto, or 1 to {MOST_PASSES}") from None
    _check_passes(passes)
    return passes


def parse_experts(text: str) -> dict[str, float]:
    """``haze=0.7,noise=0.3`` as a table; a name alone has weight 1. Raises ``UsageError``, which shows the form."""
    experts: dict[str, float] = {}
    for part in text.split(","):
        name, _, number = (piece.strip() for piece in part.partition("="))
        try:
            weight = float(number) if "=" in part else 1.0
        except ValueError:
            weight = None
        if not name or weight is None:
            raise UsageError(f"{part.strip()!r} is not the weight of an expert", _EXAMPLE)
        if name in experts:
            raise UsageError(f"expert {name} is named twice")
        experts[name] = weight
    return experts
