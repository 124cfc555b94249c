"""Rain that the router does not see: told by what its expert took away.

Real rain is often faint, a texture more than streaks, and lies in haze. A router that looks at a photo as a whole takes
it for hazy or for nothing in particular, and the expert for rain takes it away all the same. It finds lines to take
away in any photo, a few here and there. Streaks of rain lie everywhere, and run one way wherever one looks.
"""

from __future__ import annotations

import cv2
import numpy as np

from lorair_cli.imaging.arrays import Floats, Pixels, to_float
from lorair_cli.restoration.distance import around, no_larger, slope

ONE_WAY = 0.75
"""How far what was taken away must run one way in each part of a photo (see :func:`one_way`), ..."""

LEAST = 1.8 / 255
"""... and how much it must be: its deviation, white being 1. Of 331 tries on training and validation photos without
rain, 242 of them of photos with nothing wrong, none has both; 0.73 is the most of those with enough."""

LIGHT = 0.7
"""How much farther it must reach to the light than to the dark: its skewness. A wall of bricks, its texture taken
away, has 0."""

_PART = 32
"""Side of a part in pixels: some streaks long and many streaks wide."""


def are_streaks(before: Pixels, after: Pixels) -> bool:
    """Whether the expert for rain has taken away rain: ``after`` in place of ``before``, both ``(h, w, 3)``.

    What else it changed, such as a veil before all of the photo, does not matter.
    """
    streaks = taken_away(before, after)
    return float(streaks.std()) >= LEAST and skewness(streaks) >= LIGHT and one_way(streaks) >= ONE_WAY


def taken_away(before: Pixels, after: Pixels) -> Floats:
    """What ``before`` has, ``(h, w)``, that no change of light and contrast around it makes of ``after``.

    Of a large photo, on a small copy.
    """
    old, new = (to_float(no_larger(rgb)).mean(axis=2, dtype=np.float32) for rgb in (before, after))
    rest = old - around(slope(new, old)) * new
    return np.asarray(rest - around(rest), np.float32)


def skewness(values: Floats) -> float:
    """The third moment over the 1.5th power of the second; positive if a few are far above the others."""
    away = values - values.mean()
    spread = float(np.square(away).mean())
    return float((away**3).mean()) / spread**1.5 if spread > 0 else 0.0


def one_way(streaks: Floats) -> float:
    """How far the parts of a picture ``(h, w)`` run one way each: their coherence, in [0, 1], in the mean.

    That is the difference of the eigenvalues of a structure tensor over their sum; of a part without anything, 0.
    """
    across, down = cv2.Sobel(streaks, cv2.CV_32F, 1, 0), cv2.Sobel(streaks, cv2.CV_32F, 0, 1)
    energy = _parts(across * across + down * down)
    differs = np.hypot(_parts(across * across - down * down), _parts(2 * across * down))
    return float((differs / np.maximum(energy, np.finfo(np.float32).tiny)).mean())


def _parts(values: Floats) -> Floats:
    """The mean of ``values`` ``(h, w)`` in each part of the picture: all of one size, of ``_PART`` pixels or more."""
    rows, columns = (max(side // _PART, 1) for side in values.shape)
    return np.asarray(cv2.resize(values, (columns, rows), interpolation=cv2.INTER_AREA), np.float32)
