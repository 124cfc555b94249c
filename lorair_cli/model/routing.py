"""From the router's logits to experts and their weights (LoRA-IR, Eq. 3)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn


@dataclass(frozen=True)
class Routing:
    """What the router decided about one photo."""

    logits: Tensor
    """``(n,)``, in the setting's label order."""
    prior: Tensor
    """``(prior,)``, the modulator's input."""
    mixture: Tensor
    """``(n,)`` expert weights: zero for those not selected. The router's sum to one; those that a user names are as
    named, and without experts all are zero."""
    looks: tuple[Tensor, Tensor] | None = None
    """Of a large photo the probabilities ``(n,)`` by a look at the photo and by one at a small copy of it; the logits
    and the prior are those of the surer one."""

    @property
    def probabilities(self) -> Tensor:
        """``(n,)``, softmax over all logits: what ``classify`` prints."""
        return self.logits.softmax(-1)

    @property
    def selected(self) -> list[int]:
        """Labels of the experts in use, strongest first."""
        order = self.mixture.argsort(descending=True, stable=True).tolist()
        return [i for i in order if self.mixture[i] > 0]

    def seen_from_afar(self) -> Routing:
        """The same, of a large photo as if a look at its small copy had left no doubt of what its experts are for."""
        if self.looks is None:
            return self
        return replace(self, looks=(self.looks[0], (self.mixture > 0).float()))


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


CONVINCED = 6.0
"""By how many logits a degradation that the user names leads all others: the router's own lead where it is plain."""
SWEEPS = 1000
CLOSE = 1e-5
"""The search is given up after so many rounds, and done when no step is longer than this."""


def convinced(prior: Tensor, head: nn.Linear, named: Sequence[int], lead: float = CONVINCED) -> Tensor:
    """The nearest prior for which the router's last layer would be sure of what the user names.

    The prior tells the whole network what to repair, and how sure the router is of it. Under a prior that says
    "perhaps JPEG", even the expert for shadows leaves a shadow where it is; so who names an expert against the router
    needs the prior that goes with it. Where the router agrees, the prior stays as it is: how sure it is of what it
    sees is worth knowing, and more would overdo it.

    This is the projection onto the half-spaces ``logits[i] - logits[j] >= lead``, i named and j not, by Hildreth's
    method (a dual coordinate ascent).

    Args:
        prior: ``(prior,)``.
        head: the router's last layer, prior to logits ``(n,)``.
        named: labels.
        lead: of each named degradation over all others, in logits.

    Returns:
        ``(prior,)`` in its own type, on its own device: ``prior`` itself where the named degradations are ahead of all
        others already, or where no prior could put them there.
    """
    # Many tiny steps: nothing for a GPU.
    weight, bias, moved = (t.detach().double().cpu() for t in (head.weight, head.bias, prior))
    pairs = [(i, j) for i in named for j in range(len(bias)) if j not in named]
    logits = weight @ moved + bias
    if all(logits[i] > logits[j] for i, j in pairs):
        return prior
    normals = [weight[i] - weight[j] for i, j in pairs]
    demands = [lead - float(bias[i] - bias[j]) for i, j in pairs]
    pulls = [0.0] * len(pairs)
    for _ in range(SWEEPS):
        furthest = 0.0
        for k, normal in enumerate(normals):
            length = float(normal @ normal)
            if length > 0:
                pull = max(pulls[k] + (demands[k] - float(normal @ moved)) / length, 0.0)
                furthest = max(furthest, abs(pull - pulls[k]) * length**0.5)
                moved = moved + (pull - pulls[k]) * normal
                pulls[k] = pull
        if furthest < CLOSE:
            return moved.to(prior)
    return prior
