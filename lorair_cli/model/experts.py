"""Mixture of low-rank experts inside a convolution (LoRA-IR, section 3.3, Eq. 3).

W_mixed = W + sum_i w_i * (alpha / r) * view(B_i A_i)

W    (out, in/groups, k, k)
A_i  (r k, in k)                random at the start
B_i  (out/groups k, r k)        zero at the start, so that stage 2 begins where stage 1 ended
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from lorair_cli.model.config import NetworkConfig

EXPERT_TENSORS = ("expert_a", "expert_b")
"""Last part of the names of tensors whose first axis counts the experts."""


class ExpertConv2d(nn.Module):
    """A convolution that holds ``n`` low-rank experts, or none.

    The mixture is an argument of every call and never kept, so the same call gives the same result in any order.
    """

    def __init__(
        self,
        config: NetworkConfig,
        in_channels: int,
        out_channels: int,
        kernel: int = 1,
        *,
        stride: int = 1,
        padding: int = 0,
        groups: int = 1,
        bias: bool = True,
    ) -> None:
        super().__init__()
        self.stride, self.padding, self.groups = stride, padding, groups
        self.expert_scale = config.expert_scale
        shape = (out_channels, in_channels // groups, kernel, kernel)
        self.weight = nn.Parameter(torch.empty(shape))
        self.bias = nn.Parameter(torch.empty(out_channels)) if bias else None
        self.expert_a: nn.Parameter | None = None
        self.expert_b: nn.Parameter | None = None
        if config.experts:
            rank = config.rank * kernel
            self.expert_a = nn.Parameter(torch.empty(config.experts, rank, in_channels * kernel))
            self.expert_b = nn.Parameter(torch.empty(config.experts, out_channels // groups * kernel, rank))
        self.reset_parameters()

    def reset_parameters(self) -> None:
        """Torch's own start for the convolution; A kaiming, B zero for the experts."""
        nn.init.kaiming_uniform_(self.weight, a=math.sqrt(5))
        if self.bias is not None:
            bound = 1 / math.sqrt(self.weight[0].numel())
            nn.init.uniform_(self.bias, -bound, bound)
        if self.expert_a is not None and self.expert_b is not None:
            # The same as kaiming_uniform_ with a = sqrt(5) on every expert's own matrix.
            bound = 1 / math.sqrt(self.expert_a.shape[-1])
            nn.init.uniform_(self.expert_a, -bound, bound)
            nn.init.zeros_(self.expert_b)

    def mixed_weight(self, mixture: Tensor) -> Tensor:
        """Weights of the mixtures ``(b, n)``: ``(b, out, in/groups, k, k)``."""
        if self.expert_a is None or self.expert_b is None:
            return self.weight.expand(len(mixture), *self.weight.shape)
        expert_a: Tensor = self.expert_a
        expert_b: Tensor = self.expert_b
        if len(mixture) == 1 and mixture.device.type == "cpu" and not torch.compiler.is_compiling():
            # Most experts have weight zero. A GPU would have to be waited for to know which, and a graph be cut in two.
            kept = mixture[0].nonzero()[:, 0]
            expert_a, expert_b, mixture = expert_a[kept], expert_b[kept], mixture[:, kept]
        # sum_i w_i B_i A_i as one product over all ranks: the experts' own deltas never exist in memory.
        b = expert_b * (self.expert_scale * mixture.to(expert_b.dtype))[:, :, None, None]
        delta = b.transpose(1, 2).flatten(2) @ expert_a.flatten(0, 1)  # (b, out/groups k, n r k) @ (n r k, in k)
        return self.weight + delta.view(-1, *self.weight.shape)

    def forward(
        self, x: Tensor, mixture: Tensor | None, gain: Tensor | None = None, intake: Tensor | None = None
    ) -> Tensor:
        """Convolve ``x`` ``(b, in, h, w)``.

        ``mixture`` is None (experts unused), ``(1, n)`` (one mixture for the whole batch) or ``(b, n)``.

        ``gain`` ``(1, out, 1, 1)`` scales the result, ``intake`` ``(b, in, 1, 1)`` or ``(b, in, h, w)`` what comes in.
        Where one number per channel serves the whole batch, it is put on the weights: a pass over a kernel instead of
        one over the picture, forth and back.
        """
        if intake is not None and (intake.shape != (1, x.shape[1], 1, 1) or self.groups > 1):
            x, intake = x * intake, None
        bias: Tensor | None = self.bias
        if gain is not None and bias is not None:
            bias = bias * gain.flatten()
        if mixture is None or self.expert_a is None:
            return self._convolve(x, _scaled(self.weight, gain, intake), bias, self.groups)
        weight = _scaled(self.mixed_weight(mixture), gain, intake)
        if len(mixture) == 1:
            return self._convolve(x, weight[0], bias, self.groups)
        # One group of channels per image: a batch of different mixtures is still a single convolution.
        b, _, h, w = x.shape
        bias = None if bias is None else bias.repeat(b)
        y = self._convolve(x.reshape(1, -1, h, w), weight.flatten(0, 1), bias, b * self.groups)
        return y.view(b, -1, *y.shape[2:])

    def _convolve(self, x: Tensor, weight: Tensor, bias: Tensor | None, groups: int) -> Tensor:
        return F.conv2d(x, weight, bias, self.stride, self.padding, groups=groups)


def _scaled(weight: Tensor, gain: Tensor | None, intake: Tensor | None) -> Tensor:
    """Weights ``(..., out, in, k, k)`` that give ``gain`` ``(1, out, 1, 1)`` times what they gave for ``intake``."""
    if gain is not None:
        weight = weight * gain.transpose(0, 1)
    return weight if intake is None else weight * intake
