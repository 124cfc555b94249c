import sys
from pathlib import Path
from types import SimpleNamespace

import cv2
import numpy as np
import pytest
import skimage.data
from halfway import PHOTO

from lorair_cli.evaluation.datasets import Pair


@pytest.fixture
def tree(tmp_path):
    """Builds a data set in miniature: a picture for every path, told apart by where it was cut from."""
    photo = skimage.data.astronaut()

    def build(*paths, size=(32, 40)):
        for index, path in enumerate(paths):
            file = tmp_path / path
            file.parent.mkdir(parents=True, exist_ok=True)
            y, x = 7 * index % 400, 11 * index % 400
            cv2.imwrite(str(file), photo[y : y + size[0], x : x + size[1], ::-1])
        return tmp_path

    return build


@pytest.fixture
def pairs():
    rng = np.random.default_rng(0)
    return [Pair(n, np.clip(PHOTO + rng.normal(0, 20, PHOTO.shape), 0, 255).astype(np.uint8), PHOTO) for n in "ab"]


class StubIqa(SimpleNamespace):
    """Stands in for pyiqa: LPIPS is the mean difference, NIQE the mean, FID the number of pictures."""

    def __init__(self):
        super().__init__(__version__="1.2.3", made=[])

    def create_metric(self, name, device):
        self.made.append(name)
        sys.stdout.write(f"Downloading {name}\n")
        if name == "fid":

            def count(a, b, verbose, num_workers):
                assert not verbose and num_workers == 0
                sys.stdout.write("Computing FID between two folders\n")
                return sum(len(list(Path(folder).iterdir())) for folder in (a, b))

            return count
        return lambda *p: (p[0] - p[1]).abs().mean() if len(p) == 2 else p[0].mean()


@pytest.fixture
def stub(monkeypatch):
    made = StubIqa()
    monkeypatch.setitem(sys.modules, "pyiqa", made)
    return made
