"""The number types of a step: autocast forwards, scaled gradients backwards where float16 needs them."""

from __future__ import annotations

from contextlib import AbstractContextManager
from typing import Literal

import torch
from torch import Tensor

Precision = Literal["bf16", "fp16", "no"]
SMALLEST_SCALE = 1.0
"""Float16 gradients that are not finite even at this scale are no matter of range any more."""


class Arithmetic:
    """How a stage computes; master weights are always float32.

    Args:
        device: where.
        precision: of the inner work of forward passes.
        parts: passes whose gradients add up to a step's, each of an equal share of its photos.
    """

    def __init__(self, device: torch.device, precision: Precision, parts: int = 1) -> None:
        self.device, self.precision, self.parts = device, precision, parts
        self.scaler = torch.amp.GradScaler(device.type, enabled=precision == "fp16")

    def autocast(self) -> AbstractContextManager[None]:
        """Within it, forward passes compute in the precision."""
        kind = torch.float16 if self.precision == "fp16" else torch.bfloat16
        return torch.autocast(self.device.type, kind, enabled=self.precision != "no")

    def backward(self, loss: Tensor) -> None:
        """Add the gradients of a part's mean loss to those of the step."""
        self.scaler.scale(loss / self.parts if self.parts > 1 else loss).backward()

    def forgives(self) -> bool:
        """Whether gradients that are not finite may only mean that the scale was too large."""
        return self.scaler.is_enabled() and self.scaler.get_scale() > SMALLEST_SCALE
