"""A recipe so small that a stage is over in a second, photos to learn from, and a listener that can interrupt."""

from pathlib import Path

import cv2
import pytest
import skimage.data
from accelerate import Accelerator
from accelerate.state import AcceleratorState

from lorair_cli.data.clean import CleanPhotos
from lorair_cli.training.recipe import Recipe
from lorair_cli.training.recipe_file import read_recipe

STAGE = """
[{name}]
steps = 5
photos = 3
share = {share}
learning_rate = 1e-2
final_learning_rate = 1e-3
warmup = 2
weight_decay = 1e-3
clip = 1.0
trains = "{trains}"
[{name}.sampling]
photo_sides = [36, 48]
patches = {patches}
patch = 32
local_views = 2
"""
TINY = """
scale = "compact"
precision = "no"
seed = 3
[network]
width = 8
encoder_blocks = [1, 1]
middle_blocks = 1
decoder_blocks = [1, 1]
stem = 2
prior_channels = 8
modulator_channels = 8
rank = 2
[encoder]
kind = "compact"
view = 32
stem = 4
widths = [8, 8]
blocks = [1, 1]
features = 16
""" + "".join(
    STAGE.format(name=name, share=share, patches=patches, trains=trains)
    for name, share, patches, trains in (
        ("router", 0.1, 0, "all"),
        ("pretrain", 0.6, 2, "all"),
        ("finetune", 0.3, 2, "experts"),
    )
)


class Listener:
    """A reporter that remembers, and does something at the end of a chosen step (counted from 1, in this call)."""

    def __init__(self, at=None, do=None):
        self.at, self.do = at, do
        self.lines, self.progressed = [], []

    def line(self, text):
        self.lines.append(text)

    def progress(self, stage, done, loss, rate, seconds_left):
        self.progressed.append((stage, done, loss, rate, seconds_left))
        if self.do is not None and len(self.progressed) == self.at:
            self.do()


@pytest.fixture
def listen():
    """``listen(at=3, do=...)`` makes a ``Listener``."""
    return Listener


@pytest.fixture
def accelerator():
    yield Accelerator(cpu=True, mixed_precision="no")
    AcceleratorState._reset_state(reset_partial_state=True)


@pytest.fixture(scope="session")
def recipe_file(tmp_path_factory) -> Path:
    path = tmp_path_factory.mktemp("recipe") / "tiny.toml"
    path.write_text(TINY, encoding="utf-8")
    return path


@pytest.fixture(scope="session")
def recipe(recipe_file) -> Recipe:
    return read_recipe(recipe_file)


@pytest.fixture(scope="session")
def clean(tmp_path_factory) -> CleanPhotos:
    folder = tmp_path_factory.mktemp("clean")
    scene = skimage.data.astronaut()
    for index, (y, x) in enumerate([(0, 0), (100, 200), (300, 50)]):
        cv2.imwrite(str(folder / f"{index}.png"), scene[y : y + 64 + 16 * index, x : x + 80, ::-1])
    return CleanPhotos.find([folder])
