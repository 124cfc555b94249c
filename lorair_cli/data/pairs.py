"""Training pairs made on the fly: a clean photo, one degradation, the router's views and some patches.

Every sample is a pure function of the seed and its index, so a run that is stopped and resumed sees the same data.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple, TypeGuard, cast

import cv2
import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor
from torch.utils.data import Dataset

from lorair_cli.data.clean import CleanPhotos
from lorair_cli.data.synthesis import SYNTHESES, degrade, in_order, jpeg
from lorair_cli.data.synthesis.ranges import Range
from lorair_cli.errors import TrainingError
from lorair_cli.imaging.arrays import from_float, mirrored_to, to_float
from lorair_cli.imaging.views import ViewMode, views_of
from lorair_cli.settings import TEN_DEGRADATIONS, Setting

Pixels = npt.NDArray[np.uint8]

SHARES = {
    "veils": "veiled",
    "mists": "misty",
    "drizzles": "drizzling",
    "distances": "distant",
    "plains": "plain",
}
"""For a table of ``Sampling``, the share of a synthesis that it speaks of."""


@dataclass(frozen=True)
class Sampling:
    """How samples are drawn."""

    photo_sides: tuple[int, int] = (256, 384)
    """Smallest and largest side in pixels of the photo cut from a clean one: it is degraded and routed as a whole. A
    clean photo with a shorter side gives all of that side."""
    smallest_scale: float = 0.5
    """A clean photo may be shrunk to this before cutting: sharper detail, other object sizes."""
    patches: int = 2
    """Patches cut from each photo; 0 for the router, which needs none."""
    patch: int = 128
    """Side of a patch in pixels."""
    local_views: int = 4
    """Windows of native resolution that the router sees in training."""
    turned: float = 0.25
    """Share of photos turned by one to three right angles, beside the half that are mirrored. Gravity matters to haze,
    rain and drops, so turns are rare by default; 0.75 makes all eight attitudes alike."""
    untouched: float = 0.05
    """Share of photos left as they are: a good photo must come out unharmed."""
    composite: float = 0.0
    """Share of the photos made on the fly, but for the untouched, that get a second degradation."""
    saved: float = 0.0
    """Share of the photos made on the fly, the untouched among them, that were saved as JPEGs of good quality: most
    photos were, whatever else is wrong with them. One that has JPEG for a degradation is not saved again."""
    real: float = 0.5
    """Share of real pairs where there are real and synthetic ones of a degradation."""
    ratios: dict[str, float] = field(default_factory=dict)
    """Weight of a degradation among the others; 1 where not given (the paper draws 1:1)."""
    strengths: dict[str, Sequence[float]] = field(default_factory=dict)
    """Least and greatest strength of a degradation made on the fly; 0 to 1 where not given. Rain100L is light rain."""
    veils: dict[str, float] = field(default_factory=dict)
    """Probability of a veil over rain or snow made on the fly; that of the synthesis where not given. Rain100L and
    Snow100K have none, Outdoor-Rain has one in every picture."""
    mists: dict[str, float] = field(default_factory=dict)
    """Probability that such a veil is mist, thick before what is far away; that of the synthesis where not given.
    Outdoor-Rain always has it."""
    drizzles: dict[str, float] = field(default_factory=dict)
    """Probability that rain made on the fly is a drizzle, as real rain often is; that of the synthesis, 0,
    where not given."""
    distances: dict[str, float] = field(default_factory=dict)
    """Probability that haze made on the fly lies in the distance, as real haze often does; that of the synthesis, 0,
    where not given."""
    plains: dict[str, float] = field(default_factory=dict)
    """Probability that raindrops made on the fly are plain, without a glow or a light spot of their own; that of the
    synthesis where not given."""
    scales: tuple[float, float] = (1.0, 1.0)
    """Smallest and largest size of drops, streaks, flakes, patches of shadow and strokes made on the fly, over that of
    the synthesis, drawn evenly in the logarithm: photos of one size hardly vary in it."""

    def __post_init__(self) -> None:
        """Refuse what cannot be drawn: ``ValueError`` names the field."""
        low, high = self.photo_sides
        if not 1 <= low <= high:
            raise ValueError(f"photo_sides {low} to {high} is no range of sides")
        if self.patches < 0 or self.patch < 1 or self.local_views < 1:
            raise ValueError("patches must be at least 0, patch and local_views at least 1")
        if self.patches and low < self.patch:
            raise ValueError(f"photo_sides begin at {low}, below the patch of {self.patch}")
        if not 0 < self.smallest_scale <= 1:
            raise ValueError(f"smallest_scale {self.smallest_scale} is outside 0 to 1")
        for name in ("turned", "untouched", "composite", "saved", "real"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} {getattr(self, name)} is outside 0 to 1")
        for name, weight in self.ratios.items():
            if name not in TEN_DEGRADATIONS:
                raise ValueError(f"ratios.{name} is not a known degradation")
            if not _is_number(weight) or not 0 <= weight < math.inf:
                raise ValueError(f"ratios.{name} is {weight!r}, expected a weight of 0 or more")
        for name, strengths in self.strengths.items():
            if name not in TEN_DEGRADATIONS:
                raise ValueError(f"strengths.{name} is not a known degradation")
            if not _is_range(strengths):
                raise ValueError(f"strengths.{name} is {strengths!r}, expected [least, greatest] between 0 and 1")
        if not 0 < self.scales[0] <= self.scales[1] < math.inf:
            raise ValueError(f"scales {self.scales[0]} to {self.scales[1]} is no range of sizes")
        for table, share in SHARES.items():
            for name, often in getattr(self, table).items():
                if name not in SYNTHESES or share not in SYNTHESES[name].shares:
                    raise ValueError(f"{table}.{name}: {name} is never {share}")
                if not _is_number(often) or not 0 <= often <= 1:
                    raise ValueError(f"{table}.{name} is {often!r}, expected a probability")

    def shares(self, degradation: str) -> dict[str, float]:
        """The probabilities that the synthesis of ``degradation`` is asked for, by the names it gives them."""
        asked: dict[str, dict[str, float]] = {share: getattr(self, table) for table, share in SHARES.items()}
        return {share: by_name[degradation] for share, by_name in asked.items() if degradation in by_name}

    def scale(self, rng: np.random.Generator) -> float:
        """A size of structures; draws nothing where there is only one."""
        smallest, largest = self.scales
        return smallest if smallest == largest else Range(smallest, largest, log=True).draw(rng)

    def strength(self, degradation: str, rng: np.random.Generator) -> float:
        """One in [0, 1] of those that ``degradation`` is drawn with."""
        least, greatest = self.strengths.get(degradation, (0, 1))
        return float(rng.uniform(least, greatest))


def _is_number(value: object) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _is_range(value: object) -> bool:
    if not isinstance(value, Sequence) or len(value) != 2 or not all(_is_number(end) for end in value):
        return False
    return bool(0 <= value[0] <= value[1] <= 1)


class Sample(NamedTuple):
    """One degraded photo; a batch of them has a leading dimension b."""

    views: Tensor
    """``(1 + M, 3, v, v)`` uint8."""
    label: Tensor
    """Index of the degradation in the setting."""
    strength: Tensor
    """Strength of the degradation in [0, 1]; 0 for an untouched photo, -1 for a real pair, which does not tell it."""
    lq: Tensor
    """``(patches, 3, p, p)`` uint8."""
    gt: Tensor
    """``(patches, 3, p, p)`` uint8."""
    key: Tensor = torch.tensor(-1)
    """Views with the same key, 0 or more, are the same to the bit; -1 says nothing."""
    second: Tensor = torch.tensor(-1)
    """Index of another degradation that the photo has as well; -1 for none."""
    second_strength: Tensor = torch.tensor(0.0)
    """Its strength in [0, 1]."""


def probabilities(setting: Setting, sampling: Sampling) -> npt.NDArray[np.float64]:
    """How often each degradation is drawn, summing to 1; ``TrainingError`` if the ratios leave none."""
    weights = np.array([sampling.ratios.get(name, 1.0) for name in setting.degradations])
    if not weights.any():
        raise TrainingError(f"the ratios leave no degradation of setting {setting.name}")
    return cast("npt.NDArray[np.float64]", weights / weights.sum())


class SyntheticPairs(Dataset[Sample]):
    """An endless stream of samples, indexed from 0.

    Args:
        clean: where ground truth comes from.
        setting: the degradations to draw, and their labels.
        sampling: how.
        view: side of the router's views in pixels.
        seed: 0 or more; another seed is another stream.
        view_mode: how the router looks; ``resize`` sees the whole photo, whatever ``sampling.local_views`` says.

    Raises:
        TrainingError: the ratios leave the setting without any degradation.
    """

    def __init__(
        self,
        clean: CleanPhotos,
        setting: Setting,
        sampling: Sampling,
        view: int,
        seed: int,
        view_mode: ViewMode = "native",
    ) -> None:
        self.clean, self.setting, self.sampling, self.view, self.seed = clean, setting, sampling, view, seed
        self.view_mode = view_mode
        self.probabilities = probabilities(setting, sampling)

    def __getitem__(self, index: int) -> Sample:
        """Sample ``index``; ``TrainingError`` that names the file if its photo cannot be read."""
        rng = np.random.default_rng((self.seed, index))
        return self.draw(int(rng.choice(len(self.probabilities), p=self.probabilities)), rng)

    def draw(self, label: int, rng: np.random.Generator) -> Sample:
        """A sample of one degradation, everything else drawn from ``rng``."""
        s = self.sampling
        photo = mirrored_to(self.clean.read(int(rng.integers(len(self.clean)))), s.patch, s.patch)
        gt = Cut.draw(photo, s, rng).of(photo)
        names, second, second_strength = self.setting.degradations, None, 0.0
        strength = 0.0 if rng.uniform() < s.untouched else s.strength(names[label], rng)
        strengths = {names[label]: strength} if strength > 0 else {}
        if strengths and s.composite > 0 and rng.uniform() < s.composite:
            second = self._another(label, rng)
        if second is not None:
            second_strength = strengths[names[second]] = s.strength(names[second], rng)
        image = to_float(gt)
        for name in in_order(strengths):
            image = degrade(image, name, rng, strengths[name], s.shares(name), s.scale(rng))
        lq = from_float(image, np.uint8)
        if "jpeg" not in strengths and s.saved > 0 and rng.uniform() < s.saved:
            lq = jpeg.saved(lq, jpeg.draw_saved(rng))
        sample = as_sample(lq, gt, label, strength, s, self.view_mode, self.view, rng)
        if second is None:
            return sample
        return sample._replace(second=torch.tensor(second), second_strength=torch.tensor(second_strength))

    def _another(self, label: int, rng: np.random.Generator) -> int | None:
        """A degradation besides ``label``, drawn by the same ratios; None if they leave no other."""
        weights = self.probabilities.copy()
        weights[label] = 0
        return int(rng.choice(len(weights), p=weights / weights.sum())) if weights.any() else None


@dataclass(frozen=True)
class Cut:
    """A shrunk, placed, mirrored and turned part of a photo: the same part of an input and of its truth."""

    scale: float
    """1 does not shrink."""
    y: int
    x: int
    height: int
    """In pixels after shrinking."""
    width: int
    mirrored: bool
    turns: int
    """Right angles, 0 to 3."""

    @classmethod
    def draw(cls, photo: Pixels, sampling: Sampling, rng: np.random.Generator) -> Cut:
        """A random one of ``photo`` (h, w, 3), which is no smaller than a patch."""
        low, high = sampling.photo_sides
        h, w = photo.shape[:2]
        height, width = (min(int(rng.integers(low, high + 1)), side) for side in (h, w))
        smallest = min(max(sampling.smallest_scale, height / h, width / w), 1.0)
        scale = float(rng.uniform(smallest, 1.0))
        if scale < 1:
            h, w = max(round(h * scale), height), max(round(w * scale), width)
        y, x = int(rng.integers(h - height + 1)), int(rng.integers(w - width + 1))
        mirrored = bool(rng.uniform() < 0.5)
        turns = int(rng.integers(1, 4)) if rng.uniform() < sampling.turned else 0
        return cls(scale, y, x, height, width, mirrored, turns)

    def of(self, photo: Pixels) -> Pixels:
        """The part of ``photo``."""
        if self.scale < 1:
            h, w = photo.shape[:2]
            size = (max(round(w * self.scale), self.width), max(round(h * self.scale), self.height))
            photo = cast(Pixels, cv2.resize(photo, size, interpolation=cv2.INTER_AREA))
        photo = photo[self.y : self.y + self.height, self.x : self.x + self.width]
        if self.mirrored:
            photo = photo[:, ::-1]
        return np.ascontiguousarray(np.rot90(photo, self.turns))


def as_sample(
    lq: Pixels,
    gt: Pixels,
    label: int,
    strength: float,
    sampling: Sampling,
    view_mode: ViewMode,
    view: int,
    rng: np.random.Generator,
    key: int = -1,
) -> Sample:
    """The router's views of ``lq`` and patches of both, cut from the same random places."""
    views = views_of(lq, view_mode, view, sampling.local_views, rng)
    corners = [
        (int(rng.integers(gt.shape[0] - sampling.patch + 1)), int(rng.integers(gt.shape[1] - sampling.patch + 1)))
        for _ in range(sampling.patches)
    ]
    return Sample(
        chw(views),
        torch.tensor(label),
        torch.tensor(strength, dtype=torch.float32),
        _patches(lq, corners, sampling.patch),
        _patches(gt, corners, sampling.patch),
        torch.tensor(key),
    )


def _patches(photo: Pixels, corners: list[tuple[int, int]], side: int) -> Tensor:
    if not corners:
        return torch.empty(0, 3, side, side, dtype=torch.uint8)
    return chw(np.stack([photo[y : y + side, x : x + side] for y, x in corners]))


def chw(images: Pixels) -> Tensor:
    """``(m, h, w, 3)`` to a tensor ``(m, 3, h, w)``."""
    return torch.from_numpy(np.ascontiguousarray(images.transpose(0, 3, 1, 2)))
