"""Progress of a training run: a bar on a terminal, plain lines everywhere else. All of it on stderr."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from rich.console import Console
from rich.progress import BarColumn, Progress, TaskID, TaskProgressColumn, TextColumn

from lorair_cli.training.reporting import Every, Reporter, duration, progress_line

PLAIN_SECONDS = 30.0
"""Time between two plain lines of progress."""


@contextmanager
def training_progress(console: Console) -> Iterator[Reporter]:
    """A reporter that writes to ``console`` until the block ends."""
    if not console.is_terminal:
        yield PlainReporter(console)
        return
    columns = (
        TextColumn("{task.description:8}"),
        BarColumn(),
        TaskProgressColumn(),
        TextColumn("loss {task.fields[loss]:.3f}  {task.fields[rate]:.1f} photos/s  {task.fields[left]} left"),
    )
    with Progress(*columns, console=console) as bars:
        yield BarReporter(bars)


class PlainReporter:
    """Lines, for logs and pipes."""

    def __init__(self, console: Console) -> None:
        self.console = console
        self._due = Every(PLAIN_SECONDS)

    def line(self, text: str) -> None:
        """Printed as it is."""
        self.console.print(text)

    def progress(self, stage: str, done: float, loss: float, rate: float, seconds_left: float) -> None:
        """Printed now and then."""
        if self._due():
            self.console.print(progress_line(stage, done, loss, rate, seconds_left))


class BarReporter:
    """A bar for each stage; lines scroll by above the bars."""

    def __init__(self, bars: Progress) -> None:
        self.bars = bars
        self._tasks: dict[str, TaskID] = {}

    def line(self, text: str) -> None:
        """Printed above the bars."""
        self.bars.console.print(text)

    def progress(self, stage: str, done: float, loss: float, rate: float, seconds_left: float) -> None:
        """Moves the stage's bar."""
        left = duration(seconds_left)
        if stage not in self._tasks:
            self._tasks[stage] = self.bars.add_task(stage, total=1.0, loss=loss, rate=rate, left=left)
        self.bars.update(self._tasks[stage], completed=done, loss=loss, rate=rate, left=left)
