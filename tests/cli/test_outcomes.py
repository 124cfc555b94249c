import io
from pathlib import Path

import pytest
from rich.console import Console

from lorair_cli.cli import outcomes
from lorair_cli.cli.outcomes import batch_progress
from lorair_cli.restoration.plan import Job


@pytest.mark.parametrize("terminal", [True, False])
def test_progress_is_drawn_on_a_terminal_only(monkeypatch, terminal):
    drawn = io.StringIO()
    monkeypatch.setattr(outcomes, "talk", Console(file=drawn, force_terminal=terminal, width=100))
    with batch_progress(3) as advance:
        if advance is not None:
            advance(Job(Path("first.png"), None), 1, 2)
    assert ("first.png" in drawn.getvalue()) == (advance is not None) == terminal
    assert terminal or not drawn.getvalue()
