import json
import os
import shutil
import signal
import sys
from dataclasses import replace

import pytest
import torch
from accelerate import Accelerator
from accelerate.state import AcceleratorState

from lorair_cli.errors import TrainingError, UsageError, WeightsError
from lorair_cli.model.experts import EXPERT_TENSORS
from lorair_cli.settings import get_setting
from lorair_cli.training import engine
from lorair_cli.training import run as run_module
from lorair_cli.training.engine import StageRun
from lorair_cli.training.folder import RunFolder
from lorair_cli.training.objectives import RouterObjective
from lorair_cli.training.recipe import STAGES
from lorair_cli.training.run import TrainingRun
from lorair_cli.training.validation import Validation
from lorair_cli.weights.checkpoint import load_checkpoint, read_info, save_checkpoint
from lorair_cli.weights.combine import experts_alone

SETTING = get_setting("3task")


class Killed(BaseException):
    """In place of a kill: nothing catches it."""


def kill():
    raise Killed


def training(folder, recipe, clean, **changes):
    run = TrainingRun(
        setting=SETTING,
        recipe=recipe,
        clean=clean,
        valid=None,
        folder=folder,
        minutes=None,
        data_note="three crops, CC0",
        command="lorair train --clean clean",
        workers=0,
        licence="CC0-1.0",
    )
    return replace(run, **changes)


@pytest.fixture(scope="module")
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


def test_a_finished_run_has_nothing_to_do(whole, recipe, clean, accelerator, listen):
    before = {path.name: path.stat().st_mtime_ns for path in whole.glob("*.safetensors")}
    listener = listen()
    assert training(whole, recipe, clean).run(STAGES, accelerator, listener) == whole / "finetune.safetensors"
    assert [line for line in listener.lines if "is there already" in line] == listener.lines
    assert {path.name: path.stat().st_mtime_ns for path in whole.glob("*.safetensors")} == before


def equal(one, other):
    return all(
        mine.keys() == theirs.keys() and all(torch.equal(v, theirs[k]) for k, v in mine.items())
        for mine, theirs in ((one.network, other.network), (one.router, other.router))
    )


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


def test_a_run_can_start_from_landed_weights(tmp_path, whole, recipe, clean, accelerator, listen):
    start = whole / "finetune.safetensors"
    listener = listen()
    run = training(tmp_path, recipe, clean, start_from=start)
    assert run.run(["finetune"], accelerator, listener) == tmp_path / "finetune.safetensors"
    assert any("tensors come from the checkpoint to start from" in line for line in listener.lines)
    stages = read_info(tmp_path / "finetune.safetensors").provenance["stages"]
    assert [s["stage"] for s in stages] == [*STAGES, "finetune"]
    assert stages[-1]["start_from"] == "finetune.safetensors" and stages[0]["start_from"] is None
    with pytest.raises(TrainingError, match="start_from"):
        training(tmp_path, recipe, clean).run(["finetune"], accelerator, listener)


def test_a_start_that_is_no_network_leaves_the_folder_to_another_try(
    tmp_path, whole, recipe, clean, accelerator, listen
):
    start = load_checkpoint(whole / "finetune.safetensors")
    own, folder = tmp_path / "own.safetensors", tmp_path / "run"
    save_checkpoint(own, experts_alone(start, start, ("rain",), SETTING))
    for name, message in ((own, "experts alone"), (tmp_path / "none.safetensors", "no such file")):
        with pytest.raises(WeightsError, match=message):
            training(folder, recipe, clean, start_from=name).run(["finetune"], accelerator, listen())
    run = training(folder, recipe, clean, start_from=whole / "finetune.safetensors")
    assert run.run(["finetune"], accelerator, listen()) == folder / "finetune.safetensors"


def test_a_run_takes_its_share_of_weights_that_know_more(tmp_path, recipe, clean, accelerator, listen, checkpoint_of):
    wide, listener = checkpoint_of("10task"), listen()
    recipe = replace(
        recipe, network=replace(wide.info.network, experts=0), encoder=wide.info.router.encoder, view_mode="native"
    )
    save_checkpoint(tmp_path / "wide.safetensors", wide)
    run = training(tmp_path / "run", recipe, clean, start_from=tmp_path / "wide.safetensors")
    run.run(["finetune"], accelerator, listener)
    experts = sum(name.endswith(EXPERT_TENSORS) for name in wide.network)
    assert any(line.startswith(f"finetune: {experts} of ") for line in listener.lines)
    head = load_checkpoint(tmp_path / "run" / "finetune.safetensors").router["head.weight"]
    rows = [wide.info.degradations.index(name) for name in get_setting("3task").degradations]
    assert torch.equal(head, wide.router["head.weight"][rows])


def test_a_router_trained_further_can_keep_its_prior(tmp_path, whole, recipe, clean, accelerator, listen):
    before = load_checkpoint(whole / "finetune.safetensors").build_router()
    views = torch.rand(8, 3, 3, recipe.encoder.view, recipe.encoder.view, generator=torch.Generator().manual_seed(0))

    def strayed(keeps_prior):
        folder = tmp_path / str(keeps_prior)
        kept = replace(recipe, keeps_prior=keeps_prior, router=replace(recipe.router, steps=20, learning_rate=5e-3))
        run = training(folder, kept, clean, start_from=whole / "finetune.safetensors")
        run.run(["router"], accelerator, listen())
        after = load_checkpoint(folder / "router.safetensors").build_router()
        with torch.no_grad():
            return float((after(views)[0] - before(views)[0]).square().mean())

    assert strayed(100.0) < strayed(0.0)
    with pytest.raises(TrainingError, match="keeps_prior needs a router"):
        training(tmp_path / "new", replace(recipe, keeps_prior=1.0), clean).run(["router"], accelerator, listen())


def test_more_experts_than_degradations_is_the_users_error(tmp_path, recipe, clean, accelerator, listen):
    with pytest.raises(UsageError, match="top_k 4"):
        training(tmp_path, replace(recipe, top_k=4), clean).run(STAGES, accelerator, listen())
    assert not list(tmp_path.iterdir())


def test_only_the_experts_named_learn(tmp_path, whole, recipe, clean, accelerator, listen):
    start = whole / "finetune.safetensors"
    before = load_checkpoint(start)
    expert_b = next(tensor for name, tensor in before.network.items() if name.endswith("expert_b"))
    met = [bool(tensor.any()) for tensor in expert_b]  # they start at zero: those that the little router sent photos to
    assert any(met) and not all(met)
    for label, name in ((met.index(True), "met"), (met.index(False), "never met")):
        folder = tmp_path / name
        folder.mkdir()
        shutil.copy(whole / "router.safetensors", folder)
        only = (SETTING.degradations[label],)
        named = replace(recipe, finetune=replace(recipe.finetune, only=only, weight_decay=0.0))
        listener = listen()
        path = training(folder, named, clean, start_from=start).run(["finetune"], accelerator, listener)
        changed = {
            (key, i)
            for key, tensor in load_checkpoint(path).network.items()
            for i in range(len(tensor))
            if not torch.equal(tensor[i], before.network[key][i])
        }
        assert bool(changed) == met[label], name
        assert all(key.endswith(EXPERT_TENSORS) and i == label for key, i in changed)
        assert len(listener.progressed) == recipe.finetune.steps, "a step without a photo for it is a step all the same"
    with pytest.raises(UsageError, match=r"finetune\.only: setting 3task has no snow"):
        other = replace(recipe, finetune=replace(recipe.finetune, only=("snow",)))
        training(tmp_path / "other", other, clean).run(["finetune"], accelerator, listen())


@pytest.mark.parametrize(("name", "label"), [("noise", 2), ("snow", None), ("", None)])
def test_untouched_photos_lean_to_what_the_setting_has(
    tmp_path, recipe, clean, accelerator, listen, monkeypatch, name, label
):
    asked = []
    monkeypatch.setattr(run_module, "RouterObjective", lambda *args: asked.append(args[-1]) or RouterObjective(*args))
    training(tmp_path, replace(recipe, untouched_as=name), clean).run(["router"], accelerator, listen())
    assert asked == [label]


def test_a_head_trained_alone_gives_a_router_with_the_same_prior(tmp_path, whole, recipe, clean, accelerator, listen):
    start = whole / "finetune.safetensors"
    head = replace(recipe, router=replace(recipe.router, trains="head"), untouched_as="noise")
    path = training(tmp_path, head, clean, start_from=start).run(["router"], accelerator, listen())
    before, after = (load_checkpoint(p).router for p in (start, path))
    assert {k for k in after if not torch.equal(after[k], before[k])} == {"head.weight", "head.bias"}


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such locks")
def test_a_run_keeps_others_out_of_its_folder_until_it_ends(tmp_path, recipe, clean, accelerator, listen):
    run, said = training(tmp_path, recipe, clean), []

    def another():
        with pytest.raises(TrainingError) as caught:
            run.run(["router"], accelerator, listen())
        said.append(caught.value.message)
        raise Killed

    with pytest.raises(Killed):
        run.run(["router"], accelerator, listen(at=2, do=another))
    assert said == [f"{tmp_path}: another run is working here"]
    assert run.run(["router"], accelerator, listen()) is not None


def test_a_refused_run_does_not_keep_its_folder(tmp_path, recipe, clean, accelerator, listen):
    with pytest.raises(TrainingError, match="finetune needs a router"):
        training(tmp_path, recipe, clean).run(["finetune"], accelerator, listen())
    other = training(tmp_path, recipe, clean, setting=get_setting("5task"))
    assert other.run(["router"], accelerator, listen()) is not None
    with pytest.raises(TrainingError, match="setting 5task, not 3task"):
        training(tmp_path, recipe, clean).run(["router"], accelerator, listen())


def test_only_data_that_a_step_was_taken_from_is_said_to_be_learnt_from(
    tmp_path, recipe, clean, accelerator, listen, monkeypatch
):
    monkeypatch.setattr(engine, "SAVE_SECONDS", 1000.0)
    a, b, c = (training(tmp_path, recipe, replace(clean, paths=clean.paths[:n])) for n in (1, 2, 3))
    folder = RunFolder(tmp_path)

    def lines(listener):
        return [one for one in listener.lines if one.startswith("this run has learnt from other data before")]

    with pytest.raises(Killed):  # before anything was saved
        a.run(["router"], accelerator, listen(at=2, do=kill))
    assert folder.shown() == []
    b.run(["router"], accelerator, listen())
    (seen,) = folder.shown()
    assert seen.startswith("photos: 2 files")
    finished = listen()
    c.run(["router"], accelerator, finished)
    assert not lines(finished)
    assert folder.shown() == [seen]
    goes_on = listen()
    c.run(["pretrain"], accelerator, goes_on)
    (line,) = lines(goes_on)
    assert seen in line
    told = read_info(tmp_path / "pretrain.safetensors").provenance["stages"][-1]["shown"]
    assert told == folder.shown() and len(told) == 2
    # Nothing is left to do of a stage but to write its result.
    monkeypatch.setattr(run_module, "save_checkpoint", lambda *args: kill())
    with pytest.raises(Killed):
        c.run(["finetune"], accelerator, listen())
    monkeypatch.undo()
    late = listen()
    a.run(["finetune"], accelerator, late)
    assert folder.shown() == told and not late.progressed


def test_the_best_checkpoint_says_all_it_has_learnt_from(tmp_path, recipe, clean, accelerator, listen, monkeypatch):
    valid = replace(clean, paths=clean.paths[:1])
    for count, saved, validated in ((1, 0.0, 1000.0), (2, 1000.0, 0.0)):
        monkeypatch.setattr(engine, "SAVE_SECONDS", saved)
        monkeypatch.setattr(engine, "VALIDATE_SECONDS", validated)
        run = training(tmp_path, recipe, replace(clean, paths=clean.paths[:count]), valid=valid)
        with pytest.raises(Killed):
            run.run(["router"], accelerator, listen(at=2, do=kill))
    told = read_info(tmp_path / "router-best.safetensors").provenance["stages"][-1]
    assert told["steps"] == 2 and len(told["shown"]) == 2


def test_every_stage_and_every_seed_has_samples_of_its_own(tmp_path, recipe, clean):
    recipe = replace(recipe, router=replace(recipe.router, sampling=recipe.finetune.sampling))  # nothing else differs
    streams = set()
    for seed in range(3):
        run = training(tmp_path, replace(recipe, seed=seed), clean)
        streams |= {tuple(float(run._pairs(stage)[i].strength) for i in range(4)) for stage in STAGES}
    assert len(streams) == 9


def test_a_result_of_another_setting_is_refused(tmp_path, whole, recipe, clean, accelerator, listen):
    shutil.copy(whole / "router.safetensors", tmp_path)
    run = training(tmp_path, recipe, clean, setting=get_setting("5task"))
    with pytest.raises(TrainingError, match="5task"):
        run.run(["pretrain"], accelerator, listen())
