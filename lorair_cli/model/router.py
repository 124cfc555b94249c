"""Degradation-guided router, DG-Router (LoRA-IR, section 3.1): what is wrong with a photo."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from lorair_cli.model.config import RouterConfig
from lorair_cli.model.encoders import build_encoder

ROUTER_HEAD = "head."
"""How the names of the last layer's tensors begin, whose first axis counts the degradations."""


class Router(nn.Module):
    """One downsampled view and M local views in; prior and logits out.

        e_clip = MLP(concat(e_down, mean_M(e_slide)))    logits = head(e_clip)

    ``MLP`` = Linear(2C, C), GELU, Linear(C, C/2), GELU.
    """

    def __init__(self, config: RouterConfig) -> None:
        super().__init__()
        self.config = config
        c = config.encoder.features
        self.encoder = build_encoder(config.encoder)
        seen = 2 * c if config.high_resolution else c
        self.mlp = nn.Sequential(nn.Linear(seen, c), nn.GELU(), nn.Linear(c, c // 2), nn.GELU())
        self.head = nn.Linear(c // 2, config.classes)

    def features(self, views: Tensor) -> Tensor:
        """Frozen part: views ``(b, 1 + M, 3, v, v)`` in [0, 1], the downsampled one first, to ``(b, 2C)``.

        Without high resolution (table 10) the downsampled view alone, ``(b, C)``.
        """
        if not self.config.high_resolution:
            alone: Tensor = self.encoder(views[:, 0])
            return alone
        b, m = views.shape[:2]
        embedded = self.encoder(views.flatten(0, 1)).unflatten(0, (b, m))  # (b, 1 + M, C)
        return torch.cat([embedded[:, 0], embedded[:, 1:].mean(1)], dim=-1)

    def prior(self, features: Tensor) -> Tensor:
        """Features to the prior e_clip ``(b, C/2)``."""
        out: Tensor = self.mlp(features)
        return out

    def decide(self, features: Tensor) -> tuple[Tensor, Tensor]:
        """Features ``(b, 2C)`` to prior ``(b, C/2)`` and logits ``(b, n)``, both in the weights' own type.

        Autocast does not reach in here: bfloat16 has eight bits for a logit, and gave two likely degradations the very
        same one.
        """
        with torch.autocast(features.device.type, enabled=False):
            prior = self.prior(features.to(self.head.weight.dtype))
            return prior, self.head(prior)

    def forward(self, views: Tensor) -> tuple[Tensor, Tensor]:
        """Views ``(b, 1 + M, 3, v, v)`` in [0, 1] to prior ``(b, C/2)`` and logits ``(b, n)``."""
        return self.decide(self.features(views))
