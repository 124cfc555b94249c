import os
import re
import shlex
import signal
import subprocess
import sys
import time
from pathlib import Path
from types import SimpleNamespace

import cv2
import pytest
import skimage.data
import typer
from accelerate.state import AcceleratorState
from huggingface_hub import constants
from typer.testing import CliRunner

from lorair_cli.cli.train import STOPPED, _as_typed, train
from lorair_cli.data.clean import CleanPhotos
from lorair_cli.data.degrading import Degrading, write_pairs
from lorair_cli.data.real import find_sets
from lorair_cli.errors import DeviceError, LorairError, TrainingError, UsageError, WeightsError
from lorair_cli.settings import get_setting
from lorair_cli.training.recipe_file import load_recipe, read_recipe
from lorair_cli.weights.checkpoint import read_info

app = typer.Typer()
app.command("train")(train)
app.command("other")(lambda: None)  # with one command alone, typer would not ask for its name

STAGE = """
[{name}]
steps = 2
photos = 2
share = 0.3
learning_rate = 1e-3
final_learning_rate = 1e-4
[{name}.sampling]
photo_sides = [32, 40]
patches = {patches}
patch = 32
local_views = 1
"""
RECIPE = """
scale = "compact"
precision = "no"
[network]
width = 4
encoder_blocks = [1]
decoder_blocks = [1]
stem = 2
prior_channels = 4
modulator_channels = 4
rank = 1
[encoder]
kind = "compact"
view = 16
stem = 2
widths = [4]
blocks = [1]
features = 8
""" + "".join(STAGE.format(name=n, patches=p) for n, p in (("router", 0), ("pretrain", 1), ("finetune", 1)))


@pytest.fixture(autouse=True)
def fresh_accelerator():
    yield
    AcceleratorState._reset_state(reset_partial_state=True)


@pytest.fixture
def given(tmp_path):
    """Arguments of a tiny run, and its folder."""
    clean = tmp_path / "my photos"
    clean.mkdir()
    for index in range(2):
        cv2.imwrite(str(clean / f"{index}.png"), skimage.data.chelsea()[100:160, 100 + 60 * index : 160 + 60 * index])
    (tmp_path / "tiny.toml").write_text(RECIPE)
    out = tmp_path / "runs" / "x"
    options = {"clean": clean, "recipe": tmp_path / "tiny.toml", "out": out, "setting": "3task", "workers": 0}
    return [word for name, value in options.items() for word in (f"--{name}", str(value))], out


def run(arguments, *more):
    return CliRunner().invoke(app, ["train", *arguments, *map(str, more)])


def test_a_folder_of_photos_becomes_a_checkpoint_and_a_next_step(given):
    arguments, out = given
    result = run(arguments, "--data-note", "two crops, CC0", "--licence", "CC0-1.0")
    assert result.exit_code == 0, result.output
    assert result.stdout == f"{out / 'finetune.safetensors'}\n"
    assert f"Next: lorair restore photo.jpg --weights {out / 'finetune.safetensors'}" in result.stderr
    assert "2 clean photos\n" in result.stderr and "precision no" in result.stderr
    for stage in ("router", "pretrain", "finetune"):
        assert f"{stage}: wrote" in result.stderr
    info = read_info(out / "finetune.safetensors")
    assert info.setting == "3task" and info.licence == "CC0-1.0" and info.provenance["data"] == "two crops, CC0"
    command = info.provenance["command"]
    assert command.startswith("lorair train ") and "--clean 'my photos'" in command and "--recipe tiny.toml" in command
    assert str(out.parent) not in str(info.provenance) and "scale" not in command


def test_the_recorded_command_has_no_folders_even_where_typer_hands_paths_over_as_strings():
    context = SimpleNamespace(
        params={"clean": ["/home/me/photos"], "out": "/home/me/runs/x", "stage": "finetune", "changes": ["seed=3"]},
        get_parameter_source=lambda name: SimpleNamespace(name="COMMANDLINE"),
    )
    assert _as_typed(context) == "lorair train --clean photos --out x --stage finetune --set seed=3"
    context.params = {"data_note": 'my "own" photos'}
    assert shlex.split(_as_typed(context)) == ["lorair", "train", "--data-note", 'my "own" photos']


def test_a_finished_run_says_so(given):
    arguments, out = given
    run(arguments)
    again = run(arguments)
    assert again.exit_code == 0 and again.stderr.count("is there already") == 3
    assert again.stdout == f"{out / 'finetune.safetensors'}\n"


def test_stages_one_by_one(given):
    arguments, out = given
    first = run(arguments, "--stage", "router", "--minutes", 0.01)
    assert first.exit_code == 0 and first.stdout == f"{out / 'router.safetensors'}\n"
    assert "--stage pretrain" in first.stderr
    second = run(arguments, "--stage", "pretrain")
    assert second.exit_code == 0 and "router:" not in second.stderr
    assert read_info(out / "pretrain.safetensors").provenance["data"] == "2 photos, my photos"


def test_a_folder_with_another_run_is_refused_in_one_line(given, tmp_path):
    arguments, out = given
    run(arguments, "--stage", "router")
    (tmp_path / "tiny.toml").write_text(RECIPE.replace("width = 4", "width = 8"))
    wrong = run(arguments)
    assert isinstance(wrong.exception, TrainingError)
    assert f"{out}: holds a run with another recipe: network.width differs" in wrong.exception.message
    (tmp_path / "tiny.toml").write_text(RECIPE)
    wrong = run(arguments, "--setting", "5task")
    assert isinstance(wrong.exception, TrainingError) and "setting 3task, not 5task" in wrong.exception.message
    assert "\n" not in str(wrong.exception)


def test_a_run_that_starts_from_a_checkpoint_says_how_much_it_takes(given, tmp_path):
    arguments, out = given
    run(arguments)
    arguments[arguments.index("--out") + 1] = str(tmp_path / "y")
    result = run(arguments, "--start-from", out / "finetune.safetensors", "--stage", "finetune")
    assert result.exit_code == 0 and re.search(r"finetune: \d+ of \d+ tensors come from", result.stderr)


@pytest.mark.parametrize(
    ("more", "kind", "said"),
    [
        (["--stage", "second"], UsageError, "no stage 'second'"),
        (["--scale", "paper"], UsageError, "scale compact, not paper"),
        (["--setting", "7task"], UsageError, "no setting '7task'"),
        (["--precision", "float8"], UsageError, "no precision 'float8'"),
        (["--precision", "float16"], DeviceError, "float16 is slow and inexact on the CPU"),
        (["--set", "router.photos=3", "--set", "router.accumulate=2"], UsageError, "3 photos a step cannot be shared"),
        (["--data", "nowhere"], TrainingError, "nowhere: no such folder"),
        (["--recipe", "nowhere.toml"], UsageError, "nowhere.toml: no such recipe"),
        (["--clean", "nowhere"], TrainingError, "nowhere: no such folder"),
        (["--valid", "nowhere"], TrainingError, "nowhere: no such folder"),
        (["--stage", "pretrain"], TrainingError, "pretrain needs a router"),
    ],
)
def test_wrong_usage_is_one_line(given, more, kind, said):
    arguments, _ = given
    result = run(arguments, *more)
    assert isinstance(result.exception, kind), result.output
    assert said in result.exception.message and "\n" not in str(result.exception)


def test_what_is_learnt_from_cannot_validate(given, tmp_path):
    arguments, out = given
    clean = Path(arguments[1])
    sets = tmp_path / "sets"
    write_pairs(CleanPhotos.find([clean]), get_setting("3task"), sets, Degrading(side=48))
    options = [*arguments[2:], "--data", sets]
    for one in find_sets([sets], get_setting("3task")):  # of noise the photo itself is input and truth
        truths = one.pairs[0][2].parent
        result = run(options, "--valid", truths)
        assert isinstance(result.exception, UsageError) and "2 photos of --valid are among those of --data: " in str(
            result.exception
        )
    result = run([*arguments, "--data", sets], "--valid", clean)
    assert isinstance(result.exception, UsageError) and "2 photos of --valid are among those of --clean" in str(
        result.exception
    )
    assert not out.exists()
    assert run(options, "--valid", clean, "--stage", "router").exit_code == 0


def test_paper_scale_without_a_network_is_one_line(given, tmp_path, monkeypatch):
    arguments, _ = given
    monkeypatch.setattr(constants, "HF_HUB_OFFLINE", True)
    monkeypatch.setattr(constants, "HF_HUB_CACHE", str(tmp_path / "cache"))
    tiny = [f"encoder.{k}" for k in ("view=28", "width=64", "layers=1", "features=768")]
    sets = [word for change in tiny for word in ("--set", change)]
    result = run(["--clean", arguments[1], "--out", str(tmp_path / "p"), "--workers", "0"], "--scale", "paper", *sets)
    assert isinstance(result.exception, WeightsError) and "HF_HUB_OFFLINE" in result.exception.message
    assert "CLIP" in result.exception.message and "\n" not in str(result.exception)


def test_a_printed_recipe_is_a_recipe(given, tmp_path):
    printed = run([], "--print-recipe", "--scale", "paper", "--setting", "5task", "--set", "pretrain.steps=7")
    assert printed.exit_code == 0 and not printed.stderr
    assert "steps = 7\n" in printed.stdout and "width = 64 # not in the paper" in printed.stdout
    (tmp_path / "own.toml").write_text(printed.stdout)
    assert read_recipe(tmp_path / "own.toml") == load_recipe("paper", changes=["pretrain.steps=7"])
    (tmp_path / "own.toml").write_bytes(b"\xff\xd8\xff\xe0")
    photo = run([], "--print-recipe", "--recipe", str(tmp_path / "own.toml"))
    assert isinstance(photo.exception, LorairError) and "own.toml" in photo.exception.message


def test_a_set_field_is_trained_with_and_written_down(given):
    arguments, out = given
    result = run(arguments, "--stage", "router", "--set", "router.steps=3", "--set", "router.sampling.ratios.rain=2")
    assert result.exit_code == 0, result.output
    recipe = read_recipe(out / "recipe.toml")
    assert recipe.router.steps == 3 and recipe.router.sampling.ratios == {"rain": 2}
    info = read_info(out / "router.safetensors")
    assert info.provenance["stages"][0]["steps"] == 3 and "--set router.steps=3" in info.provenance["command"]


def test_nothing_to_learn_from_is_one_line():
    result = run([])
    assert isinstance(result.exception, UsageError) and "--clean" in (result.exception.hint or "")


@pytest.mark.skipif(os.name == "nt", reason="process groups")
def test_a_signal_to_the_whole_group_saves_the_run_and_the_same_command_goes_on(given, tmp_path):
    arguments, out = given
    (tmp_path / "tiny.toml").write_text(RECIPE.replace("steps = 2", "steps = 1000000"))
    arguments += ["--stage", "router"]
    arguments[arguments.index("--workers") + 1] = "1"  # a worker must not die of the signal before the state is saved
    script = "from lorair_cli.cli.train import train; import typer; a = typer.Typer(); a.command()(train); a()"
    command = [sys.executable, "-c", script, *arguments]
    with subprocess.Popen(command, stderr=subprocess.PIPE, text=True, start_new_session=True) as process:
        try:
            deadline = time.monotonic() + 120
            while not (out / "log.txt").is_file() or "photos/s" not in (out / "log.txt").read_text():
                assert process.poll() is None and time.monotonic() < deadline
                time.sleep(0.1)
            os.killpg(process.pid, signal.SIGTERM)
            _, stderr = process.communicate(timeout=60)
        finally:
            process.kill()
    assert process.returncode == STOPPED and "Traceback" not in stderr
    steps = re.search(r"stopped at step (\d+), state saved", stderr)
    assert steps and "Run the same command again" in stderr and (out / "router.state").is_file()
    result = run(arguments, "--minutes", 0.01)
    assert result.exit_code == 0, result.output
    assert f"router: resumed at step {steps[1]}," in result.stderr
    assert (out / "router.safetensors").is_file() and not (out / "router.state").exists()
