"""What table 10 of the paper leaves out: parameters of the variants, and all of them trained alike for a short while.

    python benchmarks/ablations.py
    python benchmarks/ablations.py --clean PHOTOS --valid PHOTOS [--steps 200] [--set KEY=VALUE]

Alone, nothing is trained: the networks exist in name only (torch's meta device), so paper scale costs nothing either.
With photos, every variant goes through all stages at compact scale from random weights, with the same seed and the same
number of steps, and the table shows what validation says at the end: the share of photos that the router names right,
and the mean PSNR over the ten degradations after stage 1 and after stage 2. Steps so few show which variant learns
faster, not which is better in the end.
"""

from __future__ import annotations

import argparse
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path
from statistics import mean
from tempfile import TemporaryDirectory

import torch
from accelerate import Accelerator

from lorair_cli.data.clean import CleanPhotos
from lorair_cli.model.config import RouterConfig
from lorair_cli.model.network import RestorationNetwork, parameter_count
from lorair_cli.model.router import Router
from lorair_cli.settings import DEFAULT_SETTING, get_setting
from lorair_cli.training.recipe import STAGES
from lorair_cli.training.recipe_file import load_recipe
from lorair_cli.training.reporting import Silence
from lorair_cli.training.run import TrainingRun
from lorair_cli.weights.checkpoint import read_info

VARIANTS = {
    "whole": [],
    "router without high-resolution views": ["high_resolution=false"],
    "no modulator": ["network.modulator=none"],
    "AdaLN in its place": ["network.modulator=adaln"],
    "no experts": ["experts=false", "finetune.trains=all"],
}


def counts(scale: str, changes: list[str]) -> tuple[int, int, int]:
    """Parameters of the router behind its encoder, of the network in stage 1, and of the experts of stage 2."""
    recipe, n = load_recipe(scale, changes=changes), len(get_setting(DEFAULT_SETTING).degradations)
    with torch.device("meta"):
        router = Router(RouterConfig(recipe.encoder, n, recipe.view_mode, recipe.high_resolution))
        network = RestorationNetwork(recipe.network)
        experts = 0
        if recipe.experts:
            experts = parameter_count(RestorationNetwork(replace(recipe.network, experts=n))) - parameter_count(network)
    return parameter_count(router.mlp) + parameter_count(router.head), parameter_count(network), experts


def learnt(
    changes: Sequence[str], clean: CleanPhotos, valid: CleanPhotos, workers: int = 1
) -> tuple[float, float, float]:
    """Train a variant: share of photos named right, mean PSNR in dB after stage 1 and after stage 2."""
    recipe = load_recipe("compact", changes=changes)
    with TemporaryDirectory() as folder:
        run = TrainingRun(
            get_setting(DEFAULT_SETTING),
            recipe,
            clean,
            valid,
            Path(folder),
            None,
            "short comparison",
            "",
            workers=workers,
        )
        result = run.run(STAGES, Accelerator(mixed_precision=recipe.precision, cpu=True), Silence())
        if result is None:
            raise SystemExit("stopped")
        told = {stage["stage"]: stage["validation"] for stage in read_info(result).provenance["stages"]}
    names = get_setting(DEFAULT_SETTING).degradations
    right = mean(told["router"][name]["recognised"] for name in names)
    return right, *(mean(told[stage][name]["psnr_after"] for name in names) for stage in ("pretrain", "finetune"))


def compare(clean: CleanPhotos, valid: CleanPhotos, steps: int, changes: Sequence[str]) -> None:
    """Train all variants and print their table, a row as soon as it is known."""
    budget = [f"{stage}.steps={steps}" for stage in STAGES]
    print(f"\n| {steps} steps a stage | router right | PSNR, stage 1 | PSNR, stage 2 |\n|---|---|---|---|", flush=True)
    for name, variant in VARIANTS.items():
        right, first, second = learnt([*budget, *changes, *variant], clean, valid)
        print(f"| {name} | {right:.1%} | {first:.2f} | {second:.2f} |", flush=True)


def main() -> None:
    """Print the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clean", type=Path, action="append", help="folder of photos to learn from")
    parser.add_argument("--valid", type=Path, action="append", help="folder of photos to validate on")
    parser.add_argument("--steps", type=int, default=200)
    parser.add_argument("--set", dest="changes", action="append", default=[], help="a field of the recipe, for all")
    chosen = parser.parse_args()
    if bool(chosen.clean) != bool(chosen.valid):
        parser.error("--clean and --valid go together")
    print(
        f"| {DEFAULT_SETTING} | scale | router behind its encoder | network, stage 1 | experts |\n|---|---|---|---|---|"
    )
    for scale in ("compact", "paper"):
        for name, changes in VARIANTS.items():
            print(f"| {name} | {scale} | " + " | ".join(f"{number:,}" for number in counts(scale, changes)) + " |")
    if chosen.clean:
        compare(CleanPhotos.find(chosen.clean), CleanPhotos.find(chosen.valid), chosen.steps, chosen.changes)


if __name__ == "__main__":
    main()
