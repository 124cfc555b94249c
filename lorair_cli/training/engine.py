"""The loop that all stages share: data in a fixed order, a cosine in steps or minutes, states that survive a kill."""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from contextlib import closing, contextmanager, nullcontext
from dataclasses import dataclass
from pathlib import Path

import torch
from accelerate import Accelerator
from torch import nn
from torch.utils.data import Dataset

from lorair_cli.data.pairs import Sample
from lorair_cli.errors import TrainingError, UsageError
from lorair_cli.model.memory import is_out_of_memory
from lorair_cli.signals import stop_requested
from lorair_cli.training.arithmetic import Arithmetic
from lorair_cli.training.compiling import Compiled
from lorair_cli.training.feed import Batches, WorkerDiedError, feed
from lorair_cli.training.objectives import Objective
from lorair_cli.training.recipe import Stage, StageRecipe
from lorair_cli.training.reporting import Every, Reporter, duration
from lorair_cli.training.state import Clock, MovingAverage, TrainingState, learning_rate
from lorair_cli.training.team import Team

SAVE_SECONDS = 120.0
"""What a kill can cost."""
VALIDATE_SECONDS = 900.0
GO_ON = "the last saved state is intact: run the same command again to go on from there"


@contextmanager
def out_of_memory_said(line: str) -> Iterator[None]:
    """Within the block, every way of running out of memory is a ``TrainingError`` with this line."""
    try:
        yield
    except (RuntimeError, MemoryError) as error:
        if not is_out_of_memory(error):
            raise
        raise TrainingError(line, GO_ON) from error


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
    validate: Callable[[Clock], object]
    """Called now and then."""
    observe: Callable[[Clock, float, float], object] = lambda clock, loss, learning_rate: None
    """Called after each step, with the smoothed loss and the learning rate."""
    saving: Callable[[], object] = lambda: None
    """Called before a state is written, by the process that writes it."""

    def run(self, accelerator: Accelerator, reporter: Reporter) -> Clock | None:
        """Train to the end, or until Ctrl-C or SIGTERM asks to stop, from the saved state if there is one.

        Returns:
            What the clock says at the end of the stage, with the state saved; None when stopped before, with the state
            saved.

        Raises:
            UsageError: the photos of a step cannot be shared evenly by the processes.
            TrainingError: loss or gradients are not finite, a photo cannot be read, memory or disk is full, a worker
                died. The last saved state stays as it is.
        """
        team = Team(accelerator.process_index, accelerator.num_processes)
        if self.recipe.photos % (team.size * self.recipe.accumulate):
            raise UsageError(
                f"{self.stage}: {self.recipe.photos} photos a step cannot be shared evenly by {team.size} processes in "
                f"{self.recipe.accumulate} passes each",
                f"say --set {self.stage}.photos=N",
            )
        with out_of_memory_said(f"{self.stage}: the device is out of memory at {self.recipe.photos} photos a step"):
            return self._run(team, accelerator, reporter)

    def _run(self, team: Team, accelerator: Accelerator, reporter: Reporter) -> Clock | None:
        # Not prepared by Accelerate, which would make each pass wait for the other processes; see team.py.
        module = self.objective.module.to(accelerator.device)
        trainable = [p for p in module.parameters() if p.requires_grad]
        optimizer = torch.optim.AdamW(
            trainable,
            lr=self.recipe.learning_rate,
            betas=self.recipe.betas,
            eps=self.recipe.epsilon,
            weight_decay=self.recipe.weight_decay,
            fused=True,  # one pass over the weights: on a CPU the plain one took 7 % of a step
        )
        arithmetic = Arithmetic(accelerator.device, accelerator.mixed_precision, self.recipe.accumulate)
        average = MovingAverage(module, self.recipe.ema) if self.recipe.ema else None
        clock = Clock(self.recipe.steps, self.minutes)
        state = TrainingState(module, optimizer, clock, self.state_file, average, arithmetic.scaler)
        if state.load():
            reporter.line(f"{self.stage}: resumed at step {clock.step}, {duration(clock.seconds)} in")
        if self.recipe.compile:
            self.objective.module = Compiled(module)
        try:
            with team.shared_statistics(module):
                finished = self._loop(state, trainable, arithmetic, team, reporter)
        except WorkerDiedError as error:
            raise TrainingError(f"{self.stage}: a data worker died, perhaps for want of memory", GO_ON) from error
        finally:
            self.objective.module = module
        if finished and average is not None:
            average.exchange()
        return clock if finished else None

    def _loop(
        self,
        state: TrainingState,
        trainable: list[torch.nn.Parameter],
        arithmetic: Arithmetic,
        team: Team,
        reporter: Reporter,
    ) -> bool:
        """The steps from where the clock stands; False when asked to stop before the end."""
        clock = state.clock
        save_due, validate_due = Every(SAVE_SECONDS, SAVE_SECONDS), Every(VALIDATE_SECONDS, VALIDATE_SECONDS)
        began, smoothed = time.monotonic() - clock.seconds, math.nan
        mine = Batches(self.pairs, self.recipe.photos, team.rank, team.size)
        steps = feed(mine, clock.steps_left, self.workers, arithmetic.device)
        with stop_requested() as stop, closing(steps) as batches:
            for batch in batches:
                pace = learning_rate(self.recipe, clock)
                for group in state.optimizer.param_groups:
                    group["lr"] = pace
                loss = self._step(batch, state, trainable, arithmetic, team)
                smoothed = loss if math.isnan(smoothed) else 0.98 * smoothed + 0.02 * loss
                clock.step += 1
                if state.average is not None:
                    state.average.update(clock.step)
                clock.seconds = time.monotonic() - began
                rate = clock.step * self.recipe.photos / max(clock.seconds, 1e-9)
                reporter.progress(self.stage, clock.done, smoothed, rate, clock.seconds_left)
                self.observe(clock, smoothed, pace)
                asked, clock.seconds = team.agree(stop(), clock.seconds, arithmetic.device)
                if asked:  # in the last step, too: what comes after it would go on for as long as it takes
                    self._save(state, team)
                    reporter.line(f"{self.stage}: stopped at step {clock.step}, state saved")
                    return False
                if clock.done >= 1:
                    break
                if save_due():
                    self._save(state, team)
                if validate_due():
                    with nullcontext() if state.average is None else state.average.worn():
                        self.validate(clock)
        self._save(state, team)
        return True

    def _save(self, state: TrainingState, team: Team) -> None:
        if team.leads:
            self.saving()
            state.save()

    def _step(
        self,
        batch: Sample | TrainingError,
        state: TrainingState,
        trainable: list[torch.nn.Parameter],
        arithmetic: Arithmetic,
        team: Team,
    ) -> float:
        """One update; the loss. Weights change only by finite gradients, so that no state is ever spoiled."""
        failed = team.any(isinstance(batch, TrainingError), arithmetic.device)
        if isinstance(batch, TrainingError):
            raise batch
        if failed:
            raise TrainingError(f"{self.stage}: another process could not go on", "it says why")
        loss, photos = 0.0, len(batch.label) // arithmetic.parts
        for part in range(arithmetic.parts):
            own = Sample(*(field[part * photos : (part + 1) * photos] for field in batch))
            loss += float(self.objective.backward(own, arithmetic)) / arithmetic.parts
        loss = team.combine(trainable, loss)
        if not any(p.grad is not None and p.grad.any() for p in trainable):
            state.optimizer.zero_grad()
            return loss  # every photo was for an expert that does not learn: momentum must not move it either
        arithmetic.scaler.unscale_(state.optimizer)
        norm = float(nn.utils.clip_grad_norm_(trainable, self.recipe.clip or math.inf))
        if not math.isfinite(loss) or not (math.isfinite(norm) or arithmetic.forgives()):
            what = f"the loss became {loss}" if not math.isfinite(loss) else f"the gradients became {norm}"
            raise TrainingError(
                f"{self.stage}: {what} at step {state.clock.step}",
                "train with a lower learning rate, or without autocast (precision=no); the last saved state is intact",
            )
        arithmetic.scaler.step(state.optimizer)
        arithmetic.scaler.update()
        state.optimizer.zero_grad()
        return loss
