"""What experts are shown of a photo: itself, smaller, mirrored or turned. The mean of all results errs least.

Each copy costs a pass of the network. What is only tried is tried on the few that tell whether it helps; what is kept
is made from all of them.
"""

from __future__ import annotations

from collections.abc import Collection
from typing import NamedTuple

import numpy as np

from lorair_cli.imaging.arrays import Pixels
from lorair_cli.restoration.distance import AFAR, OVER_THE_SCENE, carried_over, from_afar, is_large
from lorair_cli.settings import HOLES

FARTHER = 256
"""Short side in pixels of a copy smaller than ``AFAR``: a shadow or a veil is judged by much of the photo, and on this
one a network sees twice as much at once."""

JUDGED_BY_MUCH = frozenset(("haze", "shadow"))
"""Repaired on the smaller copy, too."""

EITHER_WAY_UP = frozenset(("noise", "blur", "rain", "snow", "low-light"))
"""Looks much the same in a mirror and upside down, and gains most by it: on 20 validation photos rain 0.3 to 0.6 dB,
blur 0.3 (12 of them), snow 0.2, noise 0.3 (6), low light 0.1 (14). JPEG gains 0.05."""

ON_ITS_SIDE = frozenset(("blur",))
"""Looks the same on its side, too, and gains 0.03 dB by that (14 validation photos)."""

NOT_UPSIDE_DOWN = frozenset((HOLES,))
"""Gains 0.2 dB by its mirror image, and loses as much where the photo stands on its head (6 photos)."""


class Copy(NamedTuple):
    """What a network is shown of a photo."""

    side: int | None = None
    """Short side in pixels; None is the photo's own."""
    mirrored: bool = False
    upside_down: bool = False
    on_its_side: bool = False
    """Rows and columns change places, after all else."""

    def of(self, rgb: Pixels) -> Pixels:
        """The copy of a photo ``(h, w, 3)``."""
        turned = self._turned(rgb)
        return turned if self.side is None else from_afar(turned, self.side)

    def back(self, rgb: Pixels, given: Pixels, restored: Pixels) -> Pixels:
        """What ``rgb`` is, when its copy ``given`` has become ``restored``."""
        if self.side is not None:
            restored = carried_over(self._turned(rgb), given, restored)
        return self._flipped(restored.swapaxes(0, 1) if self.on_its_side else restored)

    def _turned(self, rgb: Pixels) -> Pixels:
        flipped = self._flipped(rgb)
        return np.ascontiguousarray(flipped.swapaxes(0, 1)) if self.on_its_side else flipped

    def _flipped(self, rgb: Pixels) -> Pixels:
        rows = slice(None, None, -1 if self.upside_down else 1)
        columns = slice(None, None, -1 if self.mirrored else 1)
        return np.ascontiguousarray(rgb[rows, columns])


def tried_copies(rgb: Pixels, degradations: Collection[str], afar: bool) -> tuple[Copy, ...]:
    """What experts for these repair in place of a photo, to begin with.

    More than one for what lies over the scene, where nothing hangs on the last pixel, and a small copy of a large photo
    will do. On 20 validation photos of 512 pixels shadows gain 0.3 and 0.6 dB by it, raindrops 0.2 and 0.1, haze 0.1
    and 0.1.

    Args:
        rgb: ``(h, w, 3)``.
        degradations: whose experts are in use.
        afar: whether they repair the copy of ``AFAR`` pixels (see ``distance.belongs_afar``).
    """
    first = Copy(AFAR if afar else None)
    if not degradations or not OVER_THE_SCENE.issuperset(degradations):
        return (first,)
    if JUDGED_BY_MUCH.issuperset(degradations) and min(rgb.shape[:2]) > FARTHER:
        return first, Copy(FARTHER), Copy(FARTHER, mirrored=True)
    return first, first._replace(mirrored=True)


def further_copies(rgb: Pixels, degradations: Collection[str], afar: bool) -> tuple[Copy, ...]:
    """What they repair besides, once it is clear that their result is kept; arguments as for :func:`tried_copies`.

    Nothing of a large photo that is repaired as large as it is: its pixels are seldom looked at one by one, and there
    each copy takes long.
    """
    if not degradations or (is_large(rgb) and not afar):
        return ()
    first = Copy(AFAR if afar else None)
    mirrored, upside_down = first._replace(mirrored=True), first._replace(upside_down=True)
    if not EITHER_WAY_UP.issuperset(degradations):
        return (mirrored,) if NOT_UPSIDE_DOWN.issuperset(degradations) else ()
    further = mirrored, upside_down, mirrored._replace(upside_down=True)
    if not ON_ITS_SIDE.issuperset(degradations):
        return further
    return *further, *(copy._replace(on_its_side=True) for copy in (first, *further))
