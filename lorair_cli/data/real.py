"""Training pairs from disk, and their mixture with synthetic ones."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np
from torch.utils.data import Dataset

from lorair_cli.data.catalogue import LocatedSet, load_catalogue, locate_set
from lorair_cli.data.clean import DECODED_BYTES, CleanPhotos
from lorair_cli.data.pairs import Cut, Pixels, Sample, Sampling, SyntheticPairs, as_sample, probabilities
from lorair_cli.errors import TrainingError
from lorair_cli.imaging.arrays import mirrored_to
from lorair_cli.imaging.views import ViewMode
from lorair_cli.settings import Setting

ATTITUDES = 8
"""Mirrored or not, times four right angles."""


def find_sets(roots: Sequence[Path], setting: Setting) -> list[LocatedSet]:
    """The training sets of ``setting`` below each of ``roots``.

    Raises ``TrainingError`` if a folder is missing or holds none.
    """
    found = []
    for root in roots:
        if not root.is_dir():
            raise TrainingError(f"{root}: no such folder of training sets")
        here = [locate_set(one, root) for one in load_catalogue().of_setting(setting.name)]
        if not any(one is not None and one.pairs for one in here):
            raise TrainingError(
                f"{root}: holds no training set of setting {setting.name}",
                f"`lorair data list --setting {setting.name}` shows how they lie",
            )
        found += [one for one in here if one is not None and one.pairs]
    return found


class RealPairs:
    """Pairs of input and truth on disk, by label.

    Args:
        located: training sets of ``setting``; all pairs of a degradation are drawn alike, whichever set they are in.
        setting: whose labels.
        sampling: how to cut; nothing is ever shrunk, because that would change the degradation.
        view: side of the router's views in pixels.
        view_mode: how the router looks.
        cache: folder of decoded copies; see ``CleanPhotos``.
    """

    def __init__(
        self,
        located: Sequence[LocatedSet],
        setting: Setting,
        sampling: Sampling,
        view: int,
        view_mode: ViewMode,
        cache: Path | None = None,
    ) -> None:
        self.sampling = replace(sampling, smallest_scale=1.0)
        self.view, self.view_mode = view, view_mode
        rows = [
            (setting.index(one.set.degradation), one.set.sigmas, lq, gt) for one in located for _, lq, gt in one.pairs
        ]
        self.inputs = CleanPhotos(tuple(lq for _, _, lq, _ in rows), DECODED_BYTES // 2, cache)
        # Many inputs share a truth in some sets: decoded and kept once.
        shared = {path: i for i, path in enumerate(dict.fromkeys(gt for *_, gt in rows))}
        self.truths = CleanPhotos(tuple(shared), DECODED_BYTES // 2, cache)
        self.truth_of = [shared[gt] for *_, gt in rows]
        self.sigmas = [sigmas for _, sigmas, _, _ in rows]
        self.of_label = {label: [i for i, row in enumerate(rows) if row[0] == label] for label in {r[0] for r in rows}}

    def draw(self, label: int, rng: np.random.Generator) -> Sample:
        """A pair of one degradation.

        Raises ``TrainingError`` that names the file if one cannot be read, or if input and truth differ in size.
        """
        s = self.sampling
        pair = self.of_label[label][int(rng.integers(len(self.of_label[label])))]
        gt = self.truths.read(self.truth_of[pair])
        lq, key = gt, -1
        if not self.sigmas[pair]:
            lq = self.inputs.read(pair)
            if lq.shape != gt.shape:
                raise TrainingError(
                    f"{self.inputs.paths[pair]}: its truth has another size", "`lorair data check` finds all of them"
                )
        lq, gt = mirrored_to(lq, s.patch, s.patch), mirrored_to(gt, s.patch, s.patch)
        cut = Cut.draw(gt, s, rng)
        whole = (cut.height, cut.width) == gt.shape[:2]
        lq, gt = cut.of(lq), cut.of(gt)
        strength = -1.0
        if rng.uniform() < s.untouched:
            lq, strength = gt, 0.0
        elif self.sigmas[pair]:
            lq = noisy(gt, float(rng.choice(self.sigmas[pair])), rng)
        elif whole and self.view_mode == "resize":  # the views depend on nothing but the photo and its attitude
            key = pair * ATTITUDES + 4 * cut.mirrored + cut.turns
        return as_sample(lq, gt, label, strength, s, self.view_mode, self.view, rng, key)


class MixedPairs(Dataset[Sample]):
    """An endless stream of real and synthetic samples, indexed from 0: a function of the seed and the index.

    The degradation is drawn first, so ratios between degradations hold whatever lies on disk.

    Args:
        real: pairs from disk.
        synthetic: pairs made on the fly, or None.
        setting: the degradations to draw.
        sampling: its ``ratios`` and ``real``.
        seed: 0 or more.

    Raises:
        TrainingError: a degradation has neither.
    """

    def __init__(
        self, real: RealPairs, synthetic: SyntheticPairs | None, setting: Setting, sampling: Sampling, seed: int
    ) -> None:
        self.real, self.synthetic, self.sampling, self.seed = real, synthetic, sampling, seed
        self.probabilities = probabilities(setting, sampling)
        lacking = [
            name
            for label, name in enumerate(setting.degradations)
            if self.probabilities[label] > 0 and label not in real.of_label
        ]
        if lacking and synthetic is None:
            raise TrainingError(
                f"there are no pairs of {', '.join(lacking)}",
                "add --clean, a folder of photos to make them from, or set their ratio to 0",
            )

    def __getitem__(self, index: int) -> Sample:
        """Sample ``index``; ``TrainingError`` that names the file if a picture cannot be read."""
        rng = np.random.default_rng((self.seed, index))
        label = int(rng.choice(len(self.probabilities), p=self.probabilities))
        is_real = rng.uniform() < self.sampling.real
        if self.synthetic is None or (is_real and label in self.real.of_label):
            return self.real.draw(label, rng)
        return self.synthetic.draw(label, rng)


def noisy(gt: Pixels, sigma: float, rng: np.random.Generator) -> Pixels:
    """``gt`` with white noise, as PromptIR and DA-CLIP make it: values are cut to whole levels, not rounded."""
    return np.clip(gt + sigma * rng.standard_normal(gt.shape), 0, 255).astype(np.uint8)
