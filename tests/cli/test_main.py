import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
import typer

import lorair_cli
from lorair_cli.cli import measured

HEAVY = ("torch", "open_clip", "accelerate", "skimage", "huggingface_hub", "cv2")


def run(*arguments: str) -> subprocess.CompletedProcess[str]:
    return subprocess.run([sys.executable, "-m", "lorair_cli", *arguments], capture_output=True, text=True, check=False)


@pytest.mark.parametrize("arguments", [["--help"], ["--version"], ["restore", "--help"], ["train", "--help"]])
def test_help_and_version_import_nothing_heavy(arguments):
    script = f"""
import sys
from lorair_cli.cli.main import run

sys.argv = ["lorair", *{arguments!r}]
try:
    run()
except SystemExit as leaving:
    assert not leaving.code, leaving.code
print([module for module in {HEAVY!r} if module in sys.modules])
"""
    result = subprocess.run([sys.executable, "-c", script], capture_output=True, text=True, check=True)
    assert result.stdout.splitlines()[-1] == "[]"


def test_version():
    assert run("--version").stdout.strip() == f"lorair {lorair_cli.__version__}"


def test_a_users_error_is_two_lines_on_stderr_and_no_traceback(tmp_path):
    result = run("restore", str(tmp_path), "-o", str(tmp_path / "out"))
    assert result.returncode == 2 and result.stdout == ""
    assert result.stderr.splitlines()[0].startswith("Error: ") and "holds no photos" in result.stderr
    assert result.stderr.splitlines()[1].startswith("Hint: ") and len(result.stderr.splitlines()) == 2


def test_control_characters_in_names_stay_in_one_line(tmp_path):
    result = run("restore", str(tmp_path / "a\nb\x1b[2J.png"), "-o", str(tmp_path), "--setting", "nothing")
    assert result.returncode == 2 and "\x1b" not in result.stderr


@pytest.mark.parametrize(("encoding", "shown"), [("cp1252", r"0\u5199.png"), ("utf-8:strict", "0写.png")])
def test_a_name_that_stdout_cannot_print_is_escaped_and_stops_nothing(tmp_path, encoding, shown):
    for name in ("0写.png", "1.png", "2\udce9.png"):
        (tmp_path / name).write_bytes(b"x")
    environment = os.environ | {"PYTHONIOENCODING": encoding, "PYTHONUTF8": "0"}
    command = [sys.executable, "-m", "lorair_cli", "restore", str(tmp_path), "--dry-run"]
    result = subprocess.run(command, capture_output=True, env=environment, check=False)
    lines = result.stdout.decode(encoding.partition(":")[0]).splitlines()
    assert result.returncode == 0 and len(lines) == 3
    assert shown in lines[0] and r"2\udce9.png" in lines[2]


def test_names_stay_as_they_are_spelt(tmp_path):
    (tmp_path / "IMG:a:b[red].png").write_bytes(b"x")
    assert "IMG:a:b[red].png -> " in run("restore", str(tmp_path), "--dry-run").stdout


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no full device")
def test_a_full_disk_behind_stdout_is_one_line():
    with Path("/dev/full").open("w") as full:
        command = [sys.executable, "-m", "lorair_cli", "weights", "list"]
        result = subprocess.run(command, stdout=full, stderr=subprocess.PIPE, text=True, check=False)
    assert result.returncode != 0 and "Error: No space left on device" in result.stderr
    assert "Traceback" not in result.stderr


@pytest.mark.parametrize(
    ("error", "message"),
    [
        (ImportError("libtorch.so: failed to map segment\nand more"), "cannot be loaded: libtorch.so: failed to map"),
        (MemoryError(), "not enough memory"),
    ],
)
def test_what_cannot_be_loaded_is_one_line(error, message, monkeypatch, run_script):
    def fail():
        raise error

    monkeypatch.setattr("lorair_cli.cli.main.app", fail)
    code, stdout, stderr = run_script("restore", "x.png", "--json")
    assert code == 1 and message in stderr and "and more" not in stderr
    assert json.loads(stdout)["status"] == "failed" and message in json.loads(stdout)["error"]


def test_json_parses_when_the_command_itself_fails(tmp_path):
    for words in (
        ["weights", "info", tmp_path / "nope.safetensors"],
        ["restore", tmp_path, "-o", tmp_path / "out"],
        ["data", "check", tmp_path / "nope"],
    ):
        result = run(*map(str, words), "--json")
        answer = json.loads(result.stdout)
        assert result.returncode in (1, 2) and answer["status"] == "failed" and answer["error"] in result.stderr


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["restore", "x.png", "-o", "f.png", "--strength", "nan"], "--strength"),
        (["restore", "--nope", "x.png"], "No such option: --nope"),
        (["data", "check"], "Missing argument"),
        (["weights", "nope"], "No such command 'nope'"),
        ([], "No such option: --json"),
    ],
)
def test_json_parses_when_the_usage_is_wrong(words, message, run_script):
    code, stdout, stderr = run_script(*words, "--json")
    answer = json.loads(stdout)
    assert code == 2 and answer["status"] == "failed" and message in answer["error"]
    assert "Usage: " in stderr and "─ Error ─" in stderr
    code, stdout, without = run_script(*words) if words else (2, "", "Usage: ")
    assert code == 2 and stdout == "" and "Usage: " in without


def raises(error):
    def command(*_, **__):
        raise error

    return command


def test_an_interruption_is_told_to_people_and_programs(monkeypatch, run_script):
    monkeypatch.setattr(measured, "choose_form", raises(KeyboardInterrupt()))
    code, stdout, stderr = run_script("eval", "--input", "x", "--json")
    assert code == 130 and json.loads(stdout)["error"] == "Interrupted"
    assert stderr == "Interrupted.\n"
    code, stdout, stderr = run_script("eval", "--input", "x")
    assert (code, stdout, stderr) == (130, "", "Interrupted.\n")


@pytest.mark.parametrize(
    ("error", "code", "answer"),
    [(typer.Exit(130), 130, "Interrupted"), (typer.Abort(), 1, "Aborted"), (EOFError(), 1, "Aborted")],
)
def test_what_a_command_says_itself_is_answered_in_json(error, code, answer, monkeypatch, run_script):
    monkeypatch.setattr(measured, "choose_form", raises(error))
    left, stdout, stderr = run_script("eval", "--input", "x", "--json")
    assert left == code and json.loads(stdout)["error"] == answer and "Interrupted." not in stderr


@pytest.mark.parametrize("code", [0, 1])
def test_a_command_that_ends_by_itself_has_answered(code, monkeypatch, run_script):
    monkeypatch.setattr(measured, "choose_form", raises(typer.Exit(code)))
    assert run_script("eval", "--input", "x", "--json") == (code, "", "")
