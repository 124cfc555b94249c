import cv2
import numpy as np
import pytest

from lorair_cli.data.catalogue import load_catalogue, locate_set
from lorair_cli.data.checking import check_sets

SET = next(one for one in load_catalogue().set if one.name == "diffuir-low-light")


@pytest.fixture
def folder(tmp_path):
    """Four pairs of different pictures in the layout of one set."""
    rng = np.random.default_rng(0)
    for place in (SET.input[0], SET.target[0]):
        (tmp_path / place).mkdir(parents=True)
        for index in range(4):
            cv2.imwrite(str(tmp_path / place / f"{index}.png"), rng.integers(0, 256, (40, 48, 3), np.uint8))
    return tmp_path


def report(folder, *test):
    ticks = []
    found = check_sets([locate_set(SET, folder)], test, lambda: ticks.append(1))
    (one,) = found.sets
    assert len(ticks) == 2 * len(one.located.pairs) + len(test)
    assert found.compared + len(found.unreadable) == len(test)
    return one


def test_a_set_that_is_well_lacks_only_what_is_missing(folder):
    assert report(folder).problems == ["4 of 485 pairs, a number from memory"]


def test_every_fault_is_named(folder, tmp_path):
    (folder / SET.input[0] / "0.png").write_bytes(b"no picture")
    cv2.imwrite(str(folder / SET.target[0] / "1.png"), np.zeros((40, 49, 3), np.uint8))
    (folder / SET.target[0] / "3.png").unlink()
    cv2.imwrite(str(folder / SET.target[0] / "9.png"), np.zeros((40, 49, 3), np.uint8))
    # The same pixels in another file format, under another name.
    cv2.imwrite(str(tmp_path / "x.bmp"), cv2.imread(str(folder / SET.target[0] / "2.png")))
    found = report(folder, tmp_path / "x.bmp")
    assert len(found.unreadable) == 1 and str(folder / SET.input[0] / "0.png") in found.unreadable[0]
    assert found.unlike == ("1",) and found.in_test == ("2",)
    assert found.located.without_truth == ("3",) and found.located.without_input == ("9",)
    assert all("\n" not in line for line in found.problems) and len(found.problems) == 6


def test_what_could_not_be_read_was_not_compared(folder, tmp_path):
    """A truncated copy of a training picture must not pass for test data that training does not hold."""
    cut = tmp_path / "cut.png"
    cut.write_bytes((folder / SET.target[0] / "2.png").read_bytes()[:900])
    cv2.imwrite(str(tmp_path / "other.png"), np.zeros((40, 48, 3), np.uint8))
    found = check_sets([locate_set(SET, folder)], [cut, tmp_path / "other.png"])
    assert found.compared == 1 and len(found.unreadable) == 1 and str(cut) in found.unreadable[0]
    assert not found.sets[0].in_test
