"""When something breaks: the old output intact, no temporary file, one line, the right exit code."""

import errno
import json
import os
import signal
import subprocess
import sys
import time
import weakref

import cv2
import numpy as np
import pytest
import skimage.data
import torch
from PIL import Image

from lorair_cli.imaging import files
from lorair_cli.restoration import batch, tiled
from lorair_cli.restoration.restorer import Restorer
from lorair_cli.restoration.tiled import TiledNetwork

COFFEE = np.ascontiguousarray(skimage.data.coffee()[:210, :260])
TEMPORARY = ".lorair-*"


@pytest.fixture
def folder(tmp_path):
    """Three photos."""
    (tmp_path / "in").mkdir()
    for index in range(3):
        Image.fromarray(COFFEE[index : index + 20, :24]).save(tmp_path / "in" / f"{index}.png")
    return tmp_path / "in"


def errors(called):
    return [line for line in called.stderr.splitlines() if line.startswith("Error")]


@pytest.mark.parametrize("step, kind", [(0, RuntimeError), (1, MemoryError), (3, torch.OutOfMemoryError)])
def test_out_of_memory_on_any_tile_starts_again_with_half_the_tile(lorair, tmp_path, monkeypatch, step, kind):
    Image.fromarray(COFFEE).save(tmp_path / "a.png")
    arguments = ("restore", tmp_path / "a.png", "--json", "--passes", "1")
    expected = lorair(*arguments, "-o", tmp_path / "small.png", "--tile", "128")
    original, calls = TiledNetwork._restore_tile, []

    def short_of_memory(self, network, rgb, prior):
        if max(rgb.shape) > 128:
            calls.append(rgb.shape)
            if len(calls) == step + 1:
                raise kind("DefaultCPUAllocator: not enough memory: you tried to allocate 9 bytes")
        return original(self, network, rgb, prior)

    monkeypatch.setattr(TiledNetwork, "_restore_tile", short_of_memory)
    called = lorair(*arguments, "-o", tmp_path / "out.png", "--tile", "192")
    assert called.code == 0 and len(calls) == step + 1
    assert called.rows[0]["tiles"] == expected.rows[0]["tiles"]
    assert "out of memory with tiles of 192 pixels: restored with tiles of 128" in called.stderr
    assert (tmp_path / "out.png").read_bytes() == (tmp_path / "small.png").read_bytes()


@pytest.mark.parametrize(
    "fault, message",
    [
        (torch.OutOfMemoryError("CUDA out of memory"), "out of memory on cpu, even with tiles of 128 pixels"),
        (RuntimeError("a bug of ours\nwith details"), "RuntimeError: a bug of ours"),
    ],
)
def test_what_cannot_be_helped_is_one_line_and_leaves_the_old_output(
    lorair, folder, tmp_path, monkeypatch, fault, message
):
    out = tmp_path / "out.png"
    out.write_bytes(b"old")

    def fails(*_):
        raise fault

    monkeypatch.setattr(TiledNetwork, "_restore_tile", fails)
    called = lorair("restore", folder / "0.png", "-o", out, "--overwrite")
    assert called.code == 1 and out.read_bytes() == b"old" and called.stdout == ""
    (line,) = errors(called)
    assert "0.png" in line and message in line


def test_nan_from_the_network_is_an_error(lorair, folder, tmp_path, monkeypatch):
    fold = tiled.fold

    def broken(network, mixture, dtype):
        plain = fold(network, mixture, dtype)
        plain.ending.weight[0, 0, 0, 0] = torch.nan
        return plain

    monkeypatch.setattr(tiled, "fold", broken)
    called = lorair("restore", folder / "0.png", "-o", tmp_path / "out.png")
    assert called.code == 1 and "no colours" in errors(called)[0] and "0.png" in errors(called)[0]
    assert not (tmp_path / "out.png").exists()


def fail_with(number):
    def fail(*_, **__):
        raise OSError(number, os.strerror(number))

    return fail


@pytest.mark.parametrize(
    "where, name, number",
    [
        (files.os, "fsync", errno.ENOSPC),
        (files.os, "replace", errno.EIO),
        (files.os, "open", errno.EROFS),
    ],
)
def test_a_full_disk_or_a_read_only_folder(lorair, folder, tmp_path, monkeypatch, where, name, number):
    out = tmp_path / "out"
    out.mkdir()
    (out / "1.png").write_bytes(b"old")
    real = getattr(where, name)

    def only_here(path, *rest, **options):
        writing = name != "open" or (isinstance(path, (str, os.PathLike)) and ".lorair-" in os.fspath(path))
        return fail_with(number)() if writing else real(path, *rest, **options)

    monkeypatch.setattr(where, name, only_here)
    called = lorair("restore", folder, "-o", out, "--overwrite", "--json")
    monkeypatch.undo()
    assert called.code == 1 and [row["status"] for row in called.rows] == ["failed"] * 3
    assert all(os.strerror(number) in line for line in errors(called)) and len(errors(called)) == 3
    assert [path.name for path in out.iterdir()] == ["1.png"] and (out / "1.png").read_bytes() == b"old"


def test_a_folder_that_cannot_be_made(lorair, folder, tmp_path):
    (tmp_path / "file").write_bytes(b"")
    called = lorair("restore", folder, "-o", tmp_path / "file" / "out")
    assert called.code == 1 and len(errors(called)) == 3
    assert errors(called)[0].startswith(
        f"Error: {tmp_path / 'file' / 'out'}: this folder cannot be made: Not a directory"
    )


def test_an_input_deleted_meanwhile(lorair, folder, tmp_path, monkeypatch):
    original = Restorer.restore

    def delete_the_last(self, *arguments):
        (folder / "2.png").unlink(missing_ok=True)
        return original(self, *arguments)

    monkeypatch.setattr(Restorer, "restore", delete_the_last)
    called = lorair("restore", folder, "-o", tmp_path / "out", "--json")
    assert called.code == 1 and [row["status"] for row in called.rows] == ["ok", "ok", "failed"]
    assert "2.png: No such file" in errors(called)[0]


def test_an_output_that_appeared_meanwhile_is_left_as_it_is(lorair, folder, tmp_path, monkeypatch):
    original = Restorer.restore

    def somebody_writes(self, *arguments):
        (tmp_path / "out.png").write_bytes(b"theirs")
        return original(self, *arguments)

    monkeypatch.setattr(Restorer, "restore", somebody_writes)
    called = lorair("restore", folder / "0.png", "-o", tmp_path / "out.png")
    assert called.code == 1 and (tmp_path / "out.png").read_bytes() == b"theirs"


@pytest.mark.parametrize("how", [(), ("--skip-existing",), ("--strength", "0", "--only-if", "1")])
def test_one_that_appeared_while_the_result_was_encoded_is_left_as_it_is(lorair, folder, tmp_path, monkeypatch, how):
    original, out = files._publish, tmp_path / "out.png"
    monkeypatch.setattr(files, "_publish", lambda *about: (out.write_bytes(b"theirs"), original(*about)))
    called = lorair("restore", folder / "0.png", "-o", out, "--json", *how)
    assert out.read_bytes() == b"theirs" and [path.name for path in tmp_path.glob("*.tmp")] == []
    expected = ("skipped", 0) if how == ("--skip-existing",) else ("failed", 1)
    assert (called.rows[0]["status"], called.code) == expected


@pytest.mark.parametrize("fault", [MemoryError(), ValueError("a bug of ours"), FileExistsError()])
def test_a_comparison_that_fails_takes_nothing_along(lorair, folder, tmp_path, monkeypatch, fault):
    def fails(*_):
        raise fault

    monkeypatch.setattr(batch, "side_by_side", fails)
    called = lorair("restore", folder, "-o", tmp_path / "out", "--compare", "--json")
    assert called.code == 0 and [row["status"] for row in called.rows] == ["ok"] * 3
    assert all("no comparison: " in str(row) for row in called.rows) and len(list((tmp_path / "out").iterdir())) == 3


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_ctrl_c_finishes_what_is_begun_and_says_what_is_done(lorair, folder, tmp_path, monkeypatch, number):
    original = TiledNetwork._restore_tile
    calls = []

    def interrupted(self, *arguments):
        calls.append(1)
        if len(calls) == 2:
            os.kill(os.getpid(), number)
        return original(self, *arguments)

    monkeypatch.setattr(TiledNetwork, "_restore_tile", interrupted)
    handler = signal.getsignal(number)
    page = tmp_path / "page.html"
    called = lorair("restore", folder, "-o", tmp_path / "out", "--json", "--report", page, "--passes", "1")
    assert called.code == 130 and signal.getsignal(number) is handler
    assert [row["status"] for row in called.rows] == ["ok"] and "1 restored, 2 not done" in called.stderr
    assert [path.name for path in (tmp_path / "out").iterdir()] == ["0.png"]
    assert cv2.imread(str(tmp_path / "out" / "0.png")).shape == (20, 24, 3)
    assert page.read_text(encoding="utf-8").count("<article") == 1


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGKILL there")
def test_a_kill_during_save_leaves_the_old_output_and_the_next_run_tidies_up(lorair, folder, tmp_path):
    (tmp_path / "out").mkdir()
    out = tmp_path / "out" / "0.png"
    out.write_bytes(b"old")
    script = """
import os, signal, sys
from pathlib import Path
import numpy as np
from lorair_cli.imaging.encode import write_photo
from lorair_cli.imaging.photo import Photo
os.replace = lambda *_: os.kill(os.getpid(), signal.SIGKILL)
write_photo(Photo(np.zeros((9, 9, 3), np.uint8)), Path(sys.argv[1]))
"""
    assert subprocess.run([sys.executable, "-c", script, str(out)], check=False).returncode == -signal.SIGKILL
    assert out.read_bytes() == b"old" and len(list(out.parent.glob(TEMPORARY))) == 1
    assert lorair("restore", folder, "-o", out.parent, "--skip-existing").code == 0
    assert sorted(path.name for path in out.parent.iterdir()) == ["0.png", "1.png", "2.png"]
    assert out.read_bytes() == b"old"


@pytest.mark.skipif(sys.platform == "win32", reason="no SIGINT to send there")
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM])
def test_a_signal_ends_the_wait_for_a_photo_that_does_not_come(weights_file, tmp_path, number):
    command = [sys.executable, "-m", "lorair_cli", "restore", "-", "-o", str(tmp_path / "out.png")]
    command += ["--weights", str(weights_file), "--device", "cpu"]
    with subprocess.Popen(command, stdin=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert "weights" in process.stderr.readline(), "it is loaded, and waits for the pipe"
        time.sleep(0.5)
        process.send_signal(number)
        try:
            assert process.wait(timeout=20) == 130
        finally:
            process.kill()
        assert "Fatal" not in process.stderr.read()


def test_json_goes_to_stdout_whatever_is_called_a_terminal(weights_file, folder, tmp_path):
    command = [sys.executable, "-m", "lorair_cli", "restore", str(folder), "-o", str(tmp_path / "out"), "--json"]
    command += ["--weights", str(weights_file), "--device", "cpu"]
    done = subprocess.run(
        command, env=os.environ | {"FORCE_COLOR": "1"}, capture_output=True, text=True, check=True, timeout=120
    )
    assert [json.loads(line)["status"] for line in done.stdout.splitlines()] == ["ok"] * 3
    assert '"status"' not in done.stderr


@pytest.mark.skipif(sys.platform == "win32", reason="no such shell there")
def test_a_photo_is_not_written_to_a_standard_output_that_is_closed(weights_file, folder):
    photo = sorted(folder.iterdir())[0]
    command = f"'{sys.executable}' -m lorair_cli restore '{photo}' -o - --weights '{weights_file}' >&-"
    done = subprocess.run(["sh", "-c", command], capture_output=True, text=True, check=False, timeout=120)
    assert done.returncode == 2 and "standard output is closed" in done.stderr


def test_a_reader_that_left_ends_the_batch(lorair, folder, tmp_path, monkeypatch):
    def gone(outcome):
        raise BrokenPipeError

    monkeypatch.setattr("lorair_cli.cli.outcomes.as_json", gone)
    with pytest.raises(BrokenPipeError):
        lorair("restore", folder, "-o", tmp_path / "out", "--json")
    assert not list((tmp_path / "out").glob(TEMPORARY))


def test_only_a_few_photos_are_in_memory_at_once(checkpoint, tmp_path, monkeypatch):
    """However slow the disk, reading and restoring wait for it."""
    alive, most = weakref.WeakSet(), [0]
    read, write = batch.read_source, batch.write_photo

    def counted(source):
        photo, data = read(source)
        alive.add(photo)
        most[0] = max(most[0], len(alive))
        return photo, data

    def slow(*arguments, **options):
        time.sleep(0.05)
        write(*arguments, **options)

    monkeypatch.setattr(batch, "read_source", counted)
    monkeypatch.setattr(batch, "write_photo", slow)
    jobs = []
    for index in range(10):
        Image.fromarray(COFFEE[index : index + 16, :16]).save(tmp_path / f"{index}.png")
        jobs.append(batch.Job(tmp_path / f"{index}.png", tmp_path / "out" / f"{index}.png"))
    seen = []
    batch.run_batch(jobs, Restorer(checkpoint, device="cpu"), lambda outcome: seen.append(outcome.status))
    assert seen == ["ok"] * 10
    assert 2 <= most[0] <= batch.AHEAD + batch.BEHIND + 2
