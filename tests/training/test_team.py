"""Two processes on the CPU, started as torchrun starts them."""

import os
import socket
import subprocess
import sys

import pytest
import torch

from lorair_cli.settings import get_setting
from lorair_cli.training.recipe import STAGES
from lorair_cli.training.recipe_file import load_recipe
from lorair_cli.training.run import TrainingRun
from lorair_cli.weights.checkpoint import load_checkpoint

CHANGES = [f"{stage}.{field}" for stage in STAGES for field in ("photos=4", "steps=4", "learning_rate=2e-3")]
# A bias in front of batch normalisation has no gradient but rounding, which differs; Adam would make whole steps of it.
CHANGES.append("router.epsilon=1e-3")
SCRIPT = """
import sys
from pathlib import Path
import torch
from accelerate import Accelerator
from lorair_cli.data.clean import CleanPhotos
from lorair_cli.settings import get_setting
from lorair_cli.training.recipe import STAGES
from lorair_cli.training.recipe_file import load_recipe
from lorair_cli.training.reporting import Silence
from lorair_cli.training.run import TrainingRun
from lorair_cli.training.team import Team

recipe, clean, out = map(Path, sys.argv[1:4])
accelerator = Accelerator(cpu=True, mixed_precision="no")
recipe = load_recipe("compact", recipe, sys.argv[4:])
run = TrainingRun(get_setting("3task"), recipe, CleanPhotos.find([clean]), None, out, None, "", "", workers=0)
assert run.run(STAGES, accelerator, Silence()) == out / "finetune.safetensors"
team = Team(accelerator.process_index, accelerator.num_processes)
weight = torch.nn.Parameter(torch.zeros(2))
weight.grad = torch.ones(2) if team.leads else None
loss = team.combine([weight], 3.0 if team.leads else 1.0)
failed = team.any(not team.leads, accelerator.device), team.any(False, accelerator.device)
stop, seconds = team.agree(team.leads, 10.0 * team.rank, accelerator.device)
accelerator.end_training()
left = [t for t in Path("/proc/self/task").glob("*/comm") if "gloo" in t.read_text()]  # only Linux tells
print(team.size, loss, failed, weight.grad.tolist(), stop, seconds, len(left))
"""


def free_port():
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


@pytest.fixture(scope="module")
def both(tmp_path_factory, recipe_file, clean):
    """The folder of a run by two processes, and what each of them printed."""
    out = tmp_path_factory.mktemp("both")
    world = {"MASTER_ADDR": "127.0.0.1", "MASTER_PORT": str(free_port()), "WORLD_SIZE": "2", "OMP_NUM_THREADS": "1"}
    command = [sys.executable, "-c", SCRIPT, recipe_file, clean.paths[0].parent, out, *CHANGES]
    started = [
        subprocess.Popen(
            list(map(str, command)),
            env=os.environ | world | {"RANK": str(rank), "LOCAL_RANK": str(rank), "ACCELERATE_USE_CPU": "true"},
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
        )
        for rank in range(2)
    ]
    try:
        said = [process.communicate(timeout=300) for process in started]
    finally:
        for process in started:
            process.kill()
    assert [process.returncode for process in started] == [0, 0], said
    return out, [stdout.splitlines()[-1] for stdout, _ in said]


def test_two_processes_with_half_the_batch_give_the_weights_of_one(
    both, tmp_path, recipe_file, clean, accelerator, listen
):
    recipe = load_recipe("compact", recipe_file, CHANGES)
    run = TrainingRun(get_setting("3task"), recipe, clean, None, tmp_path, None, "", "", workers=0)
    run.run(STAGES, accelerator, listen())
    for stage in STAGES:
        one, two = (load_checkpoint(folder / f"{stage}.safetensors") for folder in (tmp_path, both[0]))
        for mine, theirs in ((one.router, two.router), (one.network, two.network)):
            assert mine.keys() == theirs.keys()
            for name, value in mine.items():
                assert float((value.double() - theirs[name].double()).abs().max()) <= 1e-6, (stage, name)
    assert not list(both[0].glob("*.state"))


def test_a_process_that_fails_or_is_told_to_stop_is_heard_by_all(both):
    # A gradient that one of them does not have counts as zero. No thread of the team is left to break the exit.
    assert both[1] == ["2 2.0 (True, False) [0.5, 0.5] True 10.0 0"] * 2


def test_replaced_batch_normalisation_is_torchs_own_for_one_process(monkeypatch):
    from lorair_cli.training import team

    monkeypatch.setattr(team.dist, "all_reduce", lambda tensor: None)
    for norm, shape in ((torch.nn.BatchNorm2d(3), (4, 3, 5, 5)), (torch.nn.BatchNorm1d(3), (4, 3))):
        torch.manual_seed(0)
        x = torch.randn(shape, requires_grad=True)
        torch.nn.init.normal_(norm.weight)
        other = type(norm)(3)
        other.load_state_dict(norm.state_dict())
        for one in (norm, other):
            one.train()
        expected = norm(x)
        (gradient,) = torch.autograd.grad(expected.square().sum(), x)
        got = team._normalised(other, type(other).forward, 1, x)
        (again,) = torch.autograd.grad(got.square().sum(), x)
        torch.testing.assert_close(got, expected)
        torch.testing.assert_close(again, gradient, rtol=1e-4, atol=1e-4)
        torch.testing.assert_close(other.state_dict(), norm.state_dict())
