import errno

import pytest

from lorair_cli.training import curves as module
from lorair_cli.training.curves import Curves
from lorair_cli.training.validation import Score

SCORES = [Score("rain", 20.0, 23.0, 1.0, 0.9), Score("haze", 15.0, None, 0.5)]
CALLS = {
    "add_scalar": lambda curves: curves.step("finetune", 1, 0.5, 3.0, 1e-3),
    "flush": lambda curves: curves.scores("finetune", 1, SCORES),
    "close": Curves.close,
}


class Writer:
    """A writer of curves on a disk that is full for one of its calls."""

    def __init__(self, full=None):
        self.full, self.points = full, {}

    def _write(self, call):
        if call == self.full:
            raise OSError(errno.ENOSPC, "No space left on device")

    def add_scalar(self, name, value, step):
        self._write("add_scalar")
        self.points[name] = value

    def flush(self):
        self._write("flush")

    def close(self):
        self._write("close")


@pytest.fixture
def made(tmp_path, listen, monkeypatch):
    """``made(writer)`` is the curves that it writes, and who listens."""
    tensorboard = pytest.importorskip("torch.utils.tensorboard")

    def make(writer):
        monkeypatch.setattr(tensorboard, "SummaryWriter", lambda folder: writer)
        monkeypatch.setattr(module, "CURVE_SECONDS", 0.0)
        reporter = listen()
        return Curves(tmp_path, reporter), reporter

    return make


def test_a_curve_for_what_was_measured(made):
    writer = Writer()
    curves, reporter = made(writer)
    curves.scores("finetune", 1, SCORES)
    assert writer.points == {
        "finetune recognised/rain": 1.0,
        "finetune psnr/rain": 23.0,
        "finetune ssim/rain": 0.9,
        "finetune recognised/haze": 0.5,
    }
    assert not reporter.lines


@pytest.mark.parametrize("call", CALLS)
def test_a_full_disk_ends_the_curves_and_not_the_run(made, call):
    curves, reporter = made(Writer(full=call))
    CALLS[call](curves)
    assert reporter.lines == ["no curves are written: No space left on device"]
    curves.step("finetune", 2, 0.4, 3.0, 1e-3)
    curves.scores("finetune", 2, SCORES)
    curves.close()
    assert len(reporter.lines) == 1, "said once"
