"""Where a stage's weights start: at the stage before, at another checkpoint's tensors, or at random."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from functools import cache
from typing import Any

import torch
from torch import Tensor, nn

from lorair_cli.errors import TrainingError
from lorair_cli.model.config import ClipEncoderConfig, CompactEncoderConfig, EncoderConfig, NetworkConfig, RouterConfig
from lorair_cli.model.encoders import with_more_statistics
from lorair_cli.model.experts import EXPERT_TENSORS
from lorair_cli.model.network import RestorationNetwork
from lorair_cli.model.ranks import with_room
from lorair_cli.model.router import ROUTER_HEAD, Router
from lorair_cli.settings import Setting
from lorair_cli.training.folder import RunFolder
from lorair_cli.training.recipe import STAGES, Recipe, Stage
from lorair_cli.training.reporting import Reporter
from lorair_cli.weights.checkpoint import Checkpoint, CheckpointInfo, joined_licences, load_checkpoint, read_info
from lorair_cli.weights.clip import clip_weights


@dataclass(frozen=True)
class Origins:
    """The checkpoints that a stage can start from."""

    folder: RunFolder
    recipe: Recipe
    setting: Setting
    start: Checkpoint | None = None
    """Somebody's landed weights: every stage begins with those of its tensors that fit."""

    def earlier(self, stage: Stage) -> Iterator[Checkpoint]:
        """What lies before ``stage``, latest first: results of the run's earlier stages, then the start."""
        for before in reversed(STAGES[: STAGES.index(stage)]):
            if self.folder.result(before).is_file():
                yield load_checkpoint(self.folder.result(before))
        if self.start is not None:
            yield self.start

    def router(self, stage: Stage, reporter: Reporter) -> Router:
        """The router that ``stage`` trains or works with.

        Raises:
            TrainingError: there is none yet, it is of another setting or recipe, nothing of the start fits, or the head
                alone is to be trained and the rest does not come from the start.
        """
        recipe = self.recipe
        config = RouterConfig(recipe.encoder, len(self.setting.degradations), recipe.view_mode, recipe.high_resolution)
        if stage == "router":
            router = Router(config)
            if isinstance(config.encoder, ClipEncoderConfig):
                # CLIP stays what it is: only the layers behind it are trained.
                router.encoder.load_state_dict(clip_weights(router.encoder))
                router.encoder.requires_grad_(False)
            given: set[str] = set()
            if self.start is not None:
                tensors = self._of_this_setting(self.start, self.start.router)
                if _has_more_stages(config.encoder, self.start.info.router.encoder):
                    tensors = with_more_statistics(tensors, router.state_dict())
                given = self._overlay(router, tensors, reporter, stage)
            if recipe.router.trains == "head":
                self._keep_all_but_the_head(router, given)
            return router
        source = next((c for c in self.earlier(stage) if c.router), None)
        if source is None:
            raise self._nothing_before(stage, "a router", "router")
        if source.info.degradations != self.setting.degradations:
            raise TrainingError(
                f"{stage}: the router knows {', '.join(source.info.degradations)}, not what setting "
                f"{self.setting.name} asks for",
                "run the router stage for this setting first",
            )
        if source.info.router != config:
            raise TrainingError(f"{stage}: the router's encoder is not the recipe's", "run the router stage first")
        return source.build_router()

    def predecessor(self) -> Router:
        """The router of the start, whose prior a further trained one is to keep.

        Raises:
            TrainingError: there is no start, or its prior has another size than the recipe's.
        """
        if self.start is None or not self.start.router:
            raise TrainingError(
                "keeps_prior needs a router to keep the prior of", "name a checkpoint with --start-from"
            )
        if self.start.info.router.encoder.features != self.recipe.encoder.features:
            raise TrainingError("keeps_prior: the prior of the checkpoint to start from has another size")
        return self.start.build_router()

    def network(self, stage: Stage, reporter: Reporter) -> RestorationNetwork:
        """The network that ``stage`` trains, in channels_last, with what it does not train frozen.

        Raises:
            TrainingError: stage 2 has no network to start from, it is of another size, or nothing of the start fits.
        """
        if stage == "pretrain":
            network = RestorationNetwork(self.recipe.network)
            if self.start is not None and self.start.router_alone:
                reporter.line(f"{stage}: random weights: the checkpoint to start from is a router alone")
            elif self.start is not None:
                self._overlay(network, self.start.network, reporter, stage)
        else:
            experts = len(self.setting.degradations) if self.recipe.experts else 0
            network = RestorationNetwork(replace(self.recipe.network, experts=experts))
            self._begin_stage_2(network, reporter)
        return network.to(memory_format=torch.channels_last)

    def untouched_as(self, stage: Stage) -> str:
        """What the router that ``stage`` trains or works with was taught to lean to where nothing is wrong, if any."""
        if stage != "router":
            return next((info.untouched_as for info in self._told(stage)), "")
        taught = self.recipe.learns_strength and self.recipe.router.sampling.untouched > 0
        return self.recipe.untouched_as if taught and self.recipe.untouched_as in self.setting.degradations else ""

    def history(self, stage: Stage) -> list[dict[str, Any]]:
        """What the stages before ``stage`` told about themselves."""
        return next((list(info.provenance.get("stages", [])) for info in self._told(stage)), [])

    def inherited(self) -> dict[str, Any]:
        """What the checkpoint to start from says about where it is from itself, and so about what grows out of it."""
        told = {} if self.start is None else self.start.info.provenance
        return {key: told[key] for key in ("source", "repository", "trained_on", "files") if key in told}

    def licence(self, own: str) -> str:
        """Of weights that are to have the licence ``own``: what those they start from ask for holds, too."""
        return own if self.start is None else joined_licences(self.start.info.licence, own)

    def _told(self, stage: Stage) -> Iterator[CheckpointInfo]:
        """What those of :meth:`earlier` say about themselves, read without their weights."""
        for before in reversed(STAGES[: STAGES.index(stage)]):
            if self.folder.result(before).is_file():
                yield read_info(self.folder.result(before))
        if self.start is not None:
            yield self.start.info

    def _begin_stage_2(self, network: RestorationNetwork, reporter: Reporter) -> None:
        """Stage 1's weights, new experts (or the start's, where they are of the same degradations)."""
        source = next((c for c in self.earlier("finetune") if c.network), None)
        if source is None:
            raise self._nothing_before("finetune", "a network", "pretrain")
        if _plain(source.info.network) != _plain(self.recipe.network):
            raise TrainingError("finetune: the network of stage 1 is not of the recipe's size")
        network.load_state_dict(source.plain_network(), strict=False)
        if self.start is not None:
            experts = {k: v for k, v in self.start.network.items() if k.endswith(EXPERT_TENSORS)}
            if experts := self._of_this_setting(self.start, experts):
                experts = _of_rank(network, experts, self.start.info.network.rank)
                self._overlay(network, experts, reporter, "finetune")
        if self.recipe.finetune.trains == "experts":
            for name, parameter in network.named_parameters():
                parameter.requires_grad = name.endswith(EXPERT_TENSORS)
        self._keep_what_does_not_learn(network)

    def _keep_all_but_the_head(self, router: Router, given: set[str]) -> None:
        """Freeze what makes the prior; ``TrainingError`` unless all of it is among what the start has ``given``."""
        for name in router.state_dict():
            if not name.startswith(ROUTER_HEAD) and name not in given:
                raise TrainingError(
                    f"router: its head alone cannot be trained: {name} does not come from another checkpoint",
                    "name one with the same encoder with --start-from",
                )
        for name, parameter in router.named_parameters():
            parameter.requires_grad = name.startswith(ROUTER_HEAD)

    def _keep_what_does_not_learn(self, network: RestorationNetwork) -> None:
        """No gradient for the experts that the recipe does not train; weight decay alone still acts.

        The router sends them a photo now and then all the same, by mistake or untouched, and Adam makes a step of full
        size of a gradient that it sees once in a hundred steps: they would unlearn in minutes what took hours.
        """
        learning = torch.tensor(self.recipe.finetune.learning(self.setting.degradations))
        if learning.all():
            return

        @cache  # the network moves to its device later; copying anew would be some 300 copies a step
        def mask(device: torch.device) -> Tensor:
            return learning.to(device)[:, None, None]

        for name, parameter in network.named_parameters():
            if name.endswith(EXPERT_TENSORS):
                parameter.register_hook(lambda gradient: gradient * mask(gradient.device))

    def _of_this_setting(self, start: Checkpoint, tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """``tensors`` without those that speak of degradations, unless they are the setting's in the same order."""
        if start.info.degradations == self.setting.degradations:
            return dict(tensors)
        return {k: v for k, v in tensors.items() if not (k.startswith(ROUTER_HEAD) or k.endswith(EXPERT_TENSORS))}

    def _overlay(self, module: nn.Module, tensors: Mapping[str, Tensor], reporter: Reporter, stage: Stage) -> set[str]:
        """Copy the tensors whose name and shape fit, and say which; ``TrainingError`` if there are none."""
        own = module.state_dict()
        fitting = {k: v for k, v in tensors.items() if k in own and own[k].shape == v.shape}
        if not fitting:
            raise TrainingError(f"{stage}: nothing of the checkpoint to start from fits the recipe")
        module.load_state_dict(fitting, strict=False)
        reporter.line(f"{stage}: {len(fitting)} of {len(own)} tensors come from the checkpoint to start from")
        return set(fitting)

    def _nothing_before(self, stage: Stage, what: str, missing: Stage) -> TrainingError:
        return TrainingError(
            f"{stage} needs {what}: {self.folder.path} holds no {self.folder.result(missing).name}",
            f"run --stage {missing} first, or all of them",
        )


def _has_more_stages(config: EncoderConfig, than: EncoderConfig) -> bool:
    """Whether an encoder has the stages of another, or more behind them, and the statistics of all in its feature."""
    if not (isinstance(config, CompactEncoderConfig) and isinstance(than, CompactEncoderConfig)):
        return False
    kept = config.statistics == than.statistics == "every"
    return kept and config.widths[: len(than.widths)] == than.widths


def _of_rank(network: RestorationNetwork, experts: dict[str, Tensor], had: int) -> dict[str, Tensor]:
    """``experts`` of rank ``had`` at that of a new ``network``, with room to learn where there is any."""
    rank = network.config.rank
    if rank == had or not network.config.experts:
        return experts
    return with_room(experts, network.state_dict(), had, rank)


def _plain(config: NetworkConfig) -> NetworkConfig:
    """What decides the sizes of stage 1's weights."""
    return replace(config, experts=0, rank=1)
