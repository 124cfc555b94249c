"""Whose a folder is, and what it remembers of the runs in it."""

import os
import shutil
from dataclasses import replace

import pytest
from runs import Killed, kill, training

from lorair_cli.errors import TrainingError
from lorair_cli.settings import get_setting
from lorair_cli.training import engine
from lorair_cli.training import run as run_module
from lorair_cli.training.folder import RunFolder
from lorair_cli.training.recipe import STAGES
from lorair_cli.weights.checkpoint import read_info


def test_a_finished_run_has_nothing_to_do(whole, recipe, clean, accelerator, listen):
    before = {path.name: path.stat().st_mtime_ns for path in whole.glob("*.safetensors")}
    listener = listen()
    assert training(whole, recipe, clean).run(STAGES, accelerator, listener) == whole / "finetune.safetensors"
    assert [line for line in listener.lines if "is there already" in line] == listener.lines
    assert {path.name: path.stat().st_mtime_ns for path in whole.glob("*.safetensors")} == before


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


def test_a_result_of_another_setting_is_refused(tmp_path, whole, recipe, clean, accelerator, listen):
    shutil.copy(whole / "router.safetensors", tmp_path)
    run = training(tmp_path, recipe, clean, setting=get_setting("5task"))
    with pytest.raises(TrainingError, match="5task"):
        run.run(["pretrain"], accelerator, listen())
