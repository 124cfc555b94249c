import io

from rich.console import Console

from lorair_cli.cli import progress as module
from lorair_cli.cli.progress import training_progress


def console(terminal):
    return Console(file=io.StringIO(), force_terminal=terminal, width=120, markup=False, highlight=False)


def said(terminal, monkeypatch, seconds=1000.0):
    monkeypatch.setattr(module, "PLAIN_SECONDS", seconds)
    out = console(terminal)
    with training_progress(out) as reporter:
        reporter.line("router: trains 5 of 5 [b]parameters[/b]")
        for step in range(1, 5):
            reporter.progress("router", step / 4, 2.125, 40.0, 100.0 - step)
        reporter.progress("pretrain", 0.5, -20.5, 30.0, 3600.0)
    return out.file.getvalue()


def test_a_pipe_gets_plain_lines_now_and_then(monkeypatch):
    lines = said(False, monkeypatch).splitlines()
    assert lines[0] == "router: trains 5 of 5 [b]parameters[/b]" and len(lines) == 2
    assert "router" in lines[1] and "25.0%" in lines[1] and "40.0 photos/s" in lines[1]
    assert "\x1b" not in "".join(lines)
    assert len(said(False, monkeypatch, seconds=0.0).splitlines()) == 6


def test_a_terminal_gets_a_bar_for_each_stage(monkeypatch):
    text = said(True, monkeypatch)
    assert "\x1b" in text and "[b]parameters[/b]" in text
    last = text[text.rindex("router") :]
    assert "100%" in last and "loss 2.125" in last and "40.0 photos/s" in last
    assert "50%" in last and "loss -20.500" in last and "60 min left" in last
