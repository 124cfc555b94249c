"""Validation during training: the same degraded crops every time, restored as a user would have it."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from lorair_cli.data.clean import CleanPhotos
from lorair_cli.data.pairs import chw
from lorair_cli.data.synthesis import degrade
from lorair_cli.imaging.arrays import from_float, mirrored_to, to_float
from lorair_cli.imaging.views import ViewMode, views_of
from lorair_cli.model.network import RestorationNetwork
from lorair_cli.model.router import Router
from lorair_cli.model.routing import mixture_weights
from lorair_cli.settings import Setting
from lorair_cli.training.objectives import to_unit

CROP = 256
STRENGTH = 0.5
SSIM_WINDOW = 11
MOST_PHOTOS = 24
"""Validation takes no more, spread over the folder: enough to tell progress, and soon over on a laptop."""
UNTOUCHED = "untouched"

Autocast = Callable[[], AbstractContextManager[None]]
"""Opens a context in which forward passes compute in some precision."""


@dataclass(frozen=True)
class Score:
    """Means over the validation photos of one degradation."""

    degradation: str
    psnr_before: float
    """dB, 8-bit RGB, of the degraded crop; 60 for untouched ones."""
    psnr_after: float | None
    """dB, 8-bit RGB, of the restored crop; None when only the router was validated."""
    recognised: float
    """Share of photos whose most probable degradation is the right one; for untouched ones, the mean of the largest
    probability, which should be low."""
    ssim_after: float | None = None
    """SSIM (Gaussian window, 8-bit RGB, mean of the channels) of the restored crop; None as the PSNR, and for crops too
    small for its window."""


class Validation:
    """Centre crops of clean photos, degraded at middle strength with fixed seeds.

    Args:
        clean: photos that training does not see.
        setting: the degradations to make.
        view: side of the router's views in pixels.
        view_mode: how the router looks at a photo.

    Raises:
        TrainingError: a photo cannot be read.
    """

    def __init__(self, clean: CleanPhotos, setting: Setting, view: int, view_mode: ViewMode = "native") -> None:
        self.setting = setting
        clean = clean.spread(MOST_PHOTOS)
        self.crops: list[tuple[str, npt.NDArray[np.uint8], npt.NDArray[np.uint8], Tensor]] = []
        for index in range(len(clean)):
            photo = clean.read(index)
            y, x = max(photo.shape[0] - CROP, 0) // 2, max(photo.shape[1] - CROP, 0) // 2
            gt = photo[y : y + CROP, x : x + CROP]
            for label, name in enumerate((*setting.degradations, UNTOUCHED)):
                lq = gt
                if name != UNTOUCHED:
                    rng = np.random.default_rng((index, label))
                    lq = from_float(degrade(to_float(gt), name, rng, STRENGTH), np.uint8)
                self.crops.append((name, lq, gt, chw(views_of(lq, view_mode, view))))
        self._before = [psnr(lq, gt) for _, lq, gt, _ in self.crops]

    @torch.no_grad()
    def score(self, router: Router, network: RestorationNetwork | None, top_k: int, autocast: Autocast) -> list[Score]:
        """One ``Score`` per degradation, then one for untouched photos.

        Args:
            router: as trained so far; left in evaluation mode.
            network: as trained so far; None to validate the router alone.
            top_k: experts per photo.
            autocast: that of training, see ``Arithmetic``.
        """
        router.eval()
        rows: dict[str, list[tuple[float, float, float, float]]] = {}
        device = next(router.parameters()).device
        for (name, lq, gt, views), before in zip(self.crops, self._before, strict=True):
            with autocast():
                prior, logits = router(to_unit(views)[None].to(device))
                after = 0.0, 0.0
                if network is not None:
                    restored = self._restore(network, lq, prior.float(), logits.float(), top_k)
                    after = psnr(restored, gt), ssim(restored, gt)
            probabilities = logits[0].float().softmax(-1)
            best = int(probabilities.argmax())
            hit = float(probabilities[best]) if name == UNTOUCHED else float(self.setting.degradations[best] == name)
            rows.setdefault(name, []).append((before, after[0], hit, after[1]))
        means = {name: _means(values) for name, values in rows.items()}
        return [
            Score(name, before, after, hit, _or_none(like)) if network is not None else Score(name, before, None, hit)
            for name, (before, after, hit, like) in means.items()
        ]

    @torch.no_grad()
    def samples(
        self, router: Router, network: RestorationNetwork, top_k: int, autocast: Autocast
    ) -> npt.NDArray[np.uint8]:
        """A picture to look at: a row for each degradation, of one photo before, restored, and its truth."""
        router.eval()
        device, rows = next(router.parameters()).device, []
        for name in (*self.setting.degradations, UNTOUCHED):
            _, lq, gt, views = next(crop for crop in self.crops if crop[0] == name)
            with autocast():
                prior, logits = router(to_unit(views)[None].to(device))
                restored = self._restore(network, lq, prior.float(), logits.float(), top_k)
            rows.append(np.concatenate([lq, restored, gt], axis=1))
        return np.concatenate(rows)

    def _restore(
        self, network: RestorationNetwork, lq: npt.NDArray[np.uint8], prior: Tensor, logits: Tensor, top_k: int
    ) -> npt.NDArray[np.uint8]:
        mixture = mixture_weights(logits, top_k) if network.config.experts else None
        height, width = lq.shape[:2]
        filled = mirrored_to(lq, *network.config.fitting(height, width))  # as ``lorair restore`` does
        x = to_unit(chw(filled[None])).to(prior.device)
        y = network(x.contiguous(memory_format=torch.channels_last), prior, mixture)
        restored = y[0, :, :height, :width].float().permute(1, 2, 0).cpu().numpy()
        return from_float(np.nan_to_num(restored, nan=0.0), np.uint8)  # no number is black: a bad score, and no crash


def psnr(image: npt.NDArray[np.uint8], truth: npt.NDArray[np.uint8]) -> float:
    """PSNR in dB over all 8-bit RGB values; 60 for equal pictures, so that means stay finite."""
    mse = float(np.mean((image.astype(np.float32) - truth.astype(np.float32)) ** 2))
    return 60.0 if mse == 0 else min(10 * float(np.log10(255**2 / mse)), 60.0)


def ssim(image: npt.NDArray[np.uint8], truth: npt.NDArray[np.uint8]) -> float:
    """Mean SSIM of the channels with a Gaussian window of 11x11 pixels; NaN for pictures that are smaller."""
    from skimage.metrics import structural_similarity

    if min(image.shape[:2]) < SSIM_WINDOW:
        return float("nan")
    found = structural_similarity(
        truth, image, channel_axis=2, data_range=255, gaussian_weights=True, use_sample_covariance=False
    )
    return float(found)


def mean_score(scores: list[Score]) -> float:
    """One number to compare checkpoints by: mean PSNR over the degradations, or share recognised without a network."""
    degraded = [s for s in scores if s.degradation != UNTOUCHED]
    return float(np.mean([s.recognised if s.psnr_after is None else s.psnr_after for s in degraded]))


def _means(rows: Sequence[tuple[float, ...]]) -> list[float]:
    """The mean of each column over the rows that have it; NaN if none has."""
    columns = ([value for value in column if not math.isnan(value)] for column in zip(*rows, strict=True))
    return [float(np.mean(known)) if known else math.nan for known in columns]


def _or_none(value: float) -> float | None:
    return None if np.isnan(value) else value


def as_table(scores: list[Score]) -> str:
    """Scores as aligned lines for a log: PSNR in dB before and after, gain, SSIM, and the router's share of hits."""
    lines = [f"{'degradation':12} {'before':>7} {'after':>7} {'gain':>6} {'ssim':>7} {'router':>7}"]
    for s in scores:
        after, gain, like = "-", "-", "-"
        if s.psnr_after is not None:
            after, gain = f"{s.psnr_after:.2f}", f"{s.psnr_after - s.psnr_before:+.2f}"
        if s.ssim_after is not None:
            like = f"{s.ssim_after:.4f}"
        lines.append(f"{s.degradation:12} {s.psnr_before:7.2f} {after:>7} {gain:>6} {like:>7} {s.recognised:7.2f}")
    return "\n".join(lines)
