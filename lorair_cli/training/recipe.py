"""Recipes: everything that decides a training run, as frozen dataclasses."""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

from lorair_cli.data.pairs import Sampling
from lorair_cli.imaging.views import ViewMode
from lorair_cli.model.config import EncoderConfig, NetworkConfig
from lorair_cli.settings import TEN_DEGRADATIONS

Scale = Literal["compact", "paper"]
Stage = Literal["router", "pretrain", "finetune"]
STAGES: tuple[Stage, ...] = ("router", "pretrain", "finetune")


@dataclass(frozen=True)
class StageRecipe:
    """One stage's optimisation."""

    steps: int
    """Optimizer steps when no time is given."""
    photos: int
    """Degraded photos per step, over all processes."""
    share: float
    """Share of ``--minutes`` that this stage gets, relative to the other stages of the run."""
    learning_rate: float
    final_learning_rate: float
    """End of the cosine."""
    sampling: Sampling
    warmup: int = 200
    """Steps over which the learning rate rises from zero."""
    betas: tuple[float, float] = (0.9, 0.999)
    epsilon: float = 1e-8
    """AdamW's: a weight whose gradients are far below it stands still."""
    weight_decay: float = 0.0
    clip: float = 0.0
    """Largest gradient norm; 0 does not clip."""
    loss_epsilon: float = 1e-8
    """Added to the mean squared error inside the PSNR loss's logarithm."""
    trains: Literal["all", "experts", "head"] = "all"
    """What is updated. Stage 2: the experts alone (the paper) or every parameter (the authors' released recipe). The
    router: everything that is not CLIP's, or the last layer alone, which leaves the prior as the network knows it."""
    only: tuple[str, ...] = ()
    """Stage 2 with ``trains = "experts"``: the degradations whose experts learn, from every photo that the router sends
    to them, whatever is wrong with it; photos for other experts are passed over. Empty: all degradations drawn."""
    accumulate: int = 1
    """Passes that a process's photos are spread over, for want of memory; batch statistics are each pass's own."""
    ema: float = 0.0
    """Share that a moving average of the weights keeps at each step, such as 0.999; it is then what is validated and
    written. 0 has none."""
    compile: bool = False
    """Let torch.compile work on the network: minutes at the start, faster steps on a GPU."""
    per_degradation: bool = False
    """``photos`` counts for each degradation of the setting, as the paper's 64 for the router do."""

    def __post_init__(self) -> None:
        """Refuse numbers that cannot train: ``ValueError`` names the field."""
        for name, least in (
            ("steps", 1),
            ("photos", 1),
            ("accumulate", 1),
            ("warmup", 0),
            ("weight_decay", 0),
            ("clip", 0),
        ):
            if not least <= getattr(self, name) < math.inf:
                raise ValueError(f"{name} {getattr(self, name)} is not {least} or more")
        for name in ("share", "learning_rate", "final_learning_rate", "loss_epsilon", "epsilon"):
            if not 0 < getattr(self, name) < math.inf:
                raise ValueError(f"{name} {getattr(self, name)} is not above 0")
        if not all(0 <= beta < 1 for beta in self.betas):
            raise ValueError(f"betas {self.betas} are not in 0 to 1")
        if not 0 <= self.ema < 1:
            raise ValueError(f"ema {self.ema} is not in 0 to 1")
        for name in self.only:
            if name not in TEN_DEGRADATIONS:
                raise ValueError(f"only names {name!r}, which is not one of {', '.join(TEN_DEGRADATIONS)}")
        if self.only and self.trains != "experts":
            raise ValueError('only names experts that learn: it needs trains = "experts"')

    def photos_per_step(self, degradations: int) -> int:
        """Photos that a step takes in a setting of so many degradations."""
        return self.photos * degradations if self.per_degradation else self.photos

    def learning(self, degradations: Sequence[str]) -> tuple[bool, ...]:
        """For each of a setting's degradations, whether stage 2 trains its expert: those of ``only``, or all drawn."""
        return tuple(
            name in self.only if self.only else self.sampling.ratios.get(name, 1.0) > 0 for name in degradations
        )


@dataclass(frozen=True)
class Recipe:
    """A whole run: model sizes and the three stages."""

    scale: Scale
    network: NetworkConfig
    """Without experts; stage 2 adds one per degradation."""
    encoder: EncoderConfig
    router: StageRecipe
    pretrain: StageRecipe
    finetune: StageRecipe
    top_k: int = 1
    precision: Literal["bf16", "fp16", "no"] = "bf16"
    """Autocast type; master weights are always float32."""
    seed: int = 0
    view_mode: ViewMode = "native"
    """How the router looks at a photo; see ``RouterConfig``."""
    high_resolution: bool = True
    """Whether the router sees local views; see ``RouterConfig``."""
    experts: bool = True
    """Whether stage 2 adds experts. Without them (table 10) it goes on with every weight of stage 1."""
    learns_strength: bool = True
    """The router also learns how strong a degradation is, and to be unsure of mild ones. The paper's does neither."""
    keeps_prior: float = 0.0
    """How much a router that is trained further holds on to the prior of the one it starts from, which the network of
    that checkpoint was trained under; 0 for a router whose network is trained after it."""
    untouched_as: str = ""
    """The degradation that a router leans to where next to nothing is wrong with a photo, so that its expert, and no
    other, learns to leave such photos alone. Empty, or not in the setting: it leans to none; the choice is chance."""

    def __post_init__(self) -> None:
        """Refuse parts that do not fit together: ``ValueError`` names the field."""
        if self.network.experts:
            raise ValueError("network.experts is not the recipe's to say: stage 2 adds one per degradation")
        if self.network.prior_channels != self.encoder.features // 2:
            raise ValueError(
                f"network.prior_channels is {self.network.prior_channels}, "
                f"but half of encoder.features is {self.encoder.features // 2}"
            )
        if not all(stage.sampling.patches for stage in (self.pretrain, self.finetune)):
            raise ValueError("pretrain and finetune need patches: sampling.patches is 0")
        if not self.experts and self.finetune.trains == "experts":
            raise ValueError('finetune.trains must be "all" where experts is false')
        own: dict[Stage, tuple[str, ...]] = {
            "router": ("all", "head"),
            "pretrain": ("all",),
            "finetune": ("all", "experts"),
        }
        for stage, choices in own.items():
            if self.stage(stage).trains not in choices:
                raise ValueError(f"{stage}.trains must be {' or '.join(choices)}")
        if self.top_k < 1 or not 0 <= self.seed < 2**63:
            raise ValueError(f"top_k {self.top_k} must be at least 1, seed {self.seed} at least 0 and less than 2^63")
        if self.untouched_as not in ("", *TEN_DEGRADATIONS):
            raise ValueError(f"untouched_as {self.untouched_as!r} is not one of {', '.join(TEN_DEGRADATIONS)}")
        if not 0 <= self.keeps_prior < math.inf:
            raise ValueError(f"keeps_prior {self.keeps_prior} is not 0 or more")

    def stage(self, stage: Stage) -> StageRecipe:
        """The stage's own part."""
        return {"router": self.router, "pretrain": self.pretrain, "finetune": self.finetune}[stage]
