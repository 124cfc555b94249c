"""The parts of a command add up to no more than the whole, and every photo of a batch is counted."""

import json
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


def test_the_phases_are_those_of_the_network_that_the_command_ran(monkeypatch, tmp_path):
    commands = []

    def run(command):
        commands.append(list(map(str, command)))
        return 1.0, 100.0, json.dumps(dict.fromkeys(whole_command.PHASES, 0.1))

    monkeypatch.setattr(whole_command, "run", run)
    whole_command.measure(tmp_path / "x.jpg", 1000, "paper", "5task", runs=1)
    for words in commands[1:]:
        assert words[words.index("--setting") + 1] == "5task" and words[words.index("--scale") + 1] == "paper"
    assert "restore" in commands[1] and "--phases" in commands[2]
