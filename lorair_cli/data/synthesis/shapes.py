"""Shapes of drops, flakes and shadows: random closed outlines, drawn finely, with soft edges."""

from __future__ import annotations

from typing import cast

import cv2
import numpy as np
import numpy.typing as npt

from lorair_cli.data.synthesis.fields import Field

Outlines = npt.NDArray[np.float64]
"""``(count, points, 2)``: x, y of the corners of closed outlines around the origin."""

_POINTS = 20
_WAVES = 4
_COARSEST_BLUR = 3.0
_FRACTION_BITS = 4


def random_outlines(radii: npt.NDArray[np.float64], irregularity: float, rng: np.random.Generator) -> Outlines:
    """One wobbly circle per radius.

    Args:
        radii: ``(count,)``, pixels.
        irregularity: size of the wobble, in radii; 0 gives circles.
        rng: the only source of randomness.
    """
    angles = np.linspace(0, 2 * np.pi, _POINTS, endpoint=False)
    waves = np.arange(2, 2 + _WAVES)
    # Coarse waves are stronger than fine ones: outlines of liquids and flakes are smooth.
    sizes = irregularity * rng.standard_normal((len(radii), _WAVES)) / (waves - 1)
    phases = rng.uniform(0, 2 * np.pi, (len(radii), _WAVES))
    wobble = np.einsum("nk,nkp->np", sizes, np.cos(waves[:, None] * angles + phases[..., None]))
    reach = radii[:, None] * np.clip(1 + wobble, 0.4, 1.8)
    return np.stack([reach * np.cos(angles), reach * np.sin(angles)], axis=-1)


def fill(canvas: npt.NDArray[np.generic], outline: npt.NDArray[np.float64], value: float, smooth: bool = True) -> None:
    """Fill one outline on a canvas, in place.

    Args:
        canvas: ``(h, w)``; uint8 where ``smooth``, else any number OpenCV draws on.
        outline: ``(points, 2)``: x, y in pixels, may lie outside the canvas.
        value: what to write; what was there is lost.
        smooth: anti-aliased edges.
    """
    corners = (outline * (1 << _FRACTION_BITS)).astype(np.int32)
    cv2.fillPoly(canvas, [corners], value, cv2.LINE_AA if smooth else cv2.LINE_8, _FRACTION_BITS)


def soften(mask: npt.NDArray[np.uint8], blur: float) -> Field:
    """A mask of 0 to 255 as weights in [0, 1] with soft edges.

    Args:
        mask: ``(h, w)`` uint8.
        blur: standard deviation of the Gaussian blur, pixels. A wide blur is computed on coarser pixels, in a fraction
            of the time and with no difference to see.
    """
    height, width = mask.shape
    coarse = max(int(blur / _COARSEST_BLUR), 1)
    weights = mask.astype(np.float32) * np.float32(1 / 255)
    if coarse > 1:
        size = (max(width // coarse, 1), max(height // coarse, 1))
        weights = cast(Field, cv2.resize(weights, size, interpolation=cv2.INTER_AREA))
    weights = cast(Field, cv2.GaussianBlur(weights, (0, 0), max(blur / coarse, 0.3)))
    if coarse > 1:
        weights = cast(Field, cv2.resize(weights, (width, height), interpolation=cv2.INTER_LINEAR))
    return np.clip(weights, 0, 1)
