"""What each stage minimises: one forward and backward pass over a batch of samples."""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import AbstractContextManager
from typing import Protocol

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lorair_cli.data.pairs import Sample
from lorair_cli.model.network import RestorationNetwork
from lorair_cli.model.router import Router
from lorair_cli.model.routing import mixture_weights


class Arithmetic(Protocol):
    """What an objective needs to compute in a precision; see ``training/arithmetic.py``."""

    def autocast(self) -> AbstractContextManager[None]:
        """Within it, forward passes compute in the precision."""

    def backward(self, loss: Tensor) -> None:
        """Add the gradients of ``loss``."""


class Objective(Protocol):
    """A stage's trainable module and its loss."""

    module: nn.Module

    def backward(self, batch: Sample, arithmetic: Arithmetic) -> Tensor:
        """Add the batch's gradients to the module's; returns the loss, detached."""


CERTAIN_STRENGTH = 0.15
"""From this strength on a degradation is taught as certain; below, the label fades into "nothing in particular"."""


LEANING = 0.35
"""How far the label of a photo with nothing wrong leans to the one degradation that a recipe may name: enough for it to
be the most probable one every time, and still unsure enough for ``--only-if``."""


class RouterTrainee(nn.Module):
    """A router with a head for the strength, which only training uses.

    Cross-entropy alone would let the prior forget how strong a degradation is, and the modulator wants to know.
    """

    def __init__(self, router: Router) -> None:
        super().__init__()
        self.router = router
        self.strength = nn.Linear(router.config.prior_channels, 1)
        self._keep_what_is_frozen()

    @property
    def learns_to_see(self) -> bool:
        """Whether the encoder is trained."""
        return any(p.requires_grad for p in self.router.encoder.parameters())

    def train(self, mode: bool = True) -> RouterTrainee:
        """As in torch, but a frozen encoder keeps the batch statistics that it came with."""
        super().train(mode)
        self._keep_what_is_frozen()
        return self

    def _keep_what_is_frozen(self) -> None:
        if not self.learns_to_see:
            self.router.encoder.eval()

    def forward(self, seen: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Views ``(b, 1 + M, 3, v, v)`` in [0, 1], or their features ``(b, 2C)``; logits, strengths ``(b,)``, prior."""
        prior, logits = self.router.decide(self.router.features(seen) if seen.dim() == 5 else seen)
        return logits, self.strength(prior).squeeze(-1), prior


MOST_FEATURES = 300_000
"""Photos whose features are kept: some 2 GB with CLIP's 1536 numbers."""


class Features:
    """Features by a frozen encoder, computed once for views that come again.

    Where any may come again, each photo is encoded alone, so that its features do not depend on the batch that it first
    came in, and a resumed run, which begins with nothing kept, has the same ones.
    """

    def __init__(self, router: Router) -> None:
        self.router = router
        self._kept: dict[int, Tensor] = {}

    @torch.no_grad()
    def __call__(self, batch: Sample, arithmetic: Arithmetic) -> Tensor:
        """``(b, 2C)`` float32 of a batch's views."""
        if bool((batch.key < 0).all()):  # nothing that could come again: the whole batch at once
            with arithmetic.autocast():
                return self.router.features(to_unit(batch.views)).float()
        rows = []
        for key, views in zip(batch.key.tolist(), batch.views, strict=True):
            row = self._kept.get(key)
            if row is None:
                with arithmetic.autocast():
                    row = self.router.features(to_unit(views)[None])[0].float()
                if key >= 0 and len(self._kept) < MOST_FEATURES:
                    self._kept[key] = row.cpu()
            rows.append(row.to(batch.views.device))
        return torch.stack(rows)


class RouterObjective:
    """Cross-entropy on the degradation (LoRA-IR, section 3.1), plus the squared error of its strength.

    A photo with two degradations is half of each, and as strong as the stronger. The strength counts where it is
    known: a real pair does not tell it (-1). Without ``learns_strength`` every label is certain and the strength is
    nobody's business, as in the paper.

    With a ``predecessor``, the router that a network was trained under, the prior stays near that one's, so that the
    network still understands it: ``keeps_prior`` times the squared distance, as a share of those priors' variance.
    Where the predecessor mistook what is plainly there for something else, its prior is a mistake as well, and nothing
    to stay near.

    Where next to nothing is wrong, the label is no degradation in particular, or leans to ``untouched_as``. Not so with
    ``holes``, the label of what is plain however little there is of it.
    """

    def __init__(
        self,
        module: RouterTrainee,
        learns_strength: bool = True,
        predecessor: Router | None = None,
        keeps_prior: float = 0.0,
        holes: int | None = None,
        untouched_as: int | None = None,
    ) -> None:
        self.module: nn.Module = module
        self.learns_strength = learns_strength
        self.predecessor, self.keeps_prior = predecessor, keeps_prior
        self.holes = holes
        self.features = None if module.learns_to_see else Features(module.router)
        self.nothing = nothing_in_particular(module.router.config.classes, untouched_as)

    def backward(self, batch: Sample, arithmetic: Arithmetic) -> Tensor:
        """One pass over ``batch``."""
        seen = to_unit(batch.views) if self.features is None else self.features(batch, arithmetic)
        with arithmetic.autocast():
            logits, strength, prior = self.module(seen)
        known = (batch.strength >= 0) & self.learns_strength
        certainty = torch.where(known, self._evidence(batch.label, batch.strength), torch.ones_like(batch.strength))
        nothing = self.nothing.to(logits.device)
        target = faded_target(batch.label, certainty, nothing)
        others = self._evidence(batch.second, batch.second_strength)
        others = others if self.learns_strength else torch.ones_like(certainty)
        both = (target + faded_target(batch.second.clamp(min=0), others, nothing)) / 2
        loss: Tensor = F.cross_entropy(logits, torch.where(batch.second[:, None] >= 0, both, target))
        # The mean is over all photos, so that a share of a batch weighs as its number of photos.
        strongest = torch.maximum(batch.strength, batch.second_strength)
        loss = loss + 2 * ((strength.float() - strongest).square() * known).mean()
        if self.predecessor is not None:
            loss = loss + self.keeps_prior * self._strayed(batch, seen, prior, arithmetic)
        arithmetic.backward(loss)
        return loss.detach()

    def _evidence(self, label: Tensor, strength: Tensor) -> Tensor:
        """Strengths ``(b,)``, but a small hole is a hole."""
        if self.holes is None:
            return strength
        return torch.where((label == self.holes) & (strength > 0), torch.ones_like(strength), strength)

    def _strayed(self, batch: Sample, seen: Tensor, prior: Tensor, arithmetic: Arithmetic) -> Tensor:
        """Squared distance of ``(b, C/2)`` priors from the predecessor's, over the variance of those."""
        assert self.predecessor is not None
        with torch.no_grad(), arithmetic.autocast():
            if self.features is not None and _same_eyes(self.predecessor, self.features.router):
                familiar, logits = self.predecessor.decide(seen)
            else:
                familiar, logits = self.predecessor(to_unit(batch.views))
            familiar, named = familiar.float(), logits.argmax(-1)
            plain = (batch.strength < 0) | (self._evidence(batch.label, batch.strength) >= CERTAIN_STRENGTH)
            mistaken = plain & (named != batch.label) & (named != batch.second)
            variance = (familiar - familiar.mean(0)).square().mean()
        strayed: Tensor = ((prior - familiar).square().mean(-1) * ~mistaken).mean() / variance.clamp(min=1e-6)
        return strayed


def _same_eyes(one: Router, other: Router) -> bool:
    """Whether features of one are features of the other, whose encoder is frozen and came with the same start."""
    return one.config.encoder == other.config.encoder and one.config.high_resolution == other.config.high_resolution


class RestorationObjective:
    """PSNR loss of the network under a frozen router: stage 1 (no experts) and stage 2 (one mixture per photo).

    With ``learning``, one truth value per expert, photos whose mixture has none of the learning ones are passed over.
    They count as 0 in the loss, so that it stays a mean over as many photos in every part of a batch.
    """

    def __init__(
        self,
        module: RestorationNetwork,
        router: Router,
        experts: int,
        top_k: int,
        epsilon: float,
        learning: Sequence[bool] | None = None,
    ) -> None:
        self.module: nn.Module = module
        self.router, self.experts, self.top_k, self.epsilon = router, experts, top_k, epsilon
        self.learning = None if learning is None else torch.tensor(learning)
        self.features = Features(router)

    def backward(self, batch: Sample, arithmetic: Arithmetic) -> Tensor:
        """One pass over ``batch``, photos of the same mixture together, so that each group folds its weights once."""
        prior, logits = self._routed(batch, arithmetic)
        total = torch.zeros((), device=prior.device)
        for mixture, photos in self._groups(logits):
            k = batch.lq.shape[1]
            lq = to_unit(batch.lq[photos]).flatten(0, 1).contiguous(memory_format=torch.channels_last)
            gt = to_unit(batch.gt[photos]).flatten(0, 1)
            with arithmetic.autocast():
                restored = self.module(lq, prior[photos].repeat_interleave(k, 0), mixture)
            loss = psnr_loss(restored.float(), gt, self.epsilon).sum() / (len(batch.lq) * k)
            arithmetic.backward(loss)
            total += loss.detach()
        return total

    @torch.no_grad()
    def _routed(self, batch: Sample, arithmetic: Arithmetic) -> tuple[Tensor, Tensor]:
        prior, logits = self.router.decide(self.features(batch, arithmetic))
        return prior.float(), logits.float()

    def _groups(self, logits: Tensor) -> list[tuple[Tensor | None, Tensor]]:
        """Mixtures ``(1, n)`` and the photos that share each, if they teach anything; without experts, one of all."""
        if not self.experts:
            return [(None, torch.arange(len(logits), device=logits.device))]
        mixtures = mixture_weights(logits, self.top_k)
        unique, owner = mixtures.unique(dim=0, return_inverse=True)
        groups = [(row[None], (owner == i).nonzero().squeeze(1)) for i, row in enumerate(unique)]
        if self.learning is None:
            return groups
        return [(row, photos) for row, photos in groups if (row.cpu()[0, self.learning] > 0).any()]


def nothing_in_particular(classes: int, leaning: int | None = None) -> Tensor:
    """Target ``(classes,)`` for a photo with nothing wrong: each as likely as the others, or ``LEANING`` more one."""
    even = torch.full((classes,), 1 / classes)
    if leaning is None:
        return even
    return LEANING * F.one_hot(torch.tensor(leaning), classes) + (1 - LEANING) * even


def faded_target(label: Tensor, strength: Tensor, nothing: Tensor) -> Tensor:
    """Labels ``(b,)`` as probabilities ``(b, classes)``: certain from ``CERTAIN_STRENGTH`` on, ``nothing`` at 0."""
    certainty = (strength / CERTAIN_STRENGTH).clamp(max=1)[:, None]
    return certainty * F.one_hot(label, len(nothing)) + (1 - certainty) * nothing


def psnr_loss(restored: Tensor, gt: Tensor, epsilon: float) -> Tensor:
    """Negative PSNR per image in dB: ``10 / ln 10 * ln(mse + epsilon)``; ``(b, 3, h, w)`` to ``(b,)``."""
    return 10 / math.log(10) * ((restored - gt).square().mean((1, 2, 3)) + epsilon).log()


def to_unit(pixels: Tensor) -> Tensor:
    """uint8 to float32 in [0, 1]."""
    return pixels.float() / 255
