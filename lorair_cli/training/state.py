"""How far a stage has come, and the file that it resumes from."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from torch import Tensor, nn
from torch.optim import Optimizer

from lorair_cli.errors import TrainingError
from lorair_cli.model.memory import is_out_of_memory
from lorair_cli.training.folder import written
from lorair_cli.training.recipe import StageRecipe


@dataclass
class Clock:
    """How far a stage has come: by steps, or by minutes when they were given, and never past the end."""

    steps: int
    minutes: float | None
    step: int = 0
    """Optimizer steps behind."""
    seconds: float = 0.0
    """Time spent training, stops excluded."""

    @property
    def done(self) -> float:
        """Share of the stage that is behind, in [0, 1]."""
        share = self.step / self.steps if self.minutes is None else self.seconds / (60 * self.minutes)
        return min(share, 1.0)

    @property
    def seconds_left(self) -> float:
        """Time to the end at the speed so far."""
        return self.seconds * (1 - self.done) / max(self.done, 1e-9)

    @property
    def steps_left(self) -> range:
        """Indices of the steps to come; without an end in sight when minutes decide."""
        if self.done >= 1:
            return range(0)
        return range(self.step, self.steps if self.minutes is None else 2**48)


def learning_rate(recipe: StageRecipe, clock: Clock) -> float:
    """Linear warm-up in steps, then half a cosine over the stage."""
    cosine = 0.5 * (1 + math.cos(math.pi * clock.done))
    rate = recipe.final_learning_rate + (recipe.learning_rate - recipe.final_learning_rate) * cosine
    return rate * min((clock.step + 1) / max(recipe.warmup, 1), 1.0)


class MovingAverage:
    """An exponential average of what a module trains, beside the module.

    Args:
        module: whose trained parameters to follow.
        decay: share of the average that stays at each step.
    """

    def __init__(self, module: nn.Module, decay: float) -> None:
        self.decay = decay
        self._trained = {name: p for name, p in module.named_parameters() if p.requires_grad}
        self.values = {name: p.detach().clone() for name, p in self._trained.items()}

    @torch.no_grad()
    def update(self, step: int) -> None:
        """Take in the weights after ``step`` steps; the first count more, so that random ones are soon forgotten."""
        decay = min(self.decay, (1 + step) / (10 + step))
        for name, parameter in self._trained.items():
            self.values[name].lerp_(parameter, 1 - decay)

    def load(self, values: Mapping[str, Tensor]) -> None:
        """Take over a saved average; ``KeyError`` if it is another module's."""
        for name, own in self.values.items():
            own.copy_(values[name])

    @contextmanager
    def worn(self) -> Iterator[None]:
        """Within the block, the module has the averaged weights."""
        self.exchange()
        try:
            yield
        finally:
            self.exchange()

    @torch.no_grad()
    def exchange(self) -> None:
        """Swap average and weights."""
        for name, parameter in self._trained.items():
            kept = parameter.clone()
            parameter.copy_(self.values[name])
            self.values[name].copy_(kept)


@dataclass(frozen=True)
class TrainingState:
    """Everything that changes while a stage trains. Samples are drawn by step, so there is no random state to keep."""

    module: nn.Module
    optimizer: Optimizer
    clock: Clock
    file: Path
    average: MovingAverage | None = None
    scaler: torch.amp.GradScaler | None = None

    def load(self) -> bool:
        """Take over the state in the file; False if there is none.

        Raises:
            TrainingError: the file is damaged, or belongs to another network.
        """
        if not self.file.is_file():
            return False
        try:
            state = torch.load(self.file, map_location="cpu", weights_only=True)
            self.module.load_state_dict(state["module"])
            self.optimizer.load_state_dict(state["optimizer"])
            if self.average is not None:
                self.average.load(state["average"])
            if self.scaler is not None and self.scaler.is_enabled():
                self.scaler.load_state_dict(state["scaler"])
            self.clock.step, self.clock.seconds = int(state["step"]), float(state["seconds"])
        # Whatever a damaged file breaks inside torch (half a dozen types of exception), the user sees one line.
        except Exception as error:
            if is_out_of_memory(error):  # the file may be good: it must not be deleted for this
                raise
            raise TrainingError(
                f"{self.file}: not a state that this stage can resume from", "delete it to start the stage again"
            ) from error
        return True

    def save(self) -> None:
        """Write the file, whole or not at all; ``TrainingError`` if that fails, with the one before still there."""
        state = {
            "module": self.module.state_dict(),
            "optimizer": self.optimizer.state_dict(),
            "step": self.clock.step,
            "seconds": self.clock.seconds,
            "average": None if self.average is None else self.average.values,
            "scaler": None if self.scaler is None else self.scaler.state_dict(),
        }
        with written(self.file) as file:
            try:
                torch.save(state, file)
            except RuntimeError as error:  # torch hides the error of a full disk behind one of its own
                if isinstance(error.__context__, OSError):
                    raise error.__context__ from None
                raise
