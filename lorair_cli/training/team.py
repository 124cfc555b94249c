"""Several processes that train one network: who does what, and how their gradients become those of the whole batch.

Gradients are added up by hand, once per step, rather than while they are computed: in stage 2 each process runs as
many passes as its photos have mixtures, and experts that none of them chose have no gradient at all. Processes that
waited for each other inside of a pass would wait for ever.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import partial
from typing import Any

import torch
import torch.distributed as dist

# Its functions take the group of all processes as a default, settled on import. Optimizers import it late, when there
# is one, which then outlives its end: its threads are torn down with the interpreter, and that now and then aborts.
import torch.distributed.nn.functional
from torch import Tensor, nn
from torch.nn.modules.batchnorm import _BatchNorm


@dataclass(frozen=True)
class Team:
    """The processes of a run, seen from one of them. A process alone is a team, too, and talks to nobody."""

    rank: int = 0
    size: int = 1

    @property
    def leads(self) -> bool:
        """Whether this process writes files and talks."""
        return self.rank == 0

    def any(self, failed: bool, device: torch.device) -> bool:
        """Whether any process failed: asked before a step, so that the others do not wait for it within."""
        if self.size == 1:
            return failed
        said = torch.tensor([float(failed)], device=device)
        dist.all_reduce(said, dist.ReduceOp.MAX)
        return bool(said[0] > 0)

    def combine(self, trained: Sequence[nn.Parameter], loss: float) -> float:
        """Replace each gradient by its mean over the processes.

        Args:
            trained: parameters that have, or could have, a gradient; the same everywhere.
            loss: of this process's share.

        Returns:
            The mean loss.
        """
        if self.size == 1:
            return loss
        parts = [p.new_zeros(p.numel()) if p.grad is None else p.grad.flatten() for p in trained]
        together = torch.cat([*parts, trained[0].new_tensor([loss])])
        dist.all_reduce(together)
        start = 0
        for parameter in trained:
            mean = together[start : start + parameter.numel()].view_as(parameter) / self.size
            # The memory layout of the weights: the optimizer's fused pass wants both alike.
            parameter.grad = torch.empty_like(parameter).copy_(mean)
            start += parameter.numel()
        return float(together[-1]) / self.size

    def agree(self, stop: bool, seconds: float, device: torch.device) -> tuple[bool, float]:
        """Whether any process was asked to stop, and the longest time: all must end at the same step."""
        if self.size == 1:
            return stop, seconds
        said = torch.tensor([float(stop), seconds], dtype=torch.float32, device=device)
        dist.all_reduce(said, dist.ReduceOp.MAX)
        return bool(said[0] > 0), float(said[1])

    @contextmanager
    def shared_statistics(self, module: nn.Module) -> Iterator[None]:
        """Within the block, batch normalisation in ``module`` takes its statistics over all processes' photos.

        Torch's own ``SyncBatchNorm`` does so on a GPU only.
        """
        shared = [m for m in module.modules() if isinstance(m, _BatchNorm)] if self.size > 1 else []
        for norm in shared:
            norm.forward = partial(_normalised, norm, type(norm).forward, self.size)  # type: ignore[method-assign]
        try:
            yield
        finally:
            for norm in shared:
                del norm.forward


class _Sum(torch.autograd.Function):
    """Sum over the processes; the gradient of each share is the sum of what all of them pass back."""

    @staticmethod
    def forward(ctx: Any, share: Tensor) -> Tensor:  # noqa: ANN401  (torch's own context)
        total = share.clone()
        dist.all_reduce(total)
        return total

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Tensor:  # type: ignore[override]  # noqa: ANN401
        total = gradient.clone()
        dist.all_reduce(total)
        return total


def _normalised(norm: _BatchNorm, alone: Any, processes: int, x: Tensor) -> Tensor:  # noqa: ANN401
    """Batch normalisation of ``(m, c)`` or ``(m, c, h, w)`` over shares of one size, updating running statistics."""
    if not norm.training:
        out: Tensor = alone(norm, x)
        return out
    axes = [axis for axis in range(x.dim()) if axis != 1]
    shape = [1, -1] + [1] * (x.dim() - 2)
    count = processes * x.numel() // x.shape[1]
    wide = x.float()
    mean = _Sum.apply(wide.sum(axes)) / count
    centred = wide - mean.view(shape)
    variance = _Sum.apply(centred.square().sum(axes)) / count
    if norm.running_mean is not None and norm.running_var is not None and norm.num_batches_tracked is not None:
        with torch.no_grad():
            norm.num_batches_tracked += 1
            momentum = 0.1 if norm.momentum is None else norm.momentum
            norm.running_mean.lerp_(mean, momentum)
            norm.running_var.lerp_(variance * count / (count - 1), momentum)
    y = centred * (variance + norm.eps).rsqrt().view(shape)
    if norm.affine:
        y = y * norm.weight.view(shape) + norm.bias.view(shape)
    result: Tensor = y.to(x.dtype)
    return result
