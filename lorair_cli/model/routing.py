"""From the router's logits to experts and their weights (LoRA-IR, Eq. 3)."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import Tensor


@dataclass(frozen=True)
class Routing:
    """What the router decided about one photo."""

    logits: Tensor
    """``(n,)``, in the setting's label order."""
    prior: Tensor
    """``(prior,)``, the modulator's input."""
    mixture: Tensor
    """``(n,)`` expert weights: zero for those not selected, summing to one."""

    @property
    def probabilities(self) -> Tensor:
        """``(n,)``, softmax over all logits: what ``classify`` prints."""
        return self.logits.softmax(-1)

    @property
    def selected(self) -> list[int]:
        """Labels of the experts in use, strongest first."""
        order = self.mixture.argsort(descending=True, stable=True).tolist()
        return [i for i in order if self.mixture[i] > 0]


def mixture_weights(logits: Tensor, top_k: int) -> Tensor:
    """Keep the ``top_k`` largest logits, the first ones of equal ones, softmax over them, zero elsewhere.

    Args:
        logits: ``(..., n)``.
        top_k: 1 to n.

    Returns:
        ``(..., n)``, each row summing to one.

    Raises:
        ValueError: ``top_k`` is outside 1 to n.
    """
    n = logits.shape[-1]
    if not 1 <= top_k <= n:
        raise ValueError(f"top-k {top_k} is outside 1 to {n}")
    ordered, index = logits.float().sort(dim=-1, descending=True, stable=True)
    best = ordered[..., :top_k].softmax(-1)
    return torch.zeros_like(logits, dtype=torch.float32).scatter(-1, index[..., :top_k], best)
