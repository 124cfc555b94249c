import os
import subprocess
import sys

import pytest

CALL = "import sys; sys.argv[0] = 'lorair'; from lorair_cli.cli.main import run; run()"


def completions(*words):
    """What a shell would offer for the last word."""
    line = {"COMP_WORDS": " ".join(words), "COMP_CWORD": str(len(words) - 1), "_LORAIR_COMPLETE": "complete_bash"}
    command = [sys.executable, "-c", CALL]
    called = subprocess.run(command, capture_output=True, text=True, env=os.environ | line, check=True)
    return called.stdout.split()


def test_the_shell_completes_commands_options_and_values():
    assert completions("lorair", "rest") == ["restore"]
    assert "--skip-existing" in completions("lorair", "restore", "--sk")
    assert completions("lorair", "restore", "--setting", "3") == ["3task-real", "3task"]


COMMANDS = ["restore", "classify", "doctor", "train", "eval", "bench"]
COMMANDS += [f"data {name}" for name in ("preview", "list", "check", "degrade")]
WEIGHTS = ("list", "download", "verify", "path", "info", "convert", "combine", "export")
COMMANDS += [f"weights {name}" for name in WEIGHTS]


@pytest.mark.parametrize("command", COMMANDS)
def test_the_help_shows_examples_line_by_line(script, command):
    called = script(*command.split(), "--help")
    lines = [line.strip() for line in called.stdout.splitlines() if "Usage" not in line]
    examples = [line for line in lines[lines.index("Examples:") :] if "lorair " in line]
    assert called.code == 0 and len(examples) >= 2
    assert any(f"lorair {command}" in line for line in examples)
    assert all(line.count("lorair ") == 1 for line in examples)
