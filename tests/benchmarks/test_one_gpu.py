"""The script for one GPU says nothing that the recipe does not know, and trains what it says."""

import re
import shlex
import shutil
import subprocess
from pathlib import Path

import pytest

from lorair_cli.data.clean import CleanPhotos
from lorair_cli.training.recipe_file import load_recipe

SCRIPT = Path(__file__).parents[2] / "benchmarks" / "one_gpu.sh"

pytestmark = pytest.mark.skipif(shutil.which("sh") is None, reason="needs a POSIX shell")


@pytest.fixture
def commands(stand_in, tmp_path):
    """Runs the script on a pack of two folders, with a program in place of Python; what that is asked for."""
    asked = stand_in("mkdir -p run; touch run/pretrain.safetensors")
    for folder in ("a", "b"):
        (tmp_path / "my pack" / folder).mkdir(parents=True)
        (tmp_path / "my pack" / folder / "photo.avif").touch()

    def run(*words: str) -> list[list[str]]:
        subprocess.run(["sh", str(SCRIPT), *words], check=True, capture_output=True)
        return asked()

    return run


def test_it_trains_on_every_folder_of_the_pack_and_then_ships_the_last_stage(commands):
    train, ship = commands("my pack", "start.safetensors", "run", "8", "--stage", "pretrain")
    assert train[:3] == ["-m", "lorair_cli", "train"]
    folders = [Path(train[i + 1]) for i, word in enumerate(train) if word == "--clean"]
    assert {path.parent.name for path in CleanPhotos.find(folders).paths} == {"a", "b"}
    assert train[train.index("--minutes") + 1] == "8"
    assert train[-2:] == ["--stage", "pretrain"]
    assert ship[2:5] == ["weights", "combine", "run/pretrain.safetensors"]
    assert "--half" in ship


def test_every_field_that_it_sets_is_one_of_the_recipe():
    text = SCRIPT.read_text().replace("\\\n", " ")
    words = shlex.split(re.search(r"^python3 -m lorair_cli train.*$", text, re.MULTILINE)[0])
    changes = [words[i + 1] for i, word in enumerate(words) if word == "--set"]
    recipe, plain = load_recipe("compact", changes=changes), load_recipe("compact")
    assert len(changes) > 15
    assert recipe.pretrain.photos > plain.pretrain.photos
    assert recipe.router.share + recipe.pretrain.share + recipe.finetune.share == pytest.approx(1)


def test_without_arguments_it_says_how_to_call_it():
    told = subprocess.run(["sh", str(SCRIPT)], capture_output=True, text=True)
    assert told.returncode == 2
    assert "PACK START RUN MINUTES" in told.stderr
    assert "set -eu" not in told.stderr
