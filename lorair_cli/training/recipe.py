"""Recipes: everything that decides a training run, as frozen dataclasses read from TOML."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from pathlib import Path
from typing import Any, Literal

from lorair_cli.data.pairs import Sampling
from lorair_cli.errors import UsageError
from lorair_cli.model.config import EncoderConfig, NetworkConfig
from lorair_cli.tables import build
from lorair_cli.weights.checkpoint import ENCODERS

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

Scale = Literal["compact", "paper"]
Stage = Literal["router", "pretrain", "finetune"]
STAGES: tuple[Stage, ...] = ("router", "pretrain", "finetune")
RECIPES = Path(__file__).parent / "recipes"


@dataclass(frozen=True)
class StageRecipe:
    """One stage's optimisation."""

    steps: int
    """Optimizer steps when no time is given."""
    photos: int
    """Degraded photos per step."""
    share: float
    """Share of ``--minutes`` that this stage gets, relative to the other stages of the run."""
    learning_rate: float
    final_learning_rate: float
    """End of the cosine."""
    sampling: Sampling
    warmup: int = 200
    """Steps over which the learning rate rises from zero."""
    betas: tuple[float, float] = (0.9, 0.999)
    weight_decay: float = 0.0
    clip: float = 0.0
    """Largest gradient norm; 0 does not clip."""
    loss_epsilon: float = 1e-8
    """Added to the mean squared error inside the PSNR loss's logarithm."""
    trains: Literal["all", "experts"] = "all"
    """What stage 2 updates: the experts alone (the paper) or every parameter (the authors' released recipe)."""

    def __post_init__(self) -> None:
        """Refuse numbers that cannot train: ``ValueError`` names the field."""
        for name, least in (("steps", 1), ("photos", 1), ("warmup", 0), ("weight_decay", 0), ("clip", 0)):
            if not least <= getattr(self, name) < math.inf:
                raise ValueError(f"{name} {getattr(self, name)} is not {least} or more")
        for name in ("share", "learning_rate", "final_learning_rate", "loss_epsilon"):
            if not 0 < getattr(self, name) < math.inf:
                raise ValueError(f"{name} {getattr(self, name)} is not above 0")
        if not all(0 <= beta < 1 for beta in self.betas):
            raise ValueError(f"betas {self.betas} are not in 0 to 1")


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
    precision: Literal["bf16", "no"] = "bf16"
    """Autocast type; master weights are always float32."""
    seed: int = 0

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
        if self.top_k < 1 or self.seed < 0:
            raise ValueError(f"top_k {self.top_k} must be at least 1, seed {self.seed} at least 0")

    def stage(self, stage: Stage) -> StageRecipe:
        """The stage's own part."""
        return {"router": self.router, "pretrain": self.pretrain, "finetune": self.finetune}[stage]


def load_recipe(scale: str, file: Path | None = None) -> Recipe:
    """The recipe of a scale shipped with the package, or one's own file.

    Raises:
        UsageError: there is no such recipe, the file is not TOML, a field is unknown, missing, of the wrong type or
            out of range, or the recipe is of another scale. One line that names the file and the field.
    """
    path = file or RECIPES / f"{scale}.toml"
    if not path.is_file():
        if file is None:
            shipped = ", ".join(sorted(p.stem for p in RECIPES.glob("*.toml")))
            raise UsageError(f"no recipe for scale {scale!r} yet", f"shipped: {shipped}; or bring one with --recipe")
        raise UsageError(f"{path}: no such recipe")
    recipe = read_recipe(path)
    if recipe.scale != scale:
        raise UsageError(f"{path.name} is a recipe of scale {recipe.scale}, not {scale}", f"say --scale {recipe.scale}")
    return recipe


def read_recipe(path: Path) -> Recipe:
    """The recipe in a TOML file; raises as :func:`load_recipe` does."""
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror}") from error
    except ValueError as error:  # not TOML, or not even text
        raise UsageError(f"{path.name}: not a valid recipe: {error}") from error
    table = raw.get("encoder")
    encoder = dict(table) if isinstance(table, Mapping) else {}
    kind = encoder.pop("kind", None)
    if not isinstance(kind, str) or kind not in ENCODERS:
        raise UsageError(f"{path.name}: encoder.kind must be {' or '.join(ENCODERS)}")
    try:
        return build(Recipe, raw | {"encoder": build(ENCODERS[kind], encoder, "encoder")})
    except ValueError as error:
        raise UsageError(f"{path.name}: {error}") from error


def as_toml(recipe: Recipe) -> str:
    """A recipe as a file that :func:`read_recipe` reads back to an equal one, every field spelled out."""
    return "\n".join(_toml_lines(_as_table(recipe), ""))


def differences(one: Recipe, other: Recipe) -> list[str]:
    """Names of the fields in which two recipes differ, such as ``network.width``."""
    left, right = dict(_flat(_as_table(one), "")), dict(_flat(_as_table(other), ""))
    return [name for name in left | right if left.get(name) != right.get(name)]


def _as_table(recipe: Recipe) -> dict[str, Any]:
    kind = next(name for name, config in ENCODERS.items() if isinstance(recipe.encoder, config))
    return asdict(recipe) | {"encoder": {"kind": kind, **asdict(recipe.encoder)}}


def _toml_lines(table: Mapping[str, Any], name: str) -> Iterator[str]:
    """A table's own values first, then the tables in it, as TOML wants it."""
    if name:
        yield f"\n[{name}]"
    for key, value in table.items():
        if not isinstance(value, Mapping):
            yield f"{key} = {json.dumps(value, ensure_ascii=False)}"  # TOML writes strings, numbers, lists as JSON does
    for key, value in table.items():
        if isinstance(value, Mapping):
            yield from _toml_lines(value, f"{name}.{key}" if name else key)


def _flat(table: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, Any]]:
    for key, value in table.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value
