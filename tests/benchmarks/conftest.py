"""What tests of several scripts need."""

from collections.abc import Callable
from pathlib import Path

import pytest


@pytest.fixture
def stand_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Callable[[str], Callable[[], list[list[str]]]]:
    """``stand_in(then)``: a program in place of ``python3`` that notes its words, then runs ``then``, lines of sh.

    Gives what tells all the words that it was called with so far, call by call. The test works in ``tmp_path``.
    """

    def place(then: str) -> Callable[[], list[list[str]]]:
        asked, program = tmp_path / "asked", tmp_path / "bin" / "python3"
        program.parent.mkdir()
        # One write a call: several may run at once.
        program.write_text(f"#!/bin/sh\nline=$(printf '%s\\t' \"$@\")\nprintf '%s\\n' \"$line\" >>{asked}\n{then}\n")
        program.chmod(0o755)
        monkeypatch.setenv("PATH", f"{program.parent}:/usr/bin:/bin")
        monkeypatch.chdir(tmp_path)
        return lambda: [line.rstrip("\t").split("\t") for line in asked.read_text().splitlines()]

    return place
