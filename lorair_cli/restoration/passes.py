"""How far the program goes by itself: pass after pass, each of them checked by the rules in ``checks.py``, and of what
was blurred, dark, scratched, rainy or imagined in files of such names."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import NamedTuple

from lorair_cli.imaging.arrays import Pixels
from lorair_cli.imaging.photo import Photo
from lorair_cli.model.routing import Routing
from lorair_cli.restoration.blending import change
from lorair_cli.restoration.blurred import (
    PLAINLY_SHARPENED,
    SHARPENED,
    least_sharpening,
    least_sharpening_instead,
    was_blurred,
)
from lorair_cli.restoration.checks import (
    BEYOND_DOUBT,
    BLUR,
    LEAST_SIDE,
    LOW_LIGHT,
    MOST_BY_ITSELF,
    RAIN,
    finds_more,
    may_be_rainy,
    may_be_scratched,
    may_hide_rain,
    second_choice,
    takes_over,
)
from lorair_cli.restoration.dark import may_be_dark, was_dark
from lorair_cli.restoration.distance import from_afar, is_large
from lorair_cli.restoration.imagined import plainness, was_imagined
from lorair_cli.restoration.result import Diagnosis, Expert
from lorair_cli.restoration.scratches import are_scratches
from lorair_cli.restoration.streaks import are_streaks
from lorair_cli.restoration.work import Work
from lorair_cli.settings import HOLES


def restored_by_itself(photo: Photo, only_if: float | None, work: Work) -> tuple[Photo, Diagnosis, list[Diagnosis]]:
    """As many passes as it takes: the result, what the router said of the photo, and what before each pass.

    Args:
        photo: the photo.
        only_if: how probable a degradation must be for a pass; None makes at least one.
        work: with a restorer whose weights can check their work (see ``checks.can_check``).
    """
    restorer, asked = work.restorer, only_if or 0.0
    passes: list[Diagnosis] = []
    routing = restorer.route(photo)
    first = diagnosis = restorer.diagnosis(routing)
    most = 1 if min(photo.rgb.shape[:2]) < LEAST_SIDE else MOST_BY_ITSELF
    while len(passes) < most:
        if not passes or finds_more(diagnosis, passes, restorer.info.untouched_as):
            done = _checked(photo, routing, work) if diagnosis.confidence >= asked else None
        else:
            done = _hidden(photo, routing, passes, asked, work)
        if done is None:
            break
        passes.append(done.before)
        photo, routing, diagnosis = work.refined(photo, done.photo, done.by), done.routing, done.after
    return photo, first, passes


class _Attempt(NamedTuple):
    """A pass, and what the router sees in its result."""

    photo: Photo
    """Restored."""
    changed: float
    """How far that is from the photo as it was."""
    agreed: float
    """How far the copies of the photo agree in that."""
    by: Routing
    """Of the photo as it was, with the experts of the pass."""
    before: Diagnosis
    """The same in words."""
    routing: Routing
    """Of the restored photo."""
    after: Diagnosis
    """The same in words."""

    def plainness(self, degradation: str) -> float:
        """How plainly it was that which was taken away."""
        return plainness(degradation, self.before, self.after, self.changed, self.agreed)


def _attempt(photo: Photo, routing: Routing, work: Work) -> _Attempt:
    restored, agreed = work.tried(photo, routing)
    seen, told = work.restorer.route(restored), work.restorer.diagnosis
    return _Attempt(restored, change(photo.rgb, restored.rgb), agreed, routing, told(routing), seen, told(seen))


Sign = Callable[[Pixels, Pixels], bool]
"""Whether what was taken from a photo ``(h, w, 3)``, for the second one, is what was to be taken away."""


class _Trials:
    """What single experts make of a photo, each of them tried once."""

    def __init__(self, photo: Photo, routing: Routing, work: Work) -> None:
        self.photo, self.routing, self.work = photo, routing, work
        self.large = is_large(photo.rgb)
        self._done: dict[str, _Attempt] = {}

    def chosen(self) -> _Attempt:
        """By the router's choice."""
        attempt = _attempt(self.photo, self.routing, self.work)
        match attempt.before.experts:
            case (Expert(degradation, 1.0),):
                self._done[degradation] = attempt
        return attempt

    def by(self, expert: str, afar: bool = False) -> _Attempt:
        """By an expert alone; on a small copy of a large photo, if it is seen ``afar`` and can be repaired there."""
        if expert not in self._done:
            told = self._told(expert)
            self._done[expert] = _attempt(self.photo, told.seen_from_afar() if afar else told, self.work)
        return self._done[expert]

    def by_if(self, expert: str, sign: Sign) -> _Attempt | None:
        """By an expert alone, if what it takes away is what it is for; else None."""
        if not self.large:
            attempt = self.by(expert)
            return attempt if sign(self.photo.rgb, attempt.photo.rgb) else None
        # Lines of a large photo are as much wider as it is: a small copy tells them, and streaks are repaired there.
        small = Photo(from_afar(self.photo.rgb))
        is_it = sign(small.rgb, self.work.tried(small, self._told(expert)).photo.rgb)
        return self.by(expert, afar=True) if is_it else None

    def _told(self, expert: str) -> Routing:
        return self.work.restorer.told(self.routing, {expert: 1.0})


def _checked(photo: Photo, routing: Routing, work: Work) -> _Attempt:
    """A pass that another takes the place of where the router sees no change."""
    trials, nothing = _Trials(photo, routing, work), work.restorer.info.untouched_as
    large, instead = trials.large, trials.by
    first = trials.chosen()

    def was_sharp(treated: str, attempt: _Attempt) -> bool:
        """Whether blur was ``treated``, unsurely, and there was none."""
        unsure = first.before.confidence < BEYOND_DOUBT and not large
        return treated == BLUR and unsure and not was_blurred(photo.rgb, attempt.changed, SHARPENED)

    if may_be_dark(first.before, nothing) and was_dark(first.before, instead(LOW_LIGHT).after, nothing):
        return instead(LOW_LIGHT)
    least = math.inf if large else least_sharpening_instead(first.before)
    if least < math.inf and was_blurred(photo.rgb, instead(BLUR).changed, least):
        return instead(BLUR)
    for may_be, expert, sign in ((may_be_scratched, HOLES, are_scratches), (may_be_rainy, RAIN, are_streaks)):
        plain = trials.by_if(expert, sign) if may_be(first.before) else None
        if plain is not None:
            return plain
    if not large and first.before.likeliest == BLUR and was_blurred(photo.rgb, first.changed, PLAINLY_SHARPENED):
        return first
    second = second_choice(first.before, first.after, nothing)
    if second is not None:
        other = instead(second)
        helps = takes_over(second, first.before, first.after, other.after, other.plainness(second))
        if helps and not was_sharp(second, other):
            return other
    found = first.before.likeliest
    imagined = was_imagined(first.before, first.after, first.plainness(found))
    return instead(nothing) if imagined or was_sharp(found, first) else first


def _hidden(photo: Photo, routing: Routing, passes: Sequence[Diagnosis], asked: float, work: Work) -> _Attempt | None:
    """A pass for what ``passes`` have brought to light and the router does not see, though it is as probable as
    ``asked``; None if there is nothing."""
    trials, diagnosis = _Trials(photo, routing, work), work.restorer.diagnosis(routing)
    blur, rain = (diagnosis.probabilities[name] >= asked for name in (BLUR, RAIN))
    least = least_sharpening(diagnosis, passes, trials.large)
    if blur and least < math.inf and was_blurred(photo.rgb, trials.by(BLUR).changed, least):
        return trials.by(BLUR)
    return trials.by_if(RAIN, are_streaks) if rain and may_hide_rain(passes) else None
