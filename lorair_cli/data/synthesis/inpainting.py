"""Inpainting: parts of the photo painted white, or scratched, to be filled in.

Holes are white (1.0) and nothing marks them but their colour, as in DA-CLIP (Luo et al., ICLR 2024); shapes follow
RePaint's masks (Lugmayr et al., CVPR 2022) and what users bring. Scratches of prints and films are ours: some of them
are not quite white, have soft edges or let the photo shine through, and lines may run across the whole photo, straight
or a little bent. Numbers in ``ranges.INPAINTING``.
"""

from __future__ import annotations

import math
import string
from dataclasses import dataclass
from typing import Literal, cast

import cv2
import numpy as np
import numpy.typing as npt

from lorair_cli.data.synthesis.light import Photo
from lorair_cli.data.synthesis.ranges import INPAINTING, REFERENCE_SIDE, Range

Mask = npt.NDArray[np.uint8]
"""``(h, w)``, 1 in a hole and 0 elsewhere."""
Shape = Literal["thin", "wide", "scratch", "line", "box", "letters", "half"]

_ODDS: dict[Shape, float] = {
    "thin": 0.32,
    "wide": 0.1,
    "scratch": 0.1,
    "line": 0.2,
    "box": 0.1,
    "letters": 0.16,
    "half": 0.02,
}
_MOST_PIECES = 400
"""An end to drawing, whatever is still to be covered."""
_FONTS = (
    cv2.FONT_HERSHEY_SIMPLEX,
    cv2.FONT_HERSHEY_PLAIN,
    cv2.FONT_HERSHEY_DUPLEX,
    cv2.FONT_HERSHEY_COMPLEX,
    cv2.FONT_HERSHEY_TRIPLEX,
    cv2.FONT_HERSHEY_SCRIPT_SIMPLEX,
)
_LETTERS = string.ascii_letters + string.digits + "  .,-!?&@"


@dataclass(frozen=True)
class InpaintingParameters:
    """What the holes of one photo look like."""

    shape: Shape
    """``thin``, ``wide`` and ``scratch`` are brush strokes, a ``line`` is a long scratch, ``half`` a missing side."""
    area: float
    """Share of the photo to be covered; drawing stops with the piece that reaches it."""
    size: float
    """Width of a stroke or height of a letter, pixels at the reference side (not for ``box`` and ``half``)."""
    tone: float = 1.0
    """Grey value in [0, 1] of the holes."""
    softness: float = 0.0
    """Of their edges: standard deviation of a Gaussian in pixels, of the photo itself; 0 is a hard edge."""
    opacity: float = 1.0
    """How much of the photo they hide, in (0, 1]."""


def draw(rng: np.random.Generator, strength: float) -> InpaintingParameters:
    """Parameters of holes of the given strength in [0, 1]."""
    shape = list(_ODDS)[int(rng.choice(len(_ODDS), p=list(_ODDS.values())))]
    sizes: dict[Shape, Range] = {
        "thin": INPAINTING.thin,
        "wide": INPAINTING.wide,
        "scratch": INPAINTING.scratch,
        "line": INPAINTING.line,
        "letters": INPAINTING.letters,
    }
    share = INPAINTING.line_share if shape == "line" else 1.0
    return InpaintingParameters(
        shape=shape,
        area=share * INPAINTING.area_root.draw(rng, strength) ** 2,
        size=sizes[shape].draw(rng) if shape in sizes else 0.0,
        **(_looks_of_scratches(rng) if shape in ("scratch", "line") else {}),
    )


def _looks_of_scratches(rng: np.random.Generator) -> dict[str, float]:
    looks = {}
    if rng.uniform() < INPAINTING.grey_chance:
        looks["tone"] = INPAINTING.scratch_tone.draw(rng)
    if rng.uniform() < INPAINTING.soft_chance:
        looks["softness"] = INPAINTING.softness.draw(rng)
    if rng.uniform() < INPAINTING.sheer_chance:
        looks["opacity"] = INPAINTING.opacity.draw(rng)
    return looks


def apply(clean: Photo, parameters: InpaintingParameters, rng: np.random.Generator, scale: float = 1.0) -> Photo:
    """``clean`` (``(h, w, 3)`` in [0, 1]) with holes of one tone; every other pixel is untouched.

    Strokes and letters are ``scale`` times as large as the parameters say, and cover no more for it.
    """
    cover = _holes(clean.shape[:2], parameters, scale, rng).astype(np.float32)
    if parameters.softness:
        cover = cv2.GaussianBlur(cover, (0, 0), parameters.softness)
        # A thin line must not fade away altogether, as a print's would not: it is soft, and still a scratch.
        cover = np.minimum(cover / max(float(cover.max()), 1e-6), 1)
    cover = parameters.opacity * cover[..., None]
    return cast(Photo, clean * (1 - cover) + np.float32(parameters.tone) * cover)


def _holes(shape: tuple[int, int], parameters: InpaintingParameters, scale: float, rng: np.random.Generator) -> Mask:
    height, width = shape
    mask = np.zeros(shape, np.uint8)
    if parameters.shape == "half":
        _cover_side(mask, parameters.area, rng)
        return mask
    size = parameters.size * scale * min(shape) / REFERENCE_SIDE
    wanted = parameters.area * height * width
    for _ in range(_MOST_PIECES):
        if parameters.shape == "box":
            _cover_box(mask, wanted, rng)
        elif parameters.shape == "letters":
            _write(mask, size, rng)
        elif parameters.shape == "line":
            _scratch_across(mask, size, wanted, rng)
        else:
            _stroke(mask, size, wanted, rng)
        if cv2.countNonZero(mask) >= wanted:
            break
    return mask


def _cover_side(mask: Mask, area: float, rng: np.random.Generator) -> None:
    """The left, upper, right or lower part of the photo."""
    turned = np.rot90(mask, int(rng.integers(4)))
    turned[: max(round(area * turned.shape[0]), 1)] = 1


def _cover_box(mask: Mask, wanted: float, rng: np.random.Generator) -> None:
    """An upright box of a third of the wanted pixels at most, anywhere in the photo."""
    height, width = mask.shape
    pixels, aspect = wanted * float(rng.uniform(0.08, 0.35)), math.exp(float(rng.uniform(-1, 1)))
    box_width = min(max(round(math.sqrt(pixels * aspect)), 1), width)
    box_height = min(max(round(math.sqrt(pixels / aspect)), 1), height)
    left, top = int(rng.integers(width - box_width + 1)), int(rng.integers(height - box_height + 1))
    mask[top : top + box_height, left : left + box_width] = 1


def _write(mask: Mask, size: float, rng: np.random.Generator) -> None:
    """A line of random letters."""
    height, width = mask.shape
    font = int(rng.choice(_FONTS))
    letter_height = max(size * float(rng.uniform(0.7, 1.3)), 7.0)
    thickness = max(round(letter_height * float(rng.uniform(0.06, 0.2))), 1)
    scale = float(cv2.getFontScaleFromHeight(font, round(letter_height), thickness))
    text = "".join(rng.choice(list(_LETTERS), int(rng.integers(2, 24))))
    place = (int(rng.uniform(-0.3, 0.8) * width), int(rng.uniform(0.02, 1.0) * height) + round(letter_height / 2))
    cv2.putText(mask, text, place, font, scale, 1, thickness)


def _stroke(mask: Mask, size: float, wanted: float, rng: np.random.Generator) -> None:
    """A brush stroke of a few straight parts that turn sharply, as in RePaint's masks."""
    height, width = mask.shape
    thickness = max(round(size * float(rng.uniform(0.75, 1.25))), 1)
    # A single stroke must not cover more than was asked for.
    longest = min(0.28 * min(height, width), max(wanted / thickness, 2.0))
    corners = [rng.uniform((0, 0), (width, height))]
    angle = float(rng.uniform(0, 2 * math.pi))
    for _ in range(int(rng.integers(1, 6))):
        step = longest * float(rng.uniform(0.2, 1.0))
        corners.append(corners[-1] + step * np.array([math.cos(angle), math.sin(angle)]))
        angle += float(rng.normal(0, 0.9))
    cv2.polylines(mask, [np.array(corners).astype(np.int32)], False, 1, thickness)


def _scratch_across(mask: Mask, size: float, wanted: float, rng: np.random.Generator) -> None:
    """A straight or slightly bent line, mostly along a side as on a film, up to all across the photo."""
    height, width = mask.shape
    thickness = max(round(size * float(rng.uniform(0.6, 1.25))), 1)
    longest = min(math.hypot(height, width), max(wanted / thickness, 2.0))
    if rng.uniform() < INPAINTING.along_chance:
        angle = float(rng.integers(2)) * math.pi / 2 + float(rng.normal(0, 0.01))
    else:
        angle = float(rng.uniform(0, math.pi))
    along, aside = np.array([math.cos(angle), math.sin(angle)]), np.array([-math.sin(angle), math.cos(angle)])
    chord = longest * float(rng.uniform(0.3, 1.0))
    places = np.linspace(-1, 1, 8)  # from one end of the chord to the other
    wobble = rng.normal(0, 0.5 * float(rng.uniform()) * thickness, 8)
    if rng.uniform() < INPAINTING.bent_chance:
        wobble += rng.normal(0, INPAINTING.bend) * chord * places**2
    path = rng.uniform((0, 0), (width, height)) + np.outer(chord / 2 * places, along) + np.outer(wobble, aside)
    cv2.polylines(mask, [path.round().astype(np.int32)], False, 1, thickness)
