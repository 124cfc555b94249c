"""What a run makes, whatever interrupts it."""

import json
import os
import shutil
import signal
import sys
from dataclasses import replace

import pytest
import torch
from runs import SETTING, Killed, equal, kill, training

from lorair_cli.errors import TrainingError, UsageError
from lorair_cli.training import engine
from lorair_cli.training import run as run_module
from lorair_cli.training.engine import StageRun
from lorair_cli.training.objectives import RouterObjective
from lorair_cli.training.recipe import STAGES
from lorair_cli.training.validation import Validation
from lorair_cli.weights.checkpoint import load_checkpoint, read_info


def test_a_run_leaves_a_checkpoint_per_stage_and_no_states(whole):
    names = sorted(path.name for path in whole.iterdir())
    results = ["finetune.safetensors", "pretrain.safetensors", "router.safetensors"]
    best = ["finetune-best.safetensors", "pretrain-best.safetensors", "router-best.safetensors"]
    assert names == sorted([*results, *best, "curves", "samples", "log.txt", "recipe.toml", "run.json"])
    assert [path.name for path in sorted((whole / "samples").iterdir())] == [
        "finetune-0000005.png",
        "pretrain-0000005.png",
    ]


def test_curves_hold_losses_and_scores(whole):
    from tensorboard.backend.event_processing.event_accumulator import EventAccumulator

    curves = EventAccumulator(str(whole / "curves"))
    curves.Reload()
    tags = set(curves.Tags()["scalars"])
    assert {"router/loss", "router recognised/rain", "finetune psnr/noise", "finetune ssim/untouched"} <= tags
    assert [point.step for point in curves.Scalars("finetune psnr/noise")] == [5]


def test_without_tensorboard_a_run_goes_on_and_says_so(tmp_path, recipe, clean, accelerator, listen, monkeypatch):
    monkeypatch.setitem(sys.modules, "torch.utils.tensorboard", None)
    listener = listen()
    assert training(tmp_path, recipe, clean).run(["router"], accelerator, listener) is not None
    assert sum("lorair[curves]" in line for line in listener.lines) == 1 and not (tmp_path / "curves").exists()


def test_the_best_checkpoint_is_kept(tmp_path, whole, recipe, clean, accelerator, listen, monkeypatch):
    monkeypatch.setattr(engine, "VALIDATE_SECONDS", 0.0)
    scores = iter([0.2, 0.9, 0.3, 0.9, 0.1])
    monkeypatch.setattr(run_module, "mean_score", lambda found: current[0])
    current, original = [0.0], Validation.score

    def score(self, *how):
        current[0] = next(scores)
        return original(self, *how)

    monkeypatch.setattr(Validation, "score", score)
    training(tmp_path, recipe, clean, valid=replace(clean, paths=clean.paths[:1])).run(
        ["router"], accelerator, listen()
    )
    last = read_info(tmp_path / "router-best.safetensors").provenance["stages"][-1]
    assert last["score"] == 0.9 and last["steps"] == 2, "the first of the best"
    load_checkpoint(tmp_path / "router-best.safetensors").build_router()


def test_the_results_build_a_router_and_a_network_that_restore(whole):
    checkpoint = load_checkpoint(whole / "finetune.safetensors")
    network, router = checkpoint.build_network(), checkpoint.build_router()
    assert network.config.experts == 3 and router.config.classes == 3
    with torch.no_grad():
        prior, logits = router(torch.rand(1, 3, 3, 32, 32))
        restored = network(torch.rand(1, 3, 40, 24), prior, logits.softmax(-1))
    assert restored.shape == (1, 3, 40, 24) and restored.isfinite().all()
    assert load_checkpoint(whole / "pretrain.safetensors").build_network().config.experts == 0
    assert load_checkpoint(whole / "router.safetensors").network == {}


def test_every_stage_starts_where_the_last_ended_and_learns(whole):
    router, pretrain, finetune = (load_checkpoint(whole / f"{stage}.safetensors") for stage in STAGES)
    for later in (pretrain, finetune):
        assert all(torch.equal(v, later.router[k]) for k, v in router.router.items())
    assert all(torch.equal(v, finetune.network[k]) for k, v in pretrain.network.items())
    moved = [k for k, v in finetune.network.items() if k.endswith("expert_b") and (v != 0).any()]
    assert len(moved) > len(finetune.network) / 10


def test_the_metadata_tells_where_the_weights_come_from(whole, recipe):
    info = read_info(whole / "finetune.safetensors")
    assert (info.setting, info.scale, info.licence) == ("3task", "compact", "CC0-1.0")
    assert info.degradations == SETTING.degradations
    assert info.provenance["data"] == "three crops, CC0"
    assert info.provenance["command"] == "lorair train --clean clean"
    stages = info.provenance["stages"]
    assert [s["stage"] for s in stages] == list(STAGES)
    for s in stages:
        assert s["steps"] == 5 and s["photos_per_step"] == 3 and s["minutes"] >= 0 and s["precision"] == "no"
        assert set(s["validation"]) == {*SETTING.degradations, "untouched"}
        scores = s["validation"]["rain"]
        assert 5 < scores["psnr_before"] < 50 and 0 <= scores["recognised"] <= 1
        assert (scores["psnr_after"] is None) == (s["stage"] == "router")
    assert str(whole) not in json.dumps(info.provenance)


def test_the_log_tells_the_story(whole):
    log = (whole / "log.txt").read_text()
    for stage in STAGES:
        assert f"{stage}: wrote {stage}.safetensors" in log
    assert log.count("degradation ") == 3, "one validation table per stage"


@pytest.mark.parametrize("stage", STAGES)
def test_a_killed_and_resumed_stage_gives_bit_identical_weights(
    tmp_path, whole, recipe, clean, accelerator, listen, monkeypatch, stage
):
    monkeypatch.setattr(engine, "SAVE_SECONDS", 0.0)
    for before in STAGES[: STAGES.index(stage)]:
        shutil.copy(whole / f"{before}.safetensors", tmp_path)
    run = training(tmp_path, recipe, clean)
    with pytest.raises(Killed):
        run.run([stage], accelerator, listen(at=3, do=kill))
    assert not (tmp_path / f"{stage}.safetensors").exists()
    torch.manual_seed(1234)
    listener = listen()
    result = run.run([stage], accelerator, listener)
    assert any(f"{stage}: resumed at step 2" in line for line in listener.lines)
    assert len(listener.progressed) == 3
    assert result is not None and equal(load_checkpoint(result), load_checkpoint(whole / f"{stage}.safetensors"))


@pytest.mark.parametrize("stage", STAGES)
def test_validation_on_the_way_changes_no_weights(
    tmp_path, whole, recipe, clean, accelerator, listen, monkeypatch, stage
):
    monkeypatch.setattr(engine, "VALIDATE_SECONDS", 0.0)
    for before in STAGES[: STAGES.index(stage)]:
        shutil.copy(whole / f"{before}.safetensors", tmp_path)
    valid, listener = replace(clean, paths=clean.paths[:1]), listen()
    training(tmp_path, recipe, clean, valid=valid).run([stage], accelerator, listener)
    assert sum(line.startswith("degradation") for line in listener.lines) == 5
    assert equal(*(load_checkpoint(folder / f"{stage}.safetensors") for folder in (tmp_path, whole)))


def test_no_memory_for_the_last_validation_is_one_line(tmp_path, recipe, clean, accelerator, listen, monkeypatch):
    run = training(tmp_path, recipe, clean, valid=replace(clean, paths=clean.paths[:1]))
    monkeypatch.setattr(Validation, "score", lambda *how: torch.empty(2**60))
    with pytest.raises(TrainingError, match="router: the device is out of memory in validation") as caught:
        run.run(["router"], accelerator, listen())
    assert "\n" not in str(caught.value) and (tmp_path / "router.state").is_file()
    monkeypatch.undo()
    assert run.run(["router"], accelerator, listen()) == tmp_path / "router.safetensors"


def test_sigterm_ends_the_call_and_the_next_call_goes_on(tmp_path, whole, recipe, clean, accelerator, listen):
    run = training(tmp_path, recipe, clean)
    stop = listen(at=7, do=lambda: os.kill(os.getpid(), signal.SIGTERM))  # the second step of the second stage
    assert run.run(STAGES, accelerator, stop) is None
    assert (tmp_path / "router.safetensors").is_file() and (tmp_path / "pretrain.state").is_file()
    assert run.run(STAGES, accelerator, listen()) == tmp_path / "finetune.safetensors"
    assert equal(*(load_checkpoint(folder / "finetune.safetensors") for folder in (tmp_path, whole)))


@pytest.mark.parametrize(
    ("stages", "expected"),
    [(STAGES, [3.0, 18.0, 9.0]), (("pretrain",), [30.0]), (("router", "finetune"), [7.5, 22.5])],
)
def test_minutes_are_shared_among_the_chosen_stages(
    tmp_path, whole, recipe, clean, accelerator, listen, monkeypatch, stages, expected
):
    for stage in STAGES:
        if stage not in stages:
            shutil.copy(whole / f"{stage}.safetensors", tmp_path)
    given, original = [], StageRun.run

    def run(self, *arguments):
        given.append(self.minutes)
        return original(replace(self, minutes=None), *arguments)

    monkeypatch.setattr(StageRun, "run", run)
    training(tmp_path, recipe, clean, minutes=30.0).run(stages, accelerator, listen())
    assert given == pytest.approx(expected)


def test_a_stage_that_is_there_keeps_its_share(tmp_path, whole, recipe, clean, accelerator, listen, monkeypatch):
    shutil.copy(whole / "router.safetensors", tmp_path)
    given = []
    monkeypatch.setattr(StageRun, "run", lambda self, *arguments: given.append(self.minutes))
    training(tmp_path, recipe, clean, minutes=30.0).run(STAGES, accelerator, listen())
    assert given == pytest.approx([18.0])


def test_more_experts_than_degradations_is_the_users_error(tmp_path, recipe, clean, accelerator, listen):
    with pytest.raises(UsageError, match="top_k 4"):
        training(tmp_path, replace(recipe, top_k=4), clean).run(STAGES, accelerator, listen())
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize(("name", "label"), [("noise", 2), ("snow", None), ("", None)])
def test_untouched_photos_lean_to_what_the_setting_has(
    tmp_path, recipe, clean, accelerator, listen, monkeypatch, name, label
):
    asked = []
    monkeypatch.setattr(run_module, "RouterObjective", lambda *args: asked.append(args[-1]) or RouterObjective(*args))
    training(tmp_path, replace(recipe, untouched_as=name), clean).run(["router"], accelerator, listen())
    assert asked == [label]


def test_every_stage_and_every_seed_has_samples_of_its_own(tmp_path, recipe, clean):
    recipe = replace(recipe, router=replace(recipe.router, sampling=recipe.finetune.sampling))  # nothing else differs
    streams = set()
    for seed in range(3):
        run = training(tmp_path, replace(recipe, seed=seed), clean)
        streams |= {tuple(float(run._pairs(stage)[i].strength) for i in range(4)) for stage in STAGES}
    assert len(streams) == 9
