"""Display values and linear light: the sRGB transfer curve, exact and fast.

Light adds up in linear light only (a blurred or darkened exposure), while photos are stored display-referred. The curve
is the one of IEC 61966-2-1: a straight toe, then a power.
"""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

Photo = npt.NDArray[np.float32]
"""``(h, w, 3)`` float32, RGB, in [0, 1]; display-referred unless a name says ``linear``."""

_TOE_DISPLAY = np.float32(0.04045)
_TOE_LINEAR = np.float32(0.04045 / 12.92)
_TOE_SLOPE = np.float32(12.92)
_OFFSET = np.float32(0.055)
_SCALE = np.float32(1.055)
_EXPONENT = np.float32(2.4)

# Both pieces of the curve are computed for every pixel and added, each held at the joint where the other one counts:
# several times faster than choosing between them.


def to_linear(display: Photo) -> Photo:
    """Linear light in [0, 1] of display values in [0, 1], any shape; the straight toe goes on below 0."""
    linear: Photo = np.maximum(display, _TOE_DISPLAY)
    linear += _OFFSET
    linear /= _SCALE
    np.power(linear, _EXPONENT, out=linear)
    linear += (np.minimum(display, _TOE_DISPLAY) - _TOE_DISPLAY) / _TOE_SLOPE
    return linear


def to_display(linear: Photo) -> Photo:
    """Display values in [0, 1] of linear light in [0, 1], any shape; the straight toe goes on below 0."""
    display: Photo = np.maximum(linear, _TOE_LINEAR)
    np.power(display, 1 / _EXPONENT, out=display)
    display *= _SCALE
    display -= _OFFSET
    display += (np.minimum(linear, _TOE_LINEAR) - _TOE_LINEAR) * _TOE_SLOPE
    return display
