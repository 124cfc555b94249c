import errno
import json
import os
import re
import signal
import subprocess
import sys
from dataclasses import replace

import pytest

from lorair_cli import lock
from lorair_cli.errors import TrainingError
from lorair_cli.training import folder as module
from lorair_cli.training.folder import LogFile, RunFolder
from lorair_cli.training.recipe_file import as_toml, read_recipe


@pytest.fixture
def held(tmp_path, recipe):
    folder = RunFolder(tmp_path / "runs" / "a")
    folder.claim(recipe, "3task", None)
    folder.state("router").write_bytes(b"kept")
    return folder


def test_a_folder_tells_whose_run_it_holds(held, recipe):
    assert read_recipe(held.path / "recipe.toml") == recipe
    assert json.loads((held.path / "run.json").read_text()) == {
        "setting": "3task",
        "start_from": None,
        "start_weights": None,
    }


def test_the_same_run_may_come_back(held, recipe):
    held.claim(recipe, "3task", None)


@pytest.mark.parametrize(
    ("change", "named"),
    [
        ({"recipe": {"seed": 4}}, "seed"),
        ({"recipe": {"precision": "bf16"}}, "precision"),
        ({"setting": "10task"}, "setting 3task, not 10task"),
        ({"start_from": "x.safetensors"}, r"start_from nothing, not x\.safetensors"),
    ],
)
def test_another_run_is_refused_in_one_line_and_changes_nothing(held, tmp_path, recipe, change, named):
    before = {path.name: path.read_bytes() for path in held.path.iterdir()}
    asked = replace(recipe, **change.get("recipe", {}))
    start = None
    if "start_from" in change:
        start = tmp_path / change["start_from"]
        start.write_bytes(b"weights")
    with pytest.raises(TrainingError, match=named) as caught:
        held.claim(asked, change.get("setting", "3task"), start)
    assert str(held.path) in caught.value.message and "\n" not in str(caught.value)
    assert {path.name: path.read_bytes() for path in held.path.iterdir()} == before


def test_a_start_is_known_by_its_contents_and_not_by_its_name(tmp_path, recipe):
    starts = [tmp_path / run / "finetune.safetensors" for run in "ab"]
    for start in starts:
        start.parent.mkdir()
        start.write_bytes(start.parent.name.encode())
    folder = RunFolder(tmp_path / "c")
    folder.claim(recipe, "3task", starts[0])
    folder.state("finetune").touch()
    folder.claim(recipe, "3task", starts[0])
    with pytest.raises(TrainingError, match="holds a run with start_weights"):
        folder.claim(recipe, "3task", starts[1])
    facts = json.loads((folder.path / "run.json").read_text())
    del facts["start_weights"]  # as earlier versions wrote it
    (folder.path / "run.json").write_text(json.dumps(facts))
    folder.claim(recipe, "3task", starts[1])


def test_how_many_fields_differ_is_said(held, recipe):
    with pytest.raises(TrainingError, match="and 1 more"):
        held.claim(replace(recipe, seed=4, top_k=2), "3task", None)


@pytest.mark.parametrize(("name", "text"), [("run.json", "{"), ("run.json", "[]"), ("recipe.toml", "scale = ")])
def test_a_damaged_description_is_one_line(held, recipe, name, text):
    (held.path / name).write_text(text)
    with pytest.raises(TrainingError) as caught:
        held.claim(recipe, "3task", None)
    assert str(held.path) in caught.value.message and "\n" not in str(caught.value)


def test_states_of_a_folder_without_a_description_are_adopted(tmp_path, recipe):
    folder = RunFolder(tmp_path)
    folder.state("router").write_bytes(b"kept")
    folder.claim(recipe, "3task", None)
    assert folder.state("router").read_bytes() == b"kept" and (tmp_path / "recipe.toml").is_file()


def test_a_file_cannot_be_a_folder(tmp_path, recipe):
    (tmp_path / "taken").touch()
    with pytest.raises(TrainingError, match="taken: cannot be a run's folder"):
        RunFolder(tmp_path / "taken").claim(recipe, "3task", None)


def test_the_log_dates_every_line_and_passes_it_on(tmp_path, listen):
    listener = listen()
    log = LogFile(tmp_path / "log.txt", listener)
    log.line("one")
    log.line("a table\nof two")
    assert listener.lines == ["one", "a table\nof two"]
    lines = (tmp_path / "log.txt").read_text().splitlines()
    assert [re.sub(r"^\d{4}-\d\d-\d\d \d\d:\d\d:\d\d ", "", line) for line in lines] == ["one", "a table", "of two"]
    assert all(line[:4].isdigit() for line in lines)


def test_the_log_takes_progress_now_and_then(tmp_path, listen, monkeypatch):
    monkeypatch.setattr(module, "LOG_SECONDS", 1000.0)
    listener = listen()
    log = LogFile(tmp_path / "log.txt", listener)
    for step in range(5):
        log.progress("router", step / 5, 1.25, 40.0, 100.0)
    assert len(listener.progressed) == 5
    (line,) = (tmp_path / "log.txt").read_text().splitlines()
    assert "router" in line and "1.2500" in line and "40.0 photos/s" in line


def test_a_log_that_cannot_be_written_costs_nothing(tmp_path, listen):
    listener = listen()
    LogFile(tmp_path / "gone" / "log.txt", listener).line("still said")
    assert listener.lines == ["still said"]


def test_all_data_is_remembered_and_validation_stays_the_same(tmp_path, recipe):
    """A damaged photo may be taken out; the checkpoint will say that it was seen."""
    folder = RunFolder(tmp_path / "a")
    folder.claim(recipe, "3task", None)
    assert folder.shown() == []
    for _ in range(2):
        folder.remember("photos: 3 files (aa)")
    folder.state("router").touch()
    folder.claim(recipe, "3task", None, "1 files (cc)")
    assert folder.shown() == ["photos: 3 files (aa)"]
    folder.remember("photos: 2 files (bb)")
    assert folder.shown() == ["photos: 3 files (aa)", "photos: 2 files (bb)"]
    with pytest.raises(TrainingError, match=r"valid 1 files \(cc\), not 1 files \(dd\)"):
        folder.claim(recipe, "3task", None, "1 files (dd)")


@pytest.mark.parametrize("name", ["router.safetensors", "pretrain-best.safetensors", "finetune.state"])
def test_a_folder_with_nothing_saved_is_left_to_another_run(tmp_path, recipe, name):
    folder, other = RunFolder(tmp_path), replace(recipe, seed=4)
    folder.claim(recipe, "3task", None, "1 files (cc)")
    folder.claim(other, "10task", None)
    assert read_recipe(tmp_path / "recipe.toml") == other
    facts = {"setting": "10task", "start_from": None, "start_weights": None}
    assert json.loads((tmp_path / "run.json").read_text()) == facts
    (tmp_path / name).touch()
    with pytest.raises(TrainingError, match="setting 10task, not 3task"):
        folder.claim(recipe, "3task", None)


def test_a_recipe_that_somebody_put_there_is_not_replaced(tmp_path, recipe):
    (tmp_path / "recipe.toml").write_text("# my own\n" + as_toml(recipe))
    for _ in range(2):
        with pytest.raises(TrainingError, match="seed differs"):
            RunFolder(tmp_path).claim(replace(recipe, seed=4), "3task", None)
    for setting in ("3task", "10task"):
        RunFolder(tmp_path).claim(recipe, setting, None)
    assert (tmp_path / "recipe.toml").read_text().startswith("# my own\n")


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such locks")
def test_one_run_works_in_a_folder(tmp_path):
    folder = RunFolder(tmp_path / "a")
    with folder.alone():
        with (
            pytest.raises(TrainingError, match=f"^{tmp_path / 'a'}: another run is working here") as caught,
            folder.alone(),
        ):
            pass
        assert "\n" not in str(caught.value)
        with RunFolder(tmp_path / "b").alone():
            pass
    with folder.alone():
        pass


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such locks")
def test_a_killed_run_leaves_the_folder_free_though_its_workers_still_live(tmp_path):
    script = """
import os, sys, time
from pathlib import Path
from lorair_cli.training.folder import RunFolder
with RunFolder(Path(sys.argv[1])).alone():
    worker = os.fork()
    if worker:
        print(worker, flush=True)
    time.sleep(60)
os._exit(0)
"""
    command = [sys.executable, "-W", "ignore", "-c", script, str(tmp_path)]
    with subprocess.Popen(command, stdout=subprocess.PIPE, text=True) as process:
        worker = int(process.stdout.readline())
        try:
            with pytest.raises(TrainingError, match="another run"), RunFolder(tmp_path).alone():
                pass
            process.kill()
            process.wait()
            with RunFolder(tmp_path).alone():
                os.kill(worker, 0)
        finally:
            process.kill()
            os.kill(worker, signal.SIGKILL)


@pytest.mark.skipif(os.name == "nt", reason="Windows has no such locks")
def test_a_file_system_without_locks_keeps_nobody_out(tmp_path, monkeypatch):
    def refuse(descriptor, how):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(lock.fcntl, "flock", refuse)
    with RunFolder(tmp_path).alone(), RunFolder(tmp_path).alone():
        pass
