"""Motion blur: a shaking camera, or one that moves along a line or an arc, while the shutter is open."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import cv2
import numpy as np
import numpy.typing as npt

from lorair_cli.data.synthesis.light import Photo, to_display, to_linear
from lorair_cli.data.synthesis.ranges import BLUR

Path = npt.NDArray[np.float64]
"""``(steps, 2)``: x and y of the camera, in pixels, at even steps of time."""

_STEPS_PER_PIXEL = 6
_LEAST_STEPS = 96


@dataclass(frozen=True)
class BlurParameters:
    """How the camera moves during one exposure."""

    kind: Literal["shake", "arc", "linear"]
    length: float
    """Greatest distance between two points of the path, in pixels."""
    inertia: float = 0.3
    """Time over which the hand keeps its course, as a share of the exposure; shake only."""
    jerks: float = 0.0
    """How many sudden changes of course to expect in one exposure; shake only."""
    turn: float = 0.0
    """Angle by which the course has changed in the end, in radians; arc only."""


def draw(rng: np.random.Generator, strength: float) -> BlurParameters:
    """Motion of a strength in [0, 1]."""
    length = BLUR.length.draw(rng, strength)
    kind = rng.uniform()
    if kind < BLUR.linear_chance:
        return BlurParameters("linear", length)
    if kind < BLUR.linear_chance + BLUR.arc_chance:
        return BlurParameters("arc", length, turn=BLUR.turn.draw(rng))
    return BlurParameters("shake", length, BLUR.inertia.draw(rng), BLUR.jerks.draw(rng))


def apply(clean: Photo, parameters: BlurParameters, rng: np.random.Generator) -> Photo:
    """``clean`` (h, w, 3) in [0, 1], averaged along a motion path in linear light, mirrored at the borders."""
    kernel = motion_kernel(parameters, rng)
    linear = to_linear(clean)
    blurred = cv2.filter2D(linear, cv2.CV_32F, kernel, borderType=cv2.BORDER_REFLECT)
    # Large kernels go through a Fourier transform, which may leave values a hair outside.
    return np.clip(to_display(blurred), 0, 1)


def motion_kernel(parameters: BlurParameters, rng: np.random.Generator) -> npt.NDArray[np.float32]:
    """The blur kernel ``(k, k)``, k odd: not negative, its sum is 1.

    Its middle pixel is where the GT was taken. On a steady course that is the middle of the exposure, as in the sets
    that average the frames of a video and keep the middle one (GoPro, HIDE, REDS). How a hand trembled in time cannot
    be read from its trace, so there it is the centroid, and the picture does not move against its GT.
    """
    steps = max(_LEAST_STEPS, int(_STEPS_PER_PIXEL * parameters.length))
    path = _shake(steps, parameters, rng) if parameters.kind == "shake" else _steady(steps, parameters.turn, rng)
    path *= parameters.length / _extent(path)
    return _splat(path - path.mean(axis=0) if parameters.kind == "shake" else path)


def _steady(steps: int, turn: float, rng: np.random.Generator) -> Path:
    """Even motion on a course that turns by ``turn`` radians: part of a circle, or a line; (0, 0) in mid-exposure."""
    time = np.linspace(-0.5, 0.5, steps)
    # The integral of (cos, sin) of the course, kept exact where the turn goes to zero.
    chord = time * np.sinc(turn * time / (2 * np.pi))
    towards = rng.uniform(0, 2 * np.pi) + turn * time / 2
    return np.stack([chord * np.cos(towards), chord * np.sin(towards)], axis=1)


def _shake(steps: int, parameters: BlurParameters, rng: np.random.Generator) -> Path:
    """A hand that trembles: the velocity wanders with inertia and jumps now and then.

    The idea of random trajectories is that of Boracchi and Foi, "Modeling the Performance of Image Restoration from
    Motion Blur", IEEE TIP 2012.
    """
    keep = np.exp(-1 / (parameters.inertia * steps))
    pushes = rng.standard_normal((steps, 2)) * np.sqrt(1 - keep**2)
    jerks = rng.uniform(size=steps) < parameters.jerks / steps
    velocity = rng.standard_normal(2)
    path = np.empty((steps, 2))
    position = np.zeros(2)
    for step in range(steps):
        velocity = rng.standard_normal(2) if jerks[step] else keep * velocity + pushes[step]
        position = position + velocity
        path[step] = position
    return path


def _extent(path: Path) -> float:
    """Greatest width of the path over a fan of directions: its diameter, to within one percent."""
    angles = np.linspace(0, np.pi, 16, endpoint=False)
    along = path @ np.array([np.cos(angles), np.sin(angles)])
    return float(np.max(np.ptp(along, axis=0)))


def _splat(path: Path) -> npt.NDArray[np.float32]:
    """Shares each point among its four nearest pixels, which leaves the centroid where it is."""
    radius = int(np.ceil(np.abs(path).max())) + 1
    side = 2 * radius + 1
    corner = np.floor(path).astype(np.int64)
    share = path - corner
    corner += radius
    kernel = np.zeros(side * side)
    for right in (0, 1):
        for below in (0, 1):
            weight = np.abs(1 - right - share[:, 0]) * np.abs(1 - below - share[:, 1])
            kernel += np.bincount((corner[:, 1] + below) * side + corner[:, 0] + right, weight, side * side)
    return (kernel / len(path)).reshape(side, side).astype(np.float32)
