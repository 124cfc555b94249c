"""A training run: the stages in order, each starting where the last ended, in one folder."""

from __future__ import annotations

import math
from collections.abc import Sequence
from contextlib import ExitStack, closing
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import torch
from accelerate import Accelerator
from torch import nn
from torch.utils.data import Dataset

import lorair_cli
from lorair_cli.data.catalogue import LocatedSet
from lorair_cli.data.clean import CleanPhotos, told_apart
from lorair_cli.data.pairs import Sample, SyntheticPairs
from lorair_cli.data.real import MixedPairs, RealPairs
from lorair_cli.errors import UsageError
from lorair_cli.model.experts import EXPERT_TENSORS
from lorair_cli.model.network import RestorationNetwork, parameter_count
from lorair_cli.model.router import Router
from lorair_cli.settings import HOLES, Setting
from lorair_cli.training.arithmetic import Arithmetic
from lorair_cli.training.curves import Curves
from lorair_cli.training.engine import StageRun, out_of_memory_said
from lorair_cli.training.folder import RunFolder
from lorair_cli.training.objectives import Objective, RestorationObjective, RouterObjective, RouterTrainee
from lorair_cli.training.origins import Origins
from lorair_cli.training.recipe import STAGES, Recipe, Stage
from lorair_cli.training.reporting import Reporter, Silence
from lorair_cli.training.state import Clock
from lorair_cli.training.validation import Score, Validation, as_table, mean_score
from lorair_cli.weights.checkpoint import Checkpoint, CheckpointInfo, load_checkpoint, read_info, save_checkpoint


@dataclass(frozen=True)
class TrainingRun:
    """What ``lorair train`` was asked to do."""

    setting: Setting
    recipe: Recipe
    clean: CleanPhotos | None
    """Photos to degrade on the fly; None learns from ``real`` alone."""
    valid: CleanPhotos | None
    folder: Path
    """Where states, results and the log go; see ``RunFolder``."""
    minutes: float | None
    """For all the stages of a call together, shared among them as the recipe says; None runs the recipe's steps."""
    data_note: str
    """What the checkpoint's metadata says about the data and its licences."""
    command: str
    """What the checkpoint's metadata says about how it was made; free of paths."""
    real: Sequence[LocatedSet] = ()
    """Pairs on disk."""
    cache: Path | None = None
    """Folder of their decoded copies; that of ``clean`` is its own business."""
    workers: int = 1
    """Processes that make samples."""
    start_from: Path | None = None
    """A checkpoint whose tensors the stages begin with, where they fit."""
    licence: str = "Apache-2.0"
    """Of the weights, for their metadata."""

    def run(self, stages: Sequence[Stage], accelerator: Accelerator, reporter: Reporter) -> Path | None:
        """Run the stages that have no result yet; the last result's file, or None when stopped before the end.

        Raises:
            UsageError: the recipe's top-k is more than the setting has degradations, or an expert that is to learn is
                not the setting's.
            TrainingError: the folder holds another run, or one that is at work; a stage has nothing to start from; or
                training cannot go on.
            WeightsError: a checkpoint cannot be read or written.
        """
        if self.recipe.top_k > len(self.setting.degradations):
            raise UsageError(f"top_k {self.recipe.top_k} is more than setting {self.setting.name} has experts")
        if missing := [name for name in self.recipe.finetune.only if name not in self.setting.degradations]:
            raise UsageError(f"finetune.only: setting {self.setting.name} has no {', '.join(missing)}")
        start = None if self.start_from is None else load_checkpoint(self.start_from)
        if start is not None:
            start.refuse_experts_alone()
            start = start.narrowed(self.setting) if start.covers(self.setting) else start
        files = RunFolder(self.folder)
        with ExitStack() as at_work:
            with accelerator.main_process_first():  # the first writes, the others see that it is the same run
                if accelerator.is_main_process:
                    at_work.enter_context(files.alone())
                valid = None if self.valid is None else told_apart(self.valid.paths)
                files.claim(self.recipe, self.setting.name, self.start_from, valid)
            reporter = files.log(reporter) if accelerator.is_main_process else Silence()
            return self._go_on(stages, Origins(files, self.recipe, self.setting, start), accelerator, reporter)

    def _go_on(
        self, stages: Sequence[Stage], origins: Origins, accelerator: Accelerator, reporter: Reporter
    ) -> Path | None:
        """The stages in a folder that holds this run and no other at work."""
        files = origins.folder
        if all(files.result(stage).is_file() for stage in stages):
            for stage in stages:
                reporter.line(f"{stage}: {files.result(stage).name} is there already")
            return files.result(stages[-1])
        if before := [one for one in files.shown() if one != self._shown()]:
            reporter.line(
                f"this run has learnt from other data before, as its checkpoint will say: {'; '.join(before)}"
            )
        validation = None
        if self.valid is not None:
            validation = Validation(self.valid, self.setting, self.recipe.encoder.view, self.recipe.view_mode)
        with closing(Curves(files.path, reporter, accelerator.is_main_process)) as curves:
            return self._run_stages(stages, origins, validation, accelerator, reporter, curves)

    def _shown(self) -> str:
        """The data, told from other data by its files' names, wherever its folders lie."""
        pairs = [path for one in self.real for _, *both in one.pairs for path in both]
        files = {"photos": () if self.clean is None else self.clean.paths, "pairs": pairs}
        return ", ".join(f"{kind}: {told_apart(paths)}" for kind, paths in files.items() if paths)

    def _run_stages(
        self,
        stages: Sequence[Stage],
        origins: Origins,
        validation: Validation | None,
        accelerator: Accelerator,
        reporter: Reporter,
        curves: Curves,
    ) -> Path | None:
        files, shares = origins.folder, sum(self.recipe.stage(stage).share for stage in stages)
        for stage in stages:
            if files.result(stage).is_file():
                reporter.line(f"{stage}: {files.result(stage).name} is there already")
                continue
            minutes = None if self.minutes is None else self.minutes * self.recipe.stage(stage).share / shares
            checkpoint = self._train(stage, minutes, origins, validation, accelerator, reporter, curves)
            accelerator.free_memory()
            if checkpoint is None:
                return None
            accelerator.wait_for_everyone()  # nobody may still be looking for what is written now
            if accelerator.is_main_process:
                save_checkpoint(files.result(stage), checkpoint)
                files.state(stage).unlink(missing_ok=True)
            accelerator.wait_for_everyone()
            reporter.line(f"{stage}: wrote {files.result(stage).name}")
        return files.result(stages[-1])

    def _train(
        self,
        stage: Stage,
        minutes: float | None,
        origins: Origins,
        validation: Validation | None,
        accelerator: Accelerator,
        reporter: Reporter,
        curves: Curves,
    ) -> Checkpoint | None:
        recipe = self.recipe.stage(stage)
        recipe = replace(recipe, photos=recipe.photos_per_step(len(self.setting.degradations)), per_degradation=False)
        torch.manual_seed(self.recipe.seed)  # a resumed stage builds the same network before it loads its state
        router = origins.router(stage, reporter)
        network = None if stage == "router" else origins.network(stage, reporter)
        predecessor = None
        if stage == "router" and self.recipe.keeps_prior and recipe.trains == "all":  # a head keeps the prior anyway
            predecessor = origins.predecessor().to(accelerator.device)
        objective = self._objective(router, predecessor, network, recipe.loss_epsilon, accelerator)
        learnt = False  # whether a step was taken of the data of this call

        def saving() -> None:
            if learnt:
                origins.folder.remember(self._shown())

        def validate(clock: Clock) -> list[Score]:
            if validation is None or not accelerator.is_main_process:
                return []
            how = router, network, self.recipe.top_k, Arithmetic(accelerator.device, self.recipe.precision).autocast
            with out_of_memory_said(f"{stage}: the device is out of memory in validation"):
                scores = validation.score(*how)
                samples = None if network is None else validation.samples(router, network, *how[2:])
            reporter.line(as_table(scores))
            curves.scores(stage, clock.step, scores)
            if samples is not None:
                curves.samples(stage, clock.step, samples)
            best = origins.folder.best(stage)
            if _score(scores) > _score_of(best):
                saving()
                account = self._account(stage, clock, scores, origins.folder.shown(), accelerator)
                save_checkpoint(best, self._checkpoint(stage, router, network, origins, account))
            if network is None:
                objective.module.train()  # validation left the router in evaluation mode
            return scores

        def observe(clock: Clock, loss: float, learning_rate: float) -> None:
            nonlocal learnt
            learnt = True
            rate = clock.step * recipe.photos / max(clock.seconds, 1e-9)
            curves.step(stage, clock.step, loss, rate, learning_rate)

        run = StageRun(
            stage=stage,
            recipe=recipe,
            minutes=minutes,
            pairs=self._pairs(stage),
            objective=objective,
            state_file=origins.folder.state(stage),
            workers=self.workers,
            validate=validate,
            observe=observe,
            saving=saving,
        )
        module, learning = objective.module, self._learning(network)
        reporter.line(f"{stage}: trains {_trained(module, learning):,} of {parameter_count(module):,} parameters")
        clock = run.run(accelerator, reporter)
        if clock is None:
            return None
        account = self._account(stage, clock, validate(clock), origins.folder.shown(), accelerator)
        return self._checkpoint(stage, router, network, origins, account)

    def _pairs(self, stage: Stage) -> Dataset[Sample]:
        sampling, view, mode = self.recipe.stage(stage).sampling, self.recipe.encoder.view, self.recipe.view_mode
        # Stages must not see the same samples again in the same order.
        seed = self.recipe.seed * len(STAGES) + STAGES.index(stage)
        made = None if self.clean is None else SyntheticPairs(self.clean, self.setting, sampling, view, seed, mode)
        if made is not None and not self.real:
            return made
        real = RealPairs(self.real, self.setting, sampling, view, mode, self.cache)
        return MixedPairs(real, made, self.setting, sampling, seed)

    def _objective(
        self,
        router: Router,
        predecessor: Router | None,
        network: RestorationNetwork | None,
        epsilon: float,
        accelerator: Accelerator,
    ) -> Objective:
        if network is None:
            return RouterObjective(
                RouterTrainee(router),
                self.recipe.learns_strength,
                predecessor,
                self.recipe.keeps_prior,
                self._label(HOLES),
                self._label(self.recipe.untouched_as),
            )
        router = router.requires_grad_(False).to(accelerator.device)
        # Where the experts alone learn, a photo for an expert that does not has nothing to teach.
        learning = self._learning(network)
        return RestorationObjective(network, router, network.config.experts, self.recipe.top_k, epsilon, learning)

    def _learning(self, network: RestorationNetwork | None) -> tuple[bool, ...] | None:
        """For each expert, whether it learns; None where the stage trains more than experts, or has none."""
        finetune = self.recipe.finetune
        if network is None or not network.config.experts or finetune.trains != "experts":
            return None
        return finetune.learning(self.setting.degradations)

    def _label(self, degradation: str) -> int | None:
        """Its label; None if the setting does not have it."""
        known = self.setting.degradations
        return known.index(degradation) if degradation in known else None

    def _account(
        self, stage: Stage, clock: Clock, scores: list[Score], shown: list[str], accelerator: Accelerator
    ) -> dict[str, Any]:
        """What a stage tells about itself in the metadata."""
        return {
            "stage": stage,
            "recipe": self.recipe.scale,
            "steps": clock.step,
            "photos_per_step": self.recipe.stage(stage).photos_per_step(len(self.setting.degradations)),
            "minutes": round(clock.seconds / 60, 1),
            "precision": self.recipe.precision,
            "processes": accelerator.num_processes,
            "device": accelerator.device.type,
            "seed": self.recipe.seed,
            "data": self.data_note,
            **({"shown": shown} if len(shown) > 1 else {}),
            "start_from": None if self.start_from is None else self.start_from.name,
            "validation": {
                s.degradation: {
                    "psnr_before": round(s.psnr_before, 2),
                    "psnr_after": None if s.psnr_after is None else round(s.psnr_after, 2),
                    "ssim_after": None if s.ssim_after is None else round(s.ssim_after, 4),
                    "recognised": round(s.recognised, 3),
                }
                for s in scores
            },
            "score": _score(scores) if scores else None,
        }

    def _checkpoint(
        self,
        stage: Stage,
        router: Router,
        network: RestorationNetwork | None,
        origins: Origins,
        account: dict[str, Any],
    ) -> Checkpoint:
        """What a stage has come to, with the ``account`` of it."""
        info = CheckpointInfo(
            setting=self.setting.name,
            scale=self.recipe.scale,
            degradations=self.setting.degradations,
            network=self.recipe.network if network is None else network.config,
            router=router.config,
            top_k=self.recipe.top_k,
            licence=origins.licence(self.licence),
            untouched_as=origins.untouched_as(stage),
            provenance={
                **origins.inherited(),
                "data": self.data_note,
                "version": lorair_cli.__version__,
                "command": self.command,
                "stages": [*origins.history(stage), account],
            },
        )
        return Checkpoint(info, {} if network is None else network.state_dict(), router.state_dict())


def _score(scores: list[Score]) -> float:
    """What checkpoints are compared by, as it is written down: of two that are equal, the first stays."""
    return round(mean_score(scores), 4)


def _score_of(best: Path) -> float:
    """What the best checkpoint so far scored; less than anything if there is none."""
    if not best.is_file():
        return -math.inf
    return float(read_info(best).provenance["stages"][-1]["score"])


def _trained(module: nn.Module, learning: Sequence[bool] | None) -> int:
    """How many numbers of ``module`` learn: of a tensor that holds all experts, the part of those that do."""
    trained = 0
    for name, parameter in module.named_parameters():
        if parameter.requires_grad:
            share = learning if learning is not None and name.endswith(EXPERT_TENSORS) else (True,)
            trained += parameter.numel() // len(share) * sum(share)
    return trained
