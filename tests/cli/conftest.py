"""Commands called as the ``lorair`` script calls them, with the tiny checkpoint on the CPU."""

import json
import sys
from typing import NamedTuple

import pytest
from typer.testing import CliRunner

from lorair_cli.cli import main
from lorair_cli.cli.main import app
from lorair_cli.errors import LorairError


class Called(NamedTuple):
    code: int
    stdout: str
    stderr: str
    raw: bytes

    @property
    def rows(self):
        """The JSON objects on stdout."""
        return [json.loads(line) for line in self.stdout.splitlines()]


def _printed(error: LorairError) -> str:
    return f"Error: {error.message}\n" + (f"Hint: {error.hint}\n" if error.hint else "")


def call_lorair(*arguments, stdin=None) -> Called:
    result = CliRunner().invoke(app, [str(argument) for argument in arguments], input=stdin)
    raw = result.stdout_bytes
    text = raw.decode("utf-8", "replace")
    if isinstance(result.exception, LorairError):  # the script prints it and leaves with its exit code
        return Called(result.exception.exit_code, text, f"{result.stderr}{_printed(result.exception)}", raw)
    if result.exception is not None and not isinstance(result.exception, SystemExit):
        raise result.exception
    return Called(result.exit_code, text, result.stderr, raw)


@pytest.fixture
def lorair(weights_file):
    """Calls ``lorair restore`` or ``classify`` with the tiny weights."""

    def call(command, *arguments, stdin=None):
        return call_lorair(command, *arguments, "--weights", weights_file, "--device", "cpu", stdin=stdin)

    return call


@pytest.fixture
def script():
    """Calls any command, as it is."""
    return call_lorair


@pytest.fixture
def run_script(monkeypatch, capsys):
    """Calls a command with all that the script does around it, in this process: exit code, stdout, stderr."""
    monkeypatch.setattr(main, "prepare_process", lambda: None)  # its settings would stay

    def call(*arguments):
        monkeypatch.setattr(sys, "argv", ["lorair", *map(str, arguments)])
        with pytest.raises(SystemExit) as leaving:
            main.run()
        return leaving.value.code or 0, *capsys.readouterr()

    return call


@pytest.fixture
def call(request):
    """Calls the command that the test's module is about, its ``COMMAND``: exit code, stdout, stderr."""
    return lambda *arguments: call_lorair(request.module.COMMAND, *arguments)[:3]
