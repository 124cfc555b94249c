"""How far the program goes by itself: pass after pass, each of them checked by the rules in ``checks.py``, and of what
was blurred, dark or imagined in files of these names."""

from __future__ import annotations

import math
from functools import cache
from typing import NamedTuple

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
    finds_more,
    may_be_scratched,
    second_choice,
    takes_over,
)
from lorair_cli.restoration.dark import may_be_dark, was_dark
from lorair_cli.restoration.distance import from_afar, is_large
from lorair_cli.restoration.imagined import plainness, was_imagined
from lorair_cli.restoration.result import Diagnosis, Expert
from lorair_cli.restoration.scratches import are_scratches
from lorair_cli.restoration.work import Work
from lorair_cli.settings import HOLES


def restored_by_itself(photo: Photo, only_if: float | None, work: Work) -> tuple[Photo, Diagnosis, list[Diagnosis]]:
    """As many passes as it takes: the result, what the router said of the photo, and what before each pass.

    Args:
        photo: the photo.
        only_if: how probable a degradation must be for a pass; None makes at least one.
        work: with a restorer whose weights can check their work (see ``checks.can_check``).
    """
    restorer = work.restorer
    passes: list[Diagnosis] = []
    routing = restorer.route(photo)
    first = diagnosis = restorer.diagnosis(routing)
    most = 1 if min(photo.rgb.shape[:2]) < LEAST_SIDE else MOST_BY_ITSELF
    while len(passes) < most:
        if not passes or finds_more(diagnosis, passes, restorer.info.untouched_as):
            if only_if is not None and diagnosis.confidence < only_if:
                break
            done = _checked(photo, routing, work)
        else:
            least = least_sharpening(diagnosis, passes, is_large(photo.rgb))
            if least == math.inf or (only_if is not None and diagnosis.probabilities[BLUR] < only_if):
                break
            done = _attempt(photo, restorer.told(routing, {BLUR: 1.0}), work)
            if not was_blurred(photo.rgb, done.changed, least):
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


def _checked(photo: Photo, routing: Routing, work: Work) -> _Attempt:
    """A pass that another takes the place of where the router sees no change."""
    restorer, large = work.restorer, is_large(photo.rgb)
    nothing = restorer.info.untouched_as

    @cache
    def instead(expert: str) -> _Attempt:
        if first.before.experts == (Expert(expert, 1.0),):
            return first
        return _attempt(photo, restorer.told(routing, {expert: 1.0}), work)

    def is_scratched() -> bool:
        if not large:
            return are_scratches(photo.rgb, instead(HOLES).photo.rgb)
        # Scratches of a print are as much wider as its scan is: a small copy of a large photo tells them, too.
        small = Photo(from_afar(photo.rgb))
        return are_scratches(small.rgb, work.tried(small, restorer.told(routing, {HOLES: 1.0})).photo.rgb)

    def was_sharp(treated: str, attempt: _Attempt) -> bool:
        """Whether blur was ``treated``, unsurely, and there was none."""
        unsure = first.before.confidence < BEYOND_DOUBT and not large
        return treated == BLUR and unsure and not was_blurred(photo.rgb, attempt.changed, SHARPENED)

    first = _attempt(photo, routing, work)
    if may_be_dark(first.before, nothing) and was_dark(first.before, instead(LOW_LIGHT).after, nothing):
        return instead(LOW_LIGHT)
    least = math.inf if large else least_sharpening_instead(first.before)
    if least < math.inf and was_blurred(photo.rgb, instead(BLUR).changed, least):
        return instead(BLUR)
    if may_be_scratched(first.before) and is_scratched():
        return instead(HOLES)
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
