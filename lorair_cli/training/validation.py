"""Validation during training: the same degraded crops every time, restored as a user would have it."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import torch
from torch import Tensor

from lorair_cli.data.clean import CleanPhotos
from lorair_cli.data.pairs import chw, quantised
from lorair_cli.data.synthesis import degrade
from lorair_cli.imaging.arrays import to_float
from lorair_cli.imaging.views import native_views, resize_views
from lorair_cli.model.config import ViewMode
from lorair_cli.model.network import RestorationNetwork
from lorair_cli.model.router import Router
from lorair_cli.model.routing import mixture_weights
from lorair_cli.settings import Setting

CROP = 256
STRENGTH = 0.5
MOST_PHOTOS = 24
"""Validation takes no more, spread over the folder: enough to tell progress, and soon over on a laptop."""
UNTOUCHED = "untouched"


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
        see = native_views if view_mode == "native" else resize_views
        clean = clean.spread(MOST_PHOTOS)
        self.crops: list[tuple[str, npt.NDArray[np.uint8], npt.NDArray[np.uint8], Tensor]] = []
        for index in range(len(clean)):
            photo = clean.read(index)
            y, x = max(photo.shape[0] - CROP, 0) // 2, max(photo.shape[1] - CROP, 0) // 2
            gt = photo[y : y + CROP, x : x + CROP]
            for label, name in enumerate((*setting.degradations, UNTOUCHED)):
                lq = gt
                if name != UNTOUCHED:
                    lq = quantised(degrade(to_float(gt), name, np.random.default_rng((index, label)), STRENGTH))
                self.crops.append((name, lq, gt, chw(see(lq, view))))

    @torch.no_grad()
    def score(self, router: Router, network: RestorationNetwork | None, top_k: int, bf16: bool) -> list[Score]:
        """One ``Score`` per degradation, then one for untouched photos.

        Args:
            router: as trained so far; left in evaluation mode.
            network: as trained so far; None to validate the router alone.
            top_k: experts per photo.
            bf16: run under bf16 autocast, as training does.
        """
        router.eval()
        rows: dict[str, list[tuple[float, float, float]]] = {}
        device = next(router.parameters()).device
        for name, lq, gt, views in self.crops:
            with torch.autocast(device.type, torch.bfloat16, enabled=bf16):
                prior, logits = router((views.float() / 255)[None].to(device))
                after = 0.0
                if network is not None:
                    after = psnr(self._restore(network, lq, prior.float(), logits.float(), top_k), gt)
            probabilities = logits[0].float().softmax(-1)
            best = int(probabilities.argmax())
            hit = float(probabilities[best]) if name == UNTOUCHED else float(self.setting.degradations[best] == name)
            rows.setdefault(name, []).append((psnr(lq, gt), after, hit))
        means = {name: np.mean(values, axis=0).tolist() for name, values in rows.items()}
        return [
            Score(name, before, None if network is None else after, hit) for name, (before, after, hit) in means.items()
        ]

    def _restore(
        self, network: RestorationNetwork, lq: npt.NDArray[np.uint8], prior: Tensor, logits: Tensor, top_k: int
    ) -> npt.NDArray[np.uint8]:
        mixture = mixture_weights(logits, top_k) if network.config.experts else None
        x = (chw(lq[None]).float() / 255).to(prior.device)
        y = network(x.contiguous(memory_format=torch.channels_last), prior, mixture)
        return quantised(y[0].float().permute(1, 2, 0).cpu().numpy())


def psnr(image: npt.NDArray[np.uint8], truth: npt.NDArray[np.uint8]) -> float:
    """PSNR in dB over all 8-bit RGB values; 60 for equal pictures, so that means stay finite."""
    mse = float(np.mean((image.astype(np.float32) - truth.astype(np.float32)) ** 2))
    return 60.0 if mse == 0 else min(10 * float(np.log10(255**2 / mse)), 60.0)


def as_table(scores: list[Score]) -> str:
    """Scores as aligned lines for a log: PSNR in dB before and after, the gain, and the router's share of hits."""
    lines = [f"{'degradation':12} {'before':>7} {'after':>7} {'gain':>6} {'router':>7}"]
    for s in scores:
        after, gain = "-", "-"
        if s.psnr_after is not None:
            after, gain = f"{s.psnr_after:.2f}", f"{s.psnr_after - s.psnr_before:+.2f}"
        lines.append(f"{s.degradation:12} {s.psnr_before:7.2f} {after:>7} {gain:>6} {s.recognised:7.2f}")
    return "\n".join(lines)
