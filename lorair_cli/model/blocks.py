"""NAFNet's parts (Chen et al., "Simple Baselines for Image Restoration"), with experts in every convolution."""

from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lorair_cli.model.config import NetworkConfig
from lorair_cli.model.experts import ExpertConv2d


class LayerNorm2d(nn.Module):
    """Layer normalisation over the channels of every pixel."""

    def __init__(self, channels: int, eps: float = 1e-6) -> None:
        super().__init__()
        self.weight = nn.Parameter(torch.ones(channels))
        self.bias = nn.Parameter(torch.zeros(channels))
        self.eps = eps

    def forward(self, x: Tensor) -> Tensor:
        """``(b, c, h, w)`` to the same shape."""
        # The built-in kernel wants channels last; on a channels_last tensor these permutations cost nothing.
        y = F.layer_norm(x.permute(0, 2, 3, 1), self.weight.shape, self.weight, self.bias, self.eps)
        return y.permute(0, 3, 1, 2)


def simple_gate(x: Tensor) -> Tensor:
    """Product of the two halves of the channels: ``(b, 2c, h, w)`` to ``(b, c, h, w)``."""
    first, second = x.chunk(2, dim=1)
    return first * second


def pooled(x: Tensor, window: int | None) -> Tensor:
    """Mean over the picture ``(b, c, 1, 1)``, or, with a window, over each pixel's surroundings ``(b, c, h, w)``.

    The local mean is test-time local pooling (Chu et al., "Improving Image Restoration by Revisiting Global Information
    Aggregation"): a network trained on patches then sees statistics of patch-sized regions in a large photo, too. Its
    window is an argument, so no picture can influence the next.
    """
    h, w = x.shape[-2:]
    if window is None or (window >= h and window >= w):
        if x.is_cpu and x.dtype != torch.float32 and not x.requires_grad:
            return F.avg_pool2d(
                x, (h, w)
            )  # but for the order of the sums the same; the mean of 16-bit numbers is ten times as slow there
        return x.mean((2, 3), keepdim=True)
    # Around their mean, running sums stay small and float32 is exact enough.
    wide = x.to(torch.promote_types(x.dtype, torch.float32))
    centre = wide.mean((2, 3), keepdim=True)
    local = _box_mean(_box_mean(wide - centre, window, 2), window, 3) + centre
    top, left = (h - local.shape[2]) // 2, (w - local.shape[3]) // 2
    return F.pad(local, (left, w - local.shape[3] - left, top, h - local.shape[2] - top), mode="replicate").to(x.dtype)


def _box_mean(x: Tensor, size: int, dim: int) -> Tensor:
    """Mean of every ``size`` neighbours along ``dim``, at the same cost for any ``size``."""
    length = x.shape[dim]
    if size >= length:
        return x.mean(dim, keepdim=True)
    sums = torch.cat([torch.zeros_like(x.narrow(dim, 0, 1)), x.cumsum(dim)], dim)
    steps = length - size + 1
    return (sums.narrow(dim, size, steps) - sums.narrow(dim, 0, steps)) / size


class NAFBlock(nn.Module):
    """Depthwise convolution, simple gate and channel attention, then a gated feed-forward part; both residual."""

    def __init__(self, config: NetworkConfig, channels: int) -> None:
        super().__init__()
        c = channels
        self.norm1 = LayerNorm2d(c)
        self.conv1 = ExpertConv2d(config, c, 2 * c)
        self.conv2 = ExpertConv2d(config, 2 * c, 2 * c, 3, padding=1, groups=2 * c)
        self.attention = ExpertConv2d(config, c, c)
        self.conv3 = ExpertConv2d(config, c, c)
        self.norm2 = LayerNorm2d(c)
        self.conv4 = ExpertConv2d(config, c, 2 * c)
        self.conv5 = ExpertConv2d(config, c, c)
        # Zero at the start: a new block is the identity.
        self.beta = nn.Parameter(torch.zeros(1, c, 1, 1))
        self.gamma = nn.Parameter(torch.zeros(1, c, 1, 1))

    def forward(self, x: Tensor, mixture: Tensor | None, window: int | None = None) -> Tensor:
        """``(b, c, h, w)`` to the same shape; ``window`` is the pooling window in this stage's pixels."""
        y = self.conv1(self.norm1(x), mixture)  # (b, 2c, h, w)
        y = simple_gate(self.conv2(y, mixture))  # (b, c, h, w)
        attention = self.attention(pooled(y, window), mixture)
        # The weights' own type: under autocast the sum of the branches stays float32.
        x = _added(x, self.conv3(y, mixture, self.beta, attention).to(self.beta.dtype))
        y = simple_gate(self.conv4(self.norm2(x), mixture))
        return _added(x, self.conv5(y, mixture, self.gamma).to(self.gamma.dtype))


def _added(x: Tensor, branch: Tensor) -> Tensor:
    """``x + branch``; in the place of ``branch`` where no gradient will ask for it."""
    return x + branch if torch.is_grad_enabled() else branch.add_(x)
