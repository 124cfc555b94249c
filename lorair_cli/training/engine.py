"""The loop that all stages share: data in a fixed order, a cosine in steps or minutes, states that survive a kill."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

import torch
from accelerate import Accelerator
from torch.utils.data import Dataset

from lorair_cli.data.pairs import Sample
from lorair_cli.errors import TrainingError
from lorair_cli.training.feed import Batches, feed
from lorair_cli.training.objectives import Objective
from lorair_cli.training.recipe import Stage, StageRecipe
from lorair_cli.training.reporting import Every, Reporter, duration
from lorair_cli.training.signals import stop_requested
from lorair_cli.training.state import Clock, TrainingState, learning_rate

SAVE_SECONDS = 120.0
"""What a kill can cost."""
VALIDATE_SECONDS = 900.0
GO_ON = "the last saved state is intact: run the same command again to go on from there"


@dataclass(frozen=True)
class StageRun:
    """One stage, ready to run."""

    stage: Stage
    recipe: StageRecipe
    minutes: float | None
    """Wall-clock budget; None runs ``recipe.steps``."""
    pairs: Dataset[Sample]
    """Samples, indexed without end."""
    objective: Objective
    state_file: Path
    """Where the state for resuming lies; removed by whoever writes the stage's result."""
    workers: int
    """Processes that make samples."""
    validate: Callable[[], object]
    """Called now and then."""

    def run(self, accelerator: Accelerator, reporter: Reporter) -> Clock | None:
        """Train to the end, or until Ctrl-C or SIGTERM asks to stop, from the saved state if there is one.

        Returns:
            What the clock says at the end of the stage, with the state saved; None when stopped before, with the state
            saved.

        Raises:
            TrainingError: loss or gradients are not finite, a photo cannot be read, memory or disk is full, a worker
                died. The last saved state stays as it is.
        """
        trainable = [p for p in self.objective.module.parameters() if p.requires_grad]
        optimizer = torch.optim.AdamW(
            trainable,
            lr=self.recipe.learning_rate,
            betas=self.recipe.betas,
            weight_decay=self.recipe.weight_decay,
            fused=True,  # one pass over the weights: on a CPU the plain one took 7 % of a step
        )
        module, optimizer = accelerator.prepare(self.objective.module, optimizer)
        clock = Clock(self.recipe.steps, self.minutes)
        state = TrainingState(accelerator.unwrap_model(module), optimizer, clock, self.state_file)
        if state.load():
            reporter.line(f"{self.stage}: resumed at step {clock.step}, {duration(clock.seconds)} in")
        self.objective.module = module
        try:
            finished = self._loop(state, trainable, accelerator, reporter)
        except torch.OutOfMemoryError as error:
            raise TrainingError(
                f"{self.stage}: the device is out of memory at {self.recipe.photos} photos a step", GO_ON
            ) from error
        except RuntimeError as error:
            if "DataLoader worker" not in str(error):
                raise
            raise TrainingError(f"{self.stage}: a data worker died, perhaps for want of memory", GO_ON) from error
        finally:
            self.objective.module = state.module
        return clock if finished else None

    def _loop(
        self,
        state: TrainingState,
        trainable: list[torch.nn.Parameter],
        accelerator: Accelerator,
        reporter: Reporter,
    ) -> bool:
        """The steps from where the clock stands; False when asked to stop before the end."""
        clock = state.clock
        save_due, validate_due = Every(SAVE_SECONDS, SAVE_SECONDS), Every(VALIDATE_SECONDS, VALIDATE_SECONDS)
        began, smoothed = time.monotonic() - clock.seconds, math.nan
        steps = feed(Batches(self.pairs, self.recipe.photos), clock.steps_left, self.workers, accelerator.device)
        with stop_requested() as stop, closing(steps) as batches:
            for batch in batches:
                for group in state.optimizer.param_groups:
                    group["lr"] = learning_rate(self.recipe, clock)
                loss = self._step(batch, state, trainable, accelerator)
                smoothed = loss if math.isnan(smoothed) else 0.98 * smoothed + 0.02 * loss
                clock.step += 1
                clock.seconds = time.monotonic() - began
                rate = clock.step * self.recipe.photos / max(clock.seconds, 1e-9)
                reporter.progress(self.stage, clock.done, smoothed, rate, clock.seconds_left)
                if clock.done >= 1:
                    break
                if stop():
                    state.save()
                    reporter.line(f"{self.stage}: stopped at step {clock.step}, state saved")
                    return False
                if save_due():
                    state.save()
                if validate_due():
                    self.validate()
        state.save()
        return True

    def _step(
        self, batch: Sample, state: TrainingState, trainable: list[torch.nn.Parameter], accelerator: Accelerator
    ) -> float:
        """One update; the loss. Weights change only by finite gradients, so that no state is ever spoiled."""
        loss = float(self.objective.backward(batch, accelerator))
        norm = float(accelerator.clip_grad_norm_(trainable, self.recipe.clip or math.inf))
        if not math.isfinite(loss) or not math.isfinite(norm):
            what = f"the loss became {loss}" if not math.isfinite(loss) else f"the gradients became {norm}"
            raise TrainingError(
                f"{self.stage}: {what} at step {state.clock.step}",
                "train with a lower learning rate, or without bf16; the last saved state is intact",
            )
        state.optimizer.step()
        state.optimizer.zero_grad()
        return loss
