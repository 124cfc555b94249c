"""The one place that prints. stdout is data, stderr is talk."""

from __future__ import annotations

import io
import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from rich.console import Console

from lorair_cli.errors import LorairError
from lorair_cli.imaging.files import printable

data = Console(highlight=False, soft_wrap=True, markup=False, emoji=False)
"""stdout: results, tables, JSON."""

talk = Console(stderr=True, highlight=False, soft_wrap=True, markup=False, emoji=False)
"""stderr: progress, notes, errors."""


@contextmanager
def only_if(speaks: bool) -> Iterator[None]:
    """Of several processes that do the same, one speaks for all. An error that ends the block is said by each."""
    data.quiet = talk.quiet = not speaks
    try:
        yield
    finally:
        data.quiet = talk.quiet = False


def print_json(value: dict[str, Any]) -> None:
    """One JSON object on one line of stdout, flushed, so that a reader at the other end of a pipe sees it at once."""
    sys.stdout.write(json.dumps(value, ensure_ascii=True) + "\n")
    sys.stdout.flush()


def write_any_name() -> None:
    """Let stdout print file names that its encoding lacks, escaped, as stderr does anyway.

    Windows gives a pipe an encoding of 256 characters, and a name may be no text at all: neither may end a batch.
    """
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")


def print_error(error: LorairError) -> None:
    """The error and, if there is one, the way out, on stderr."""
    talk.print(f"Error: {printable(error.message)}", style="bold red")
    if error.hint:
        talk.print(f"Hint: {printable(error.hint)}")


def error_as_json(error: LorairError) -> dict[str, Any]:
    """The fields that describe a failure in JSON output."""
    return {"status": "failed", "error": error.message, "hint": error.hint}
