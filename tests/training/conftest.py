"""Photos to learn from, and a listener that can interrupt."""

from dataclasses import replace

import cv2
import pytest
import skimage.data
from accelerate import Accelerator
from accelerate.state import AcceleratorState
from runs import training

from lorair_cli.data.clean import CleanPhotos
from lorair_cli.training.recipe import STAGES, Recipe
from lorair_cli.training.recipe_file import read_recipe


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
def recipe(recipe_file) -> Recipe:
    return read_recipe(recipe_file)


@pytest.fixture(scope="session")
def clean(tmp_path_factory) -> CleanPhotos:
    folder = tmp_path_factory.mktemp("clean")
    scene = skimage.data.astronaut()
    for index, (y, x) in enumerate([(0, 0), (100, 200), (300, 50)]):
        cv2.imwrite(str(folder / f"{index}.png"), scene[y : y + 64 + 16 * index, x : x + 80, ::-1])
    return CleanPhotos.find([folder])


@pytest.fixture(scope="session")
def whole(tmp_path_factory, recipe, clean):
    """The folder of a run that nothing interrupted."""
    folder = tmp_path_factory.mktemp("whole")
    valid = replace(clean, paths=clean.paths[:1])

    class Silent:
        def line(self, text):
            pass

        def progress(self, stage, done, loss, rate, seconds_left):
            pass

    result = training(folder, recipe, clean, valid=valid).run(STAGES, Accelerator(cpu=True), Silent())
    assert result == folder / "finetune.safetensors"
    AcceleratorState._reset_state(reset_partial_state=True)
    return folder
