"""Shadow: direct light taken away behind a soft edge, in linear light; bluish skylight remains.

Model: per colour, ``I_shadow = f I_lit`` in full shadow (Shor and Lischinski, 2008), mixed by a soft mask as in ISTD
(Wang et al., CVPR 2018) and SRD (Qu et al., CVPR 2017). Numbers in ``ranges.SHADOW``.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Literal, cast

import cv2
import numpy as np
import numpy.typing as npt

from lorair_cli.data.synthesis.fields import Field, smooth_field
from lorair_cli.data.synthesis.light import Photo, to_display, to_linear
from lorair_cli.data.synthesis.ranges import REFERENCE_SIDE, SHADOW
from lorair_cli.data.synthesis.shapes import fill, random_outlines, soften

Mask = npt.NDArray[np.uint8]
Shape = Literal["blob", "edge", "object", "dapple"]
_SHAPES: tuple[Shape, ...] = ("blob", "edge", "object", "dapple")


@dataclass(frozen=True)
class ShadowParameters:
    """What one shadow looks like."""

    shape: Shape
    """``blob``: a smooth patch; ``edge``: straight, as of a wall; ``object``: an outline; ``dapple``: under leaves."""
    area: float
    """Share of the photo in shadow."""
    remaining: tuple[float, float, float]
    """Light that remains in full shadow, linear, for red, green and blue; each in [0, 1]."""
    penumbra: float
    """Standard deviation of the blur of the edge, pixels at the reference side."""
    scale: float
    """Distance between patches, pixels at the reference side (blob and dapple)."""
    unevenness: float
    """Share of the shadow's depth that varies over the photo."""


def draw(rng: np.random.Generator, strength: float) -> ShadowParameters:
    """Parameters of a shadow of the given strength in [0, 1]."""
    shape = _SHAPES[int(rng.integers(len(_SHAPES)))]
    light, blueness = SHADOW.remaining.draw(rng, strength), SHADOW.blueness.draw(rng)
    return ShadowParameters(
        shape=shape,
        area=SHADOW.area.draw(rng, strength),
        remaining=(light * (1 - blueness), light, min(light * (1 + blueness), 1.0)),
        penumbra=SHADOW.penumbra.draw(rng),
        scale=(SHADOW.dapple_scale if shape == "dapple" else SHADOW.blob_scale).draw(rng),
        unevenness=SHADOW.unevenness.draw(rng),
    )


def apply(clean: Photo, parameters: ShadowParameters, rng: np.random.Generator, scale: float = 1.0) -> Photo:
    """``clean`` (``(h, w, 3)`` in [0, 1]) with a shadow cast on it; no pixel gets lighter.

    Its patches and soft edges are ``scale`` times as large as the parameters say, and cover no more for it.
    """
    shape = clean.shape[:2]
    scale *= min(shape) / REFERENCE_SIDE
    mask = soften(_hard_mask(shape, parameters, scale, rng), max(parameters.penumbra * scale, 0.4))
    if parameters.unevenness:
        # Light bounces into a shadow from what stands around it, so its depth is not the same everywhere.
        mask *= 1 - np.float32(parameters.unevenness) * smooth_field(shape, rng, 0.5 * min(shape))
    taken = mask[..., None] * (1 - np.array(parameters.remaining, np.float32))
    shaded = to_display(to_linear(clean) * (1 - taken))
    # Untouched where no shadow falls, free of the rounding of the way to linear light and back.
    return cast(Photo, np.clip(np.where(taken > 0, np.minimum(shaded, clean), clean), 0, 1))


def _hard_mask(shape: tuple[int, int], parameters: ShadowParameters, scale: float, rng: np.random.Generator) -> Mask:
    """``(h, w)``, 255 in shadow and 0 in light, close to the wanted area."""
    if parameters.shape == "object":
        return _object(shape, parameters.area, rng)
    if parameters.shape == "edge":
        field = _ramp(shape, rng)
    else:
        field = smooth_field(shape, rng, max(parameters.scale * scale, 4.0))
    if parameters.shape == "dapple":
        field += np.float32(0.6) * smooth_field(shape, rng, max(0.4 * parameters.scale * scale, 3.0))
        field += np.float32(0.7) * smooth_field(shape, rng, 0.8 * min(shape))
    step = max(min(shape) // 80, 1)
    level = np.float32(np.quantile(field[::step, ::step], parameters.area))
    return cast(Mask, np.where(field <= level, np.uint8(255), np.uint8(0)))


def _ramp(shape: tuple[int, int], rng: np.random.Generator) -> Field:
    """Distance across the photo in a random direction; in one of two photos folded, which gives a band, or bent."""
    height, width = shape
    angle = float(rng.uniform(0, 2 * math.pi))
    x, y = np.arange(width, dtype=np.float32), np.arange(height, dtype=np.float32)[:, None]
    ramp: Field = x * np.float32(math.cos(angle)) + y * np.float32(math.sin(angle))
    kind = rng.uniform()
    if kind < 0.25:
        ramp = np.abs(ramp - np.float32(rng.uniform(float(ramp.min()), float(ramp.max()))))
    elif kind < 0.5:
        turned = angle + float(rng.uniform(0.8, 2.2))
        ramp = np.maximum(ramp, x * np.float32(math.cos(turned)) + y * np.float32(math.sin(turned)))
    return ramp


def _object(shape: tuple[int, int], area: float, rng: np.random.Generator) -> Mask:
    """Outlines and limbs of something out of the photo, drawn until the area is covered."""
    height, width = shape
    side = math.sqrt(height * width)
    canvas = np.zeros(shape, np.uint8)
    for _ in range(24):
        radius = side * math.sqrt(area / math.pi) * float(rng.uniform(0.25, 0.8))
        centre = rng.uniform((0, 0), (width, height))
        outline = random_outlines(np.array([radius]), float(rng.uniform(0.05, 0.35)), rng)[0] * (1, rng.uniform(0.4, 1))
        angle = float(rng.uniform(0, math.pi))
        turn = np.array([[math.cos(angle), -math.sin(angle)], [math.sin(angle), math.cos(angle)]])
        fill(canvas, outline @ turn + centre, 255)
        limb = centre + 3 * radius * rng.standard_normal(2)
        cv2.line(canvas, centre.astype(int).tolist(), limb.astype(int).tolist(), 255, max(int(0.3 * radius), 1))
        if cv2.countNonZero(canvas) >= area * height * width:
            break
    return canvas
