"""Several experts trained beside each other on one GPU."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from lorair_cli.settings import get_setting
from lorair_cli.training.recipe_file import load_recipe

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "gpu_experts.sh"
LEARN = """
out=
for word; do
    [ "$out" = next ] && out=$word && break
    [ "$word" = --out ] && out=next
done
case $out in *broken) echo "no photos" >&2; exit 1;; *?) mkdir -p "$out" && touch "$out/finetune.safetensors";; esac
"""

pytestmark = pytest.mark.skipif(shutil.which("sh") is None, reason="needs a POSIX shell")


@pytest.fixture
def run(stand_in):
    """Runs the script with a program in place of Python that makes the results; what it said, and what it asked for."""
    asked = stand_in(LEARN)

    def run(*words: str) -> tuple[subprocess.CompletedProcess[str], list[list[str]]]:
        return subprocess.run(["sh", str(SCRIPT), *words], capture_output=True, text=True), asked()

    return run


def option(words: list[str], name: str) -> list[str]:
    return [words[i + 1] for i, word in enumerate(words) if word == name]


def test_each_expert_learns_from_its_own_degradation_and_all_are_shipped_together(run):
    told, (*trains, ship) = run("my pack", "start.safetensors", "my run", "8", "shadow", "blur")
    assert told.returncode == 0, told.stderr
    assert {option(train, "--out")[0] for train in trains} == {"my run/shadow", "my run/blur"}
    for train in trains:
        assert train[:3] == ["-m", "lorair_cli", "train"]
        assert option(train, "--clean") == ["my pack"]
        assert option(train, "--minutes") == ["8"]
        expert = Path(option(train, "--out")[0]).name
        learns = load_recipe("compact", changes=option(train, "--set")).finetune
        assert learns.only == (expert,)
        ratios = learns.sampling.ratios
        assert {ratios[name] for name in get_setting("10task").degradations if name != expert} == {0.1}
        assert ratios[expert] == 1
    assert ship[2:5] == ["weights", "combine", "start.safetensors"]
    made = {f"{name}=my run/{name}/finetune.safetensors" for name in ("shadow", "blur")}
    assert set(option(ship, "--experts")) == made
    assert "--half" in ship


def test_further_options_of_train_overrule_its_own(run, monkeypatch):
    monkeypatch.setenv("MORE", "--set finetune.sampling.patch=320")
    _, (train, _) = run("pack", "start.safetensors", "run", "8", "rain")
    assert load_recipe("compact", changes=option(train, "--set")).finetune.sampling.patch == 320


def test_a_run_that_failed_is_named_and_nothing_is_shipped(run):
    told, asked = run("pack", "start.safetensors", "run", "8", "rain", "broken")
    assert told.returncode == 1
    assert "broken did not come to its end" in told.stderr
    assert "no photos" in told.stderr
    assert all("combine" not in words for words in asked)


def test_without_arguments_it_says_how_to_call_it():
    told = subprocess.run(["sh", str(SCRIPT)], capture_output=True, text=True)
    assert told.returncode == 2
    assert "PACK START RUN MINUTES EXPERT" in told.stderr
    assert "set -eu" not in told.stderr
