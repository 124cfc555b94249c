"""What each stage minimises: one forward and backward pass over a batch of samples."""

from __future__ import annotations

import math
from typing import Protocol

import torch
import torch.nn.functional as F
from accelerate import Accelerator
from torch import Tensor, nn

from lorair_cli.data.pairs import Sample
from lorair_cli.model.network import RestorationNetwork
from lorair_cli.model.router import Router
from lorair_cli.model.routing import mixture_weights


class Objective(Protocol):
    """A stage's trainable module and its loss."""

    module: nn.Module

    def backward(self, batch: Sample, accelerator: Accelerator) -> Tensor:
        """Add the batch's gradients to the module's; returns the loss, detached."""


CERTAIN_STRENGTH = 0.15
"""From this strength on a degradation is taught as certain; below, the label fades into "nothing in particular"."""


class RouterTrainee(nn.Module):
    """A router with a head for the strength, which only training uses.

    Cross-entropy alone would let the prior forget how strong a degradation is, and the modulator wants to know.
    """

    def __init__(self, router: Router) -> None:
        super().__init__()
        self.router = router
        self.strength = nn.Linear(router.config.prior_channels, 1)

    def forward(self, views: Tensor) -> tuple[Tensor, Tensor]:
        """Views ``(b, 1 + M, 3, v, v)`` in [0, 1] to logits ``(b, n)`` and strengths ``(b,)``."""
        prior, logits = self.router(views)
        return logits, self.strength(prior).squeeze(-1)


class RouterObjective:
    """Cross-entropy on the degradation (LoRA-IR, section 3.1), plus the squared error of its strength.

    The strength counts where it is known: a real pair does not tell it (-1). Without ``learns_strength`` every label
    is certain and the strength is nobody's business, as in the paper.
    """

    def __init__(self, module: RouterTrainee, learns_strength: bool = True) -> None:
        self.module: nn.Module = module
        self.learns_strength = learns_strength

    def backward(self, batch: Sample, accelerator: Accelerator) -> Tensor:
        """One pass over ``batch``."""
        with accelerator.autocast():
            logits, strength = self.module(to_unit(batch.views))
        known = (batch.strength >= 0) & self.learns_strength
        certainty = torch.where(known, batch.strength, torch.ones_like(batch.strength))
        loss = F.cross_entropy(logits.float(), faded_target(batch.label, certainty, logits.shape[-1]))
        # The mean is over all photos, so that a share of a batch weighs as its number of photos.
        loss = loss + 2 * ((strength.float() - batch.strength).square() * known).mean()
        accelerator.backward(loss)
        return loss.detach()


class RestorationObjective:
    """PSNR loss of the network under a frozen router: stage 1 (no experts) and stage 2 (one mixture per photo)."""

    def __init__(self, module: RestorationNetwork, router: Router, experts: int, top_k: int, epsilon: float) -> None:
        self.module: nn.Module = module
        self.router, self.experts, self.top_k, self.epsilon = router, experts, top_k, epsilon

    def backward(self, batch: Sample, accelerator: Accelerator) -> Tensor:
        """One pass over ``batch``, photos of the same mixture together, so that each group folds its weights once."""
        with torch.no_grad(), accelerator.autocast():
            prior, logits = self.router(to_unit(batch.views))
        prior, logits = prior.float(), logits.float()
        total = torch.zeros((), device=prior.device)
        for mixture, photos in self._groups(logits):
            k = batch.lq.shape[1]
            lq = to_unit(batch.lq[photos]).flatten(0, 1).contiguous(memory_format=torch.channels_last)
            gt = to_unit(batch.gt[photos]).flatten(0, 1)
            with accelerator.autocast():
                restored = self.module(lq, prior[photos].repeat_interleave(k, 0), mixture)
            loss = psnr_loss(restored.float(), gt, self.epsilon).sum() / (len(batch.lq) * k)
            accelerator.backward(loss)
            total += loss.detach()
        return total

    def _groups(self, logits: Tensor) -> list[tuple[Tensor | None, Tensor]]:
        """Mixtures ``(1, n)`` and the photos that share each; without experts, one group of all."""
        if not self.experts:
            return [(None, torch.arange(len(logits), device=logits.device))]
        mixtures = mixture_weights(logits, self.top_k)
        unique, owner = mixtures.unique(dim=0, return_inverse=True)
        return [(row[None], (owner == i).nonzero().squeeze(1)) for i, row in enumerate(unique)]


def faded_target(label: Tensor, strength: Tensor, classes: int) -> Tensor:
    """Labels ``(b,)`` as probabilities ``(b, classes)``: certain from ``CERTAIN_STRENGTH`` on, even at strength 0."""
    certainty = (strength / CERTAIN_STRENGTH).clamp(max=1)[:, None]
    return certainty * F.one_hot(label, classes) + (1 - certainty) / classes


def psnr_loss(restored: Tensor, gt: Tensor, epsilon: float) -> Tensor:
    """Negative PSNR per image in dB: ``10 / ln 10 * ln(mse + epsilon)``; ``(b, 3, h, w)`` to ``(b,)``."""
    return 10 / math.log(10) * ((restored - gt).square().mean((1, 2, 3)) + epsilon).log()


def to_unit(pixels: Tensor) -> Tensor:
    """uint8 to float32 in [0, 1]."""
    return pixels.float() / 255
