"""Degradation-guided adaptive modulator, DAM (LoRA-IR, section 3.2): the prior gates every stage's channels.

Beside it, what table 10 of the paper puts in its place.
"""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lorair_cli.model.blocks import LayerNorm2d
from lorair_cli.model.config import NetworkConfig
from lorair_cli.model.experts import ExpertConv2d


class PriorMLP(nn.Module):
    """The part all stages share: ``e_d = MLP(e_clip)``, two 1x1 convolutions with GELU after each."""

    def __init__(self, config: NetworkConfig) -> None:
        super().__init__()
        self.conv1 = ExpertConv2d(config, config.prior_channels, config.prior_channels)
        self.conv2 = ExpertConv2d(config, config.prior_channels, config.prior_channels)

    def forward(self, prior: Tensor, mixture: Tensor | None) -> Tensor:
        """``(b, prior)`` to ``(b, prior, 1, 1)``."""
        x = prior[:, :, None, None]
        return F.gelu(self.conv2(F.gelu(self.conv1(x, mixture)), mixture))


class Modulator(nn.Module):
    """One stage's gate: ``x + beta * LN(x) * sigmoid(W4 relu(W3 W2 gelu(W1 e_d)))``."""

    def __init__(self, config: NetworkConfig, channels: int) -> None:
        super().__init__()
        # The authors' squeeze; at small widths at least one channel must remain.
        squeezed = max(channels // 16, 1)
        self.norm = LayerNorm2d(channels)
        self.conv1 = ExpertConv2d(config, config.prior_channels, config.modulator_channels)
        self.conv2 = ExpertConv2d(config, config.modulator_channels, channels)
        self.conv3 = ExpertConv2d(config, channels, squeezed)
        self.conv4 = ExpertConv2d(config, squeezed, channels)
        self.beta = nn.Parameter(torch.zeros(1, channels, 1, 1))

    def forward(self, x: Tensor, guide: Tensor, mixture: Tensor | None) -> Tensor:
        """``x`` ``(b, c, h, w)``, ``guide`` = e_d ``(b, prior, 1, 1)``; returns ``(b, c, h, w)``."""
        y = self.conv2(F.gelu(self.conv1(guide, mixture)), mixture)  # (b, c, 1, 1)
        gate = torch.sigmoid(self.conv4(F.relu(self.conv3(y, mixture)), mixture))
        y = self.norm(x)
        out: Tensor = x + y * (gate * self.beta).to(y.dtype)  # a product of two types is slow on a CPU
        return out


class AdaptiveNorm(nn.Module):
    """In the modulator's place: ``x + LN(x) * scale + shift``, both from the prior and zero at the start (AdaLN)."""

    def __init__(self, config: NetworkConfig, channels: int) -> None:
        super().__init__()
        self.norm = LayerNorm2d(channels)
        self.conv1 = ExpertConv2d(config, config.prior_channels, config.modulator_channels)
        self.conv2 = ExpertConv2d(config, config.modulator_channels, 2 * channels)
        nn.init.zeros_(self.conv2.weight)
        if self.conv2.bias is not None:
            nn.init.zeros_(self.conv2.bias)

    def forward(self, x: Tensor, guide: Tensor, mixture: Tensor | None) -> Tensor:
        """``x`` ``(b, c, h, w)``, ``guide`` = e_d ``(b, prior, 1, 1)``; returns ``(b, c, h, w)``."""
        scale, shift = self.conv2(F.gelu(self.conv1(guide, mixture)), mixture).chunk(2, dim=1)
        y = self.norm(x)
        out: Tensor = x + y * scale.to(y.dtype) + shift.to(x.dtype)
        return out


class Unmodulated(nn.Module):
    """In the modulator's place: nothing."""

    def forward(self, x: Tensor, guide: Tensor, mixture: Tensor | None) -> Tensor:
        """``x`` as it is."""
        return x


def build_modulator(config: NetworkConfig, channels: int) -> nn.Module:
    """The modulator that a config asks for."""
    if config.modulator == "none":
        return Unmodulated()
    return Modulator(config, channels) if config.modulator == "dam" else AdaptiveNorm(config, channels)


def build_prior_mlp(config: NetworkConfig) -> PriorMLP | None:
    """The part that all modulators share; None where there are none."""
    return None if config.modulator == "none" else PriorMLP(config)
