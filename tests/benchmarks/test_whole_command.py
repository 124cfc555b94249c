"""The parts of a command add up to no more than the whole, and every photo of a batch is counted."""

import sys

import pytest
import whole_command

pytestmark = pytest.mark.skipif(sys.platform == "win32", reason="os.wait4")


def test_a_photo_and_a_batch(monkeypatch):
    monkeypatch.setattr(sys, "argv", ["whole_command.py", "--megapixels", "0.02", "--runs", "1", "--batch", "2"])
    said = []
    whole_command.main(said.append)
    header, _, row, batch = said
    found = dict(zip(*([cell.strip() for cell in line.strip("|").split("|")] for line in (header, row)), strict=True))
    numbers = {name: float(value) for name, value in found.items()}
    assert 0 < numbers["network"] < numbers["command"]
    assert numbers["import torch"] < numbers["command"]
    assert 0 < numbers["without pixels"] <= numbers["peak MiB"]
    assert "2 photos of 480x360" in batch and int(batch.split("which ")[1].split("%")[0]) < 100


def test_a_command_that_fails_is_no_measurement():
    with pytest.raises(RuntimeError, match="ended with 3"):
        whole_command.run([sys.executable, "-c", "raise SystemExit(3)"])
