"""What restoring one photo takes: experts at work on its copies, and what comes up meanwhile."""

from __future__ import annotations

import math
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, NamedTuple

from lorair_cli.imaging.arrays import Pixels, without_colour
from lorair_cli.imaging.photo import Photo
from lorair_cli.model.routing import Routing
from lorair_cli.restoration.blending import Mean, agreement, holes_filled
from lorair_cli.restoration.copies import FARTHER, Copy, further_copies, tried_copies
from lorair_cli.restoration.distance import belongs_afar, no_larger
from lorair_cli.restoration.tiled import ProgressCallback, Way
from lorair_cli.settings import HOLES

if TYPE_CHECKING:
    from lorair_cli.restoration.restorer import Restorer


class Tried(NamedTuple):
    """What became of a photo."""

    photo: Photo
    """The mean of what became of its copies."""
    agreed: float
    """How far the copies agree (see :func:`agreement`)."""


@dataclass
class Work:
    """One call of ``Restorer.restore``."""

    restorer: Restorer
    progress: ProgressCallback | None = None
    by_itself: bool = False
    """The program decides how far to go: holes are filled and nothing else, large photos are repaired from afar."""
    tiles: int = 0
    way: Way = field(init=False)

    def __post_init__(self) -> None:
        """Begin as the restorer is set."""
        self.way = Way(self.restorer.precision)

    def tried(self, photo: Photo, routing: Routing) -> Tried:
        """``photo``, repaired by the experts of ``routing`` as well as it takes to see whether they help."""
        first, *others = self._tried_copies(photo, routing) if self.by_itself else (Copy(),)
        repaired = self._repaired(first, photo.rgb, routing)
        if not others:
            return Tried(_answer(photo, repaired), math.inf)
        mean, seen = Mean(repaired), [no_larger(repaired, FARTHER)]
        for copy in others:  # one at a time: a large photo must not be there as often
            repaired = self._repaired(copy, photo.rgb, routing)
            mean.add(repaired)
            seen.append(no_larger(repaired, FARTHER))
        return Tried(_answer(photo, mean.rgb()), agreement(no_larger(photo.rgb, FARTHER), seen))

    def refined(self, photo: Photo, restored: Photo, routing: Routing) -> Photo:
        """``restored``, which :meth:`tried` made of ``photo``, made better by more copies."""
        if not self.by_itself:
            return restored
        copies = further_copies(photo.rgb, self._treated(routing), self._belongs_afar(routing))
        if not copies:
            return restored
        mean = Mean(restored.rgb, len(self._tried_copies(photo, routing)))
        for copy in copies:
            mean.add(self._repaired(copy, photo.rgb, routing))
        return _answer(photo, mean.rgb())

    def _tried_copies(self, photo: Photo, routing: Routing) -> tuple[Copy, ...]:
        return tried_copies(photo.rgb, self._treated(routing), self._belongs_afar(routing))

    def _repaired(self, copy: Copy, rgb: Pixels, routing: Routing) -> Pixels:
        """What a photo ``(h, w, 3)`` becomes when the network repairs that copy of it."""
        given, restorer = copy.of(rgb), self.restorer
        restored, tiles = restorer.require_network().restore(
            given, routing, restorer.tile_for(given), self.way, self.progress
        )
        self.tiles += tiles
        restored = copy.back(rgb, given, restored)
        if self.by_itself and self._treated(routing) == {HOLES}:
            restored = holes_filled(rgb, restored)
        return restored

    def _treated(self, routing: Routing) -> set[str]:
        return self.restorer.diagnosis(routing).treated

    def _belongs_afar(self, routing: Routing) -> bool:
        """Whether the chosen experts repair a large photo on its small copy."""
        if routing.looks is None:
            return False
        names = self.restorer.info.degradations
        near, far = (dict(zip(names, look.tolist(), strict=True)) for look in routing.looks)
        return belongs_afar(self._treated(routing), near, far)


def _answer(photo: Photo, rgb: Pixels) -> Photo:
    """``photo`` as it comes out: the network answers in colour, and what is judged and passed on is what is written."""
    return photo.with_rgb(without_colour(rgb) if photo.grey else rgb)
