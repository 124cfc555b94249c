import errno
import math

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from lorair_cli.data.pairs import Sampling
from lorair_cli.errors import TrainingError
from lorair_cli.imaging import files
from lorair_cli.training.recipe import StageRecipe
from lorair_cli.training.state import Clock, TrainingState, learning_rate


def stage(warmup=0):
    return StageRecipe(100, 2, 1.0, learning_rate=1e-2, final_learning_rate=1e-4, sampling=Sampling(), warmup=warmup)


def state(folder, width=3, step=0):
    module = torch.nn.Linear(width, 1)
    optimizer = torch.optim.AdamW(module.parameters())
    module(torch.ones(1, width)).sum().backward()
    optimizer.step()
    return TrainingState(module, optimizer, Clock(10, None, step, 1.5 * step), folder / "a.state")


@given(step=st.integers(0, 100))
def test_the_learning_rate_is_half_a_cosine(step):
    rate = learning_rate(stage(), Clock(100, None, step))
    assert rate == pytest.approx(1e-4 + (1e-2 - 1e-4) * (1 + math.cos(math.pi * step / 100)) / 2)


def test_the_learning_rate_warms_up_from_near_zero_and_ends_at_the_final_one():
    rates = [learning_rate(stage(warmup=10), Clock(100, None, step)) for step in range(101)]
    assert rates[0] == pytest.approx(1e-3) and rates[:10] == sorted(rates[:10])
    assert rates[10:] == sorted(rates[10:], reverse=True) and rates[-1] == pytest.approx(1e-4)


def test_minutes_set_the_pace_where_they_are_given():
    clock = Clock(100, 2.0, step=5, seconds=30.0)
    assert clock.done == 0.25 and clock.seconds_left == pytest.approx(90)
    assert learning_rate(stage(), clock) == pytest.approx(learning_rate(stage(), Clock(100, None, 25)))
    assert clock.steps_left.start == 5 and len(clock.steps_left) > 10**9


def test_a_clock_ends():
    assert Clock(4, None, 1).steps_left == range(1, 4)
    for over in (Clock(4, None, 4), Clock(4, None, 9), Clock(4, 1.0, 2, 60.5)):
        assert over.done == 1 and len(over.steps_left) == 0 and over.seconds_left == 0


def test_a_state_comes_back_whole(tmp_path):
    torch.manual_seed(0)
    saved = state(tmp_path, step=7)
    saved.save()
    other = state(tmp_path)
    assert other.load()
    assert other.clock.step == 7 and other.clock.seconds == 10.5
    for one, two in zip(saved.module.parameters(), other.module.parameters(), strict=True):
        assert torch.equal(one, two)
        assert torch.equal(saved.optimizer.state[one]["exp_avg"], other.optimizer.state[two]["exp_avg"])


def test_there_may_be_no_state(tmp_path):
    assert not state(tmp_path).load()


@pytest.mark.parametrize("damage", ["truncated", "empty", "text", "another network"])
def test_a_state_that_cannot_be_used_is_one_line(tmp_path, damage):
    saved = state(tmp_path, width=4 if damage == "another network" else 3)
    saved.save()
    whole = saved.file.read_bytes()
    kept = {"truncated": whole[: len(whole) // 2], "empty": b"", "text": b"hello", "another network": whole}
    saved.file.write_bytes(kept[damage])
    with pytest.raises(TrainingError, match=r"a\.state") as caught:
        state(tmp_path).load()
    assert "\n" not in str(caught.value) and "delete it" in (caught.value.hint or "")


class FullDisk:
    """A file on a disk with room for a little."""

    def __init__(self, file, room=100):
        self.file, self.room = file, room

    def write(self, data):
        self.room -= len(data)
        if self.room < 0:
            raise OSError(errno.ENOSPC, "No space left on device")
        return self.file.write(data)

    def __getattr__(self, name):
        return getattr(self.file, name)

    def __enter__(self):
        return self

    def __exit__(self, *error):
        self.file.close()


def test_a_full_disk_leaves_the_last_state_as_it_was(tmp_path, monkeypatch):
    saved = state(tmp_path, step=1)
    saved.save()
    before = saved.file.read_bytes()
    saved.clock.step = 2
    opened = files.os.fdopen
    with monkeypatch.context() as patch:
        patch.setattr(files.os, "fdopen", lambda *arguments: FullDisk(opened(*arguments)))
        with pytest.raises(TrainingError, match="No space left on device") as caught:
            saved.save()
    assert "\n" not in str(caught.value)
    assert saved.file.read_bytes() == before and list(tmp_path.iterdir()) == [saved.file]
