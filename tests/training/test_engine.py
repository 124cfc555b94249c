import errno
import math
import os
import signal
from dataclasses import replace

import pytest
import torch
from torch.utils.data import Dataset

from lorair_cli.data.clean import CleanPhotos
from lorair_cli.data.pairs import Sample, Sampling, SyntheticPairs
from lorair_cli.errors import TrainingError, UsageError
from lorair_cli.imaging import files
from lorair_cli.settings import get_setting
from lorair_cli.training import engine
from lorair_cli.training.arithmetic import Arithmetic
from lorair_cli.training.engine import StageRun
from lorair_cli.training.recipe import StageRecipe

# Forking a process that runs threads is what torch's DataLoader does on Linux.
pytestmark = pytest.mark.filterwarnings("ignore:.*multi-threaded:DeprecationWarning")

RECIPE = StageRecipe(6, 2, 1.0, learning_rate=0.01, final_learning_rate=0.001, sampling=Sampling(), warmup=2, clip=1.0)


class Killed(BaseException):
    """In place of a kill: nothing catches it."""


class Numbers(Dataset):
    """Samples whose views are random numbers of their index, and their strength a function of those."""

    def __getitem__(self, index):
        views = torch.randint(0, 256, (2, 3, 4, 4), dtype=torch.uint8, generator=torch.Generator().manual_seed(index))
        none = torch.empty(0, 3, 4, 4, dtype=torch.uint8)
        return Sample(views, torch.tensor(0), views.float().mean() / 255, none, none)


class Dies(Numbers):
    """Takes the process that asks for the fifth sample down with it."""

    def __getitem__(self, index):
        if index == 4:
            os._exit(1)
        return super().__getitem__(index)


class Regression:
    """A linear layer that learns the strength; ``spoil`` may change the loss of a step."""

    def __init__(self, spoil=lambda step, loss: loss):
        torch.manual_seed(0)
        self.module, self.spoil, self.step, self.seen = torch.nn.Linear(96, 1), spoil, 0, []

    def backward(self, batch, accelerator):
        self.step += 1
        self.seen.append(batch.views.clone())
        guess = self.module(batch.views.flatten(1).float() / 255)[:, 0]
        loss = self.spoil(self.step, (guess - batch.strength).square().mean())
        accelerator.backward(loss)
        return loss.detach()


def stage_run(folder, objective=None, pairs=None, recipe=RECIPE, minutes=None, workers=0, validate=lambda clock: None):
    return StageRun(
        "router", recipe, minutes, pairs or Numbers(), objective or Regression(), folder / "r.state", workers, validate
    )


@pytest.fixture
def every_step(monkeypatch):
    """A state after every step."""
    monkeypatch.setattr(engine, "SAVE_SECONDS", 0.0)


def weights(run):
    return [p.detach().clone() for p in run.objective.module.parameters()]


def test_a_stage_runs_its_steps_and_learns(tmp_path, accelerator, listen):
    run = stage_run(tmp_path, recipe=replace(RECIPE, steps=60))
    listener = listen()
    clock = run.run(accelerator, listener)
    assert clock is not None and clock.step == 60 and clock.seconds > 0
    done = [p[1] for p in listener.progressed]
    assert done == pytest.approx([(i + 1) / 60 for i in range(60)])
    assert listener.progressed[-1][2] < listener.progressed[0][2] / 2
    assert all(stage == "router" and rate > 0 and left >= 0 for stage, _, _, rate, left in listener.progressed)


@pytest.mark.parametrize("workers", [0, 1])
def test_a_step_gets_its_own_samples_in_order(tmp_path, accelerator, listen, workers):
    run = stage_run(tmp_path, workers=workers)
    run.run(accelerator, listen())
    expected = torch.stack([Numbers()[i].views for i in range(2 * RECIPE.steps)])
    assert torch.equal(torch.cat(run.objective.seen), expected)


def test_a_killed_and_resumed_stage_ends_bit_identical(tmp_path, accelerator, listen, every_step):
    whole = stage_run(tmp_path / "whole")
    (tmp_path / "whole").mkdir()
    whole.run(accelerator, listen())

    def kill():
        raise Killed

    for at in (3, 2):  # twice, at different steps
        with pytest.raises(Killed):
            stage_run(tmp_path).run(accelerator, listen(at=at, do=kill))
    torch.manual_seed(99)
    resumed, listener = stage_run(tmp_path), listen()
    clock = resumed.run(accelerator, listener)
    assert any("resumed at step 3" in line for line in listener.lines) and len(listener.progressed) == 3
    assert clock is not None and clock.step == RECIPE.steps
    assert all(torch.equal(a, b) for a, b in zip(weights(whole), weights(resumed), strict=True))


def test_a_finished_stage_resumes_to_its_end(tmp_path, accelerator, listen):
    run = stage_run(tmp_path)
    run.run(accelerator, listen())
    again, listener = stage_run(tmp_path), listen()
    clock = again.run(accelerator, listener)
    assert clock is not None and clock.step == RECIPE.steps and not listener.progressed
    assert all(torch.equal(a, b) for a, b in zip(weights(run), weights(again), strict=True))


@pytest.mark.parametrize("at", [2, RECIPE.steps])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_stops_after_the_step_with_the_state_saved(tmp_path, accelerator, listen, number, at):
    before = signal.getsignal(number)
    listener = listen(at=at, do=lambda: os.kill(os.getpid(), number))
    assert stage_run(tmp_path).run(accelerator, listener) is None, "the next stage would begin"
    assert len(listener.progressed) == at and f"stopped at step {at}, state saved" in listener.lines[-1]
    assert signal.getsignal(number) is before
    resumed = stage_run(tmp_path)
    assert resumed.run(accelerator, listen()) is not None
    assert len(resumed.objective.seen) == RECIPE.steps - at


def test_a_second_ctrl_c_does_not_wait(tmp_path, accelerator, listen):
    def twice():
        os.kill(os.getpid(), signal.SIGINT)
        os.kill(os.getpid(), signal.SIGINT)

    with pytest.raises(KeyboardInterrupt):
        stage_run(tmp_path).run(accelerator, listen(at=1, do=twice))


def spoiled_loss(step, loss):
    return loss * math.nan if step == 4 else loss


def spoiled_gradient(step, loss):
    # The square root is finite at 0, its slope is not.
    return loss + (loss - loss.detach()).abs().sqrt() if step == 4 else loss


@pytest.mark.parametrize("spoil", [spoiled_loss, spoiled_gradient])
@pytest.mark.parametrize("clip", [0.0, 1.0])
def test_what_is_not_finite_stops_the_run_and_spoils_nothing(tmp_path, accelerator, listen, every_step, spoil, clip):
    recipe = replace(RECIPE, clip=clip)
    run = stage_run(tmp_path, Regression(spoil), recipe=recipe)
    with pytest.raises(TrainingError, match="at step 3") as caught:
        run.run(accelerator, listen())
    assert "\n" not in str(caught.value) and "learning rate" in (caught.value.hint or "")
    state = torch.load(run.state_file, weights_only=True)
    assert state["step"] == 3 and all(p.isfinite().all() for p in state["module"].values())
    assert all(torch.equal(a, b) for a, b in zip(weights(run), state["module"].values(), strict=True))
    resumed = stage_run(tmp_path, recipe=recipe)
    assert resumed.run(accelerator, listen()) is not None


@pytest.mark.parametrize("workers", [0, 1])
def test_a_photo_that_breaks_is_one_line_and_the_state_stays(tmp_path, accelerator, listen, clean, workers):
    folder = tmp_path / "photos"
    folder.mkdir()
    for path in clean.paths:
        (folder / path.name).write_bytes(path.read_bytes())
    broken = folder / "1.png"
    broken.write_bytes(broken.read_bytes()[:200])
    sampling = Sampling(photo_sides=(36, 48), patch=32, patches=1, local_views=1)
    pairs = SyntheticPairs(CleanPhotos.find([folder]), get_setting("3task"), sampling, 4, seed=5)
    first = next(i for i in range(100) if isinstance(attempt(pairs, i), TrainingError)) // RECIPE.photos
    assert first > 0, "choose a seed where the first batch is fine"
    run = stage_run(tmp_path, pairs=pairs, workers=workers, recipe=replace(RECIPE, steps=first))
    run.run(accelerator, listen())
    before = run.state_file.read_bytes()
    with pytest.raises(TrainingError) as caught:
        stage_run(tmp_path, pairs=pairs, workers=workers, recipe=replace(RECIPE, steps=100)).run(accelerator, listen())
    assert str(broken) in caught.value.message and "\n" not in str(caught.value) and caught.value.hint
    assert run.state_file.read_bytes() == before


def attempt(pairs, index):
    try:
        return pairs[index]
    except TrainingError as error:
        return error


def test_a_dead_worker_is_one_line(tmp_path, accelerator, listen):
    with pytest.raises(TrainingError, match="worker died") as caught:
        stage_run(tmp_path, pairs=Dies(), workers=1).run(accelerator, listen())
    assert "\n" not in str(caught.value)


def test_a_dying_worker_cannot_interrupt_a_step(tmp_path, accelerator, listen):
    handlers = []
    look = listen(at=1, do=lambda: handlers.append(signal.getsignal(signal.SIGCHLD)))
    stage_run(tmp_path, workers=1).run(accelerator, look)
    # Torch's own handler raises wherever the process happens to be, in the middle of a weight update for one.
    assert len(handlers) == 1 and not callable(handlers[0])


def test_no_memory_is_one_line_and_the_state_stays(tmp_path, accelerator, listen, every_step):
    def greedy(step, loss):
        return loss if step < 3 else loss + torch.empty(2**60).sum()

    run = stage_run(tmp_path, Regression(greedy))
    with pytest.raises(TrainingError, match="router: the device is out of memory at 2 photos a step") as caught:
        run.run(accelerator, listen())
    assert "\n" not in str(caught.value) and torch.load(run.state_file, weights_only=True)["step"] == 2


def test_other_errors_of_torch_stay_what_they_are(tmp_path, accelerator, listen):
    def wrong(step, loss):
        return loss + torch.ones(2) @ torch.ones(3)

    with pytest.raises(RuntimeError, match="size"):
        stage_run(tmp_path, Regression(wrong)).run(accelerator, listen())


def test_a_state_that_memory_is_lacking_for_is_not_called_damaged(tmp_path, accelerator, listen, monkeypatch):
    stage_run(tmp_path).run(accelerator, listen())
    monkeypatch.setattr(torch, "load", lambda *args, **kwargs: torch.empty(2**60))
    with pytest.raises(TrainingError, match="out of memory") as caught:
        stage_run(tmp_path).run(accelerator, listen())
    assert "delete" not in str(caught.value)


def test_a_full_disk_is_one_line_and_the_state_stays(tmp_path, accelerator, listen, every_step, monkeypatch):
    def full(descriptor):
        raise OSError(errno.ENOSPC, "No space left on device")

    run = stage_run(tmp_path)
    with pytest.raises(TrainingError, match="No space left on device"):
        run.run(accelerator, listen(at=3, do=lambda: monkeypatch.setattr(files.os, "fsync", full)))
    monkeypatch.undo()
    assert torch.load(run.state_file, weights_only=True)["step"] == 2
    assert [path.name for path in tmp_path.iterdir()] == ["r.state"]


def test_minutes_end_a_stage_in_time(tmp_path, accelerator, listen):
    listener = listen()
    run = stage_run(tmp_path, minutes=0.3 / 60, recipe=replace(RECIPE, steps=1))
    clock = run.run(accelerator, listener)
    assert clock is not None and 0.3 <= clock.seconds < 3 and clock.step > 3
    done = [p[1] for p in listener.progressed]
    assert done == sorted(done) and done[-1] == 1 and all(share < 1 for share in done[:-1])


def test_time_spent_before_a_stop_counts(tmp_path, accelerator, listen):
    stop = listen(at=1, do=lambda: os.kill(os.getpid(), signal.SIGTERM))
    stage_run(tmp_path, minutes=60.0).run(accelerator, stop)
    state = torch.load(tmp_path / "r.state", weights_only=True)
    torch.save(state | {"seconds": 3599.9}, tmp_path / "r.state")
    clock = stage_run(tmp_path, minutes=60.0).run(accelerator, listen())
    assert clock is not None and 3600 <= clock.seconds < 3605


def test_validation_comes_round(tmp_path, accelerator, listen, monkeypatch):
    calls = []
    monkeypatch.setattr(engine, "VALIDATE_SECONDS", 0.0)
    stage_run(tmp_path, validate=lambda clock: calls.append(clock.step)).run(accelerator, listen())
    assert calls == list(range(1, RECIPE.steps))  # the end of a stage is validated by whoever runs it


def test_the_learning_rate_reaches_the_optimizer(tmp_path, accelerator, listen):
    stage_run(tmp_path).run(accelerator, listen())
    group = torch.load(tmp_path / "r.state", weights_only=True)["optimizer"]["param_groups"][0]
    last = RECIPE.final_learning_rate + 0.009 * (1 + math.cos(math.pi * 5 / 6)) / 2
    assert group["lr"] == pytest.approx(last)


def test_passes_add_up_to_the_step(tmp_path, accelerator, listen):
    runs = []
    for parts in (1, 2):
        (tmp_path / str(parts)).mkdir()
        runs.append(stage_run(tmp_path / str(parts), recipe=replace(RECIPE, photos=4, accumulate=parts)))
        runs[-1].run(accelerator, listen())
    assert [len(views) for views in runs[1].objective.seen] == [2] * 12
    assert all(torch.allclose(a, b, atol=1e-6) for a, b in zip(*map(weights, runs), strict=True))


def test_photos_that_cannot_be_shared_evenly_are_refused(tmp_path, accelerator, listen):
    with pytest.raises(UsageError, match="3 photos a step") as caught:
        stage_run(tmp_path, recipe=replace(RECIPE, photos=3, accumulate=2)).run(accelerator, listen())
    assert "--set router.photos" in (caught.value.hint or "")


def test_the_average_is_what_a_stage_ends_with_and_survives_a_kill(tmp_path, accelerator, listen, every_step):
    recipe = replace(RECIPE, ema=0.5)
    (tmp_path / "whole").mkdir()
    whole, plain = stage_run(tmp_path / "whole", recipe=recipe), stage_run(tmp_path / "whole")
    whole.run(accelerator, listen())
    state = torch.load(whole.state_file, weights_only=True)
    assert torch.equal(weights(whole)[0], state["average"]["weight"])
    assert not torch.equal(weights(whole)[0], state["module"]["weight"])
    whole.state_file.unlink()
    plain.run(accelerator, listen())
    assert torch.equal(weights(plain)[0], state["module"]["weight"]), "the average changes no step"

    def kill():
        raise Killed

    with pytest.raises(Killed):
        stage_run(tmp_path, recipe=recipe).run(accelerator, listen(at=4, do=kill))
    resumed = stage_run(tmp_path, recipe=recipe)
    resumed.run(accelerator, listen())
    assert all(torch.equal(a, b) for a, b in zip(weights(whole), weights(resumed), strict=True))


def test_validation_sees_the_average(tmp_path, accelerator, listen, every_step, monkeypatch):
    monkeypatch.setattr(engine, "VALIDATE_SECONDS", 0.0)
    run, seen = stage_run(tmp_path, recipe=replace(RECIPE, ema=0.9, steps=4)), []

    def look(clock):
        state = torch.load(run.state_file, weights_only=True)  # saved after the same step
        assert state["step"] == clock.step and not torch.equal(state["average"]["weight"], state["module"]["weight"])
        seen.append(torch.equal(run.objective.module.weight, state["average"]["weight"]))

    object.__setattr__(run, "validate", look)
    run.run(accelerator, listen())
    assert seen == [True] * 3


def test_float16_skips_a_step_that_overflowed_and_learns_on(tmp_path, accelerator, listen, monkeypatch):
    # On a CPU, where Accelerate would refuse it: the scaler's logic is the same.
    scales = []

    def half(device, precision, parts):
        made = Arithmetic(device, "fp16", parts)
        scales.append(made.scaler)
        return made

    monkeypatch.setattr(engine, "Arithmetic", half)
    run = stage_run(tmp_path, Regression(spoiled_gradient), recipe=replace(RECIPE, steps=60))
    listener = listen()
    clock = run.run(accelerator, listener)
    assert clock is not None and clock.step == 60 and scales[0].get_scale() < 2**16
    assert listener.progressed[-1][2] < listener.progressed[0][2] / 2
    assert torch.load(run.state_file, weights_only=True)["scaler"]["scale"] == scales[0].get_scale()


def test_torch_compile_is_asked_when_the_recipe_says_so(tmp_path, accelerator, listen, monkeypatch):
    asked = []
    monkeypatch.setattr(engine.torch, "compile", lambda module: asked.append(module) or module)
    run = stage_run(tmp_path, recipe=replace(RECIPE, compile=True))
    run.run(accelerator, listen())
    assert asked == [run.objective.module]
