import subprocess
import sys

import pytest

import lorair_cli

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
