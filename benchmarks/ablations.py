"""Parameters of what table 10 of the paper leaves out, as a Markdown table.

    python benchmarks/ablations.py

Nothing is trained: the networks exist in name only (torch's meta device), so paper scale costs nothing either.
"""

from __future__ import annotations

from dataclasses import replace

import torch

from lorair_cli.model.config import RouterConfig
from lorair_cli.model.network import RestorationNetwork, parameter_count
from lorair_cli.model.router import Router
from lorair_cli.settings import DEFAULT_SETTING, get_setting
from lorair_cli.training.recipe_file import load_recipe

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


def main() -> None:
    """Print the table."""
    print(
        f"| {DEFAULT_SETTING} | scale | router behind its encoder | network, stage 1 | experts |\n|---|---|---|---|---|"
    )
    for scale in ("compact", "paper"):
        for name, changes in VARIANTS.items():
            print(f"| {name} | {scale} | " + " | ".join(f"{number:,}" for number in counts(scale, changes)) + " |")


if __name__ == "__main__":
    main()
