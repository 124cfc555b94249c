"""Speed of `lorair train`'s loop beside the bare forward, backward and step on random tensors, in one run.

    python benchmarks/training_loop.py --clean PHOTOS [--stage pretrain] [--scale compact] [--steps 60] [--rounds 3]

Prints patches a second of both, the loop's share of the bare speed, and the share of its time that it waited for data.
The two take turns, so that a machine that is busy or gets warm treats them alike. Measure on a machine that is free.
"""

from __future__ import annotations

import argparse
import statistics
import tempfile
import time
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import torch
from accelerate import Accelerator

from lorair_cli.data.clean import CleanPhotos
from lorair_cli.data.pairs import Sample, SyntheticPairs
from lorair_cli.model.config import RouterConfig
from lorair_cli.model.network import RestorationNetwork
from lorair_cli.model.router import Router
from lorair_cli.settings import get_setting
from lorair_cli.training import engine
from lorair_cli.training.arithmetic import Arithmetic
from lorair_cli.training.engine import StageRun
from lorair_cli.training.objectives import Objective, RestorationObjective, RouterObjective, RouterTrainee
from lorair_cli.training.recipe import Recipe, Stage
from lorair_cli.training.recipe_file import load_recipe
from lorair_cli.training.reporting import Silence

WARM_UP = 5
"""Steps before the clock runs: workers start, kernels are chosen."""


def main() -> None:
    """Measure and print."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--clean", type=Path, required=True, help="folder of photos")
    parser.add_argument("--stage", choices=["router", "pretrain", "finetune"], default="pretrain")
    parser.add_argument("--scale", choices=["compact", "paper"], default="compact")
    parser.add_argument("--setting", default="10task")
    parser.add_argument("--set", action="append", default=[], dest="changes", metavar="KEY=VALUE")
    parser.add_argument("--steps", type=int, default=60)
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--workers", type=int, default=1)
    given = parser.parse_args()
    recipe = load_recipe(given.scale, changes=given.changes)
    accelerator = Accelerator(mixed_precision=recipe.precision)
    photos = recipe.stage(given.stage).photos_per_step(len(get_setting(given.setting).degradations))
    patches = photos * max(recipe.stage(given.stage).sampling.patches, 1)
    clean, bare, loop, waits = CleanPhotos.find([given.clean]), [], [], []
    for _ in range(given.rounds):
        bare.append(patches / bare_step(given.stage, recipe, given.setting, accelerator, photos, given.steps))
        seconds, waited = loop_step(
            given.stage, recipe, given.setting, accelerator, photos, given.steps, clean, given.workers
        )
        loop.append(patches / seconds)
        waits.append(waited)
    rates = statistics.median(bare), statistics.median(loop)
    print(f"device {accelerator.device}, precision {recipe.precision}, {torch.get_num_threads()} threads")
    print(f"{given.scale} {given.stage}: {photos} photos, {patches} patches a step, {given.workers} workers")
    print(f"bare  {rates[0]:8.2f} patches/s  (rounds: {', '.join(f'{rate:.2f}' for rate in bare)})")
    print(f"loop  {rates[1]:8.2f} patches/s  (rounds: {', '.join(f'{rate:.2f}' for rate in loop)})")
    print(f"loop / bare {rates[1] / rates[0]:.3f}, waiting for data {statistics.median(waits):.1%} of the time")


def objective_of(stage: Stage, recipe: Recipe, setting: str, accelerator: Accelerator) -> Objective:
    """The stage's objective with random weights."""
    torch.manual_seed(0)
    n = len(get_setting(setting).degradations)
    router = Router(RouterConfig(recipe.encoder, n, recipe.view_mode, recipe.high_resolution))
    if stage == "router":
        return RouterObjective(RouterTrainee(router), recipe.learns_strength)
    router = router.eval().requires_grad_(False).to(accelerator.device)
    experts = n if stage == "finetune" else 0
    network = RestorationNetwork(replace(recipe.network, experts=experts)).to(memory_format=torch.channels_last)
    if experts and recipe.finetune.trains == "experts":
        for name, parameter in network.named_parameters():
            parameter.requires_grad = name.endswith(("expert_a", "expert_b"))
    return RestorationObjective(network, router, experts, recipe.top_k, recipe.stage(stage).loss_epsilon)


def bare_step(stage: Stage, recipe: Recipe, setting: str, accelerator: Accelerator, photos: int, steps: int) -> float:
    """Seconds of one forward, backward and optimizer step on one batch of random pixels."""
    objective, sampling = objective_of(stage, recipe, setting, accelerator), recipe.stage(stage).sampling
    module = objective.module.to(accelerator.device)
    trained = [p for p in module.parameters() if p.requires_grad]
    optimizer = torch.optim.AdamW(trained, lr=1e-6, fused=True)
    arithmetic = Arithmetic(accelerator.device, recipe.precision)
    views, view = (5 if recipe.view_mode == "resize" else 1 + sampling.local_views), recipe.encoder.view

    def pixels(*shape: int) -> torch.Tensor:
        return torch.randint(0, 256, shape, dtype=torch.uint8, device=accelerator.device)

    def numbers(value: float, kind: torch.dtype) -> torch.Tensor:
        return torch.full((photos,), value, dtype=kind, device=accelerator.device)

    batch = Sample(
        pixels(photos, views, 3, view, view),
        numbers(0, torch.int64),
        numbers(0.5, torch.float32),
        pixels(photos, sampling.patches, 3, sampling.patch, sampling.patch),
        pixels(photos, sampling.patches, 3, sampling.patch, sampling.patch),
        numbers(-1, torch.int64),
        numbers(-1, torch.int64),
        numbers(0, torch.float32),
    )
    began = time.perf_counter()
    for step in range(WARM_UP + steps):
        if step == WARM_UP:
            began = now(accelerator)
        objective.backward(batch, arithmetic)
        torch.nn.utils.clip_grad_norm_(trained, 0.01)
        optimizer.step()
        optimizer.zero_grad()
    return (now(accelerator) - began) / steps


def loop_step(
    stage: Stage,
    recipe: Recipe,
    setting: str,
    accelerator: Accelerator,
    photos: int,
    steps: int,
    clean: CleanPhotos,
    workers: int,
) -> tuple[float, float]:
    """Seconds of one step of the loop, and the share of them that went by in waiting for its batch."""
    own, chosen = recipe.stage(stage), get_setting(setting)
    times: list[float] = []
    waited: list[float] = []
    original = engine.feed

    def timed(batches, span, workers, device) -> Iterator:  # type: ignore[no-untyped-def]  # noqa: ANN001
        made = original(batches, span, workers, device)
        while True:
            before = time.perf_counter()
            try:
                batch = next(made)
            except StopIteration:
                return
            waited.append(time.perf_counter() - before)
            yield batch

    with tempfile.TemporaryDirectory() as folder:
        run = StageRun(
            stage,
            replace(own, steps=WARM_UP + steps, photos=photos, per_degradation=False),
            None,
            SyntheticPairs(clean, chosen, own.sampling, recipe.encoder.view, 0, recipe.view_mode),
            objective_of(stage, recipe, setting, accelerator),
            Path(folder) / "state",
            workers,
            lambda clock: None,
            lambda clock, loss, pace: times.append(now(accelerator)),
        )
        engine.feed = timed  # type: ignore[assignment]
        try:
            run.run(accelerator, Silence())
        finally:
            engine.feed = original
    span = times[-1] - times[WARM_UP - 1]
    return span / steps, sum(waited[WARM_UP : WARM_UP + steps]) / span


def now(accelerator: Accelerator) -> float:
    """The time when everything asked for so far is done."""
    if accelerator.device.type == "cuda":
        torch.cuda.synchronize(accelerator.device)
    return time.perf_counter()


if __name__ == "__main__":
    main()
