"""torch.compile for steps whose batches differ in size."""

from __future__ import annotations

import torch
from torch import nn


class Compiled(nn.Module):
    """``module`` by torch.compile, once for batches of every size.

    The photos of a mixture are a batch of their own, so that sizes change from step to step. Left to itself,
    torch.compile works on the first size and then once more on all of them. A batch of one is a third case to it,
    and too rare to wait for: it is not compiled.
    """

    def __init__(self, module: nn.Module) -> None:
        super().__init__()
        self.module = module
        self.quick = torch.compile(module)

    def forward(self, first: torch.Tensor, *others: torch.Tensor | None) -> object:
        """What ``module`` makes of the same arguments; those as long as ``first`` lead with the batch, too."""
        if len(first) == 1:
            return self.module(first, *others)
        for argument in (first, *others):
            if argument is not None and len(argument) == len(first):
                torch._dynamo.maybe_mark_dynamic(argument, 0)  # torch's documented way, private name and all
        return self.quick(first, *others)
