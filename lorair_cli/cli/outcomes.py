"""How a batch is told: lines or JSON for each photo, a bar while it runs, a summary at the end."""

from __future__ import annotations

import sys
import time
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import TYPE_CHECKING, Any

from rich.progress import BarColumn, MofNCompleteColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn
from rich.table import Table

from lorair_cli.cli.console import data, error_as_json, print_error, print_json, talk
from lorair_cli.imaging.files import printable

if TYPE_CHECKING:
    from lorair_cli.restoration.batch import Outcome
    from lorair_cli.restoration.plan import Job
    from lorair_cli.restoration.restorer import Restorer
    from lorair_cli.restoration.result import Diagnosis

LEAST_SHOWN = 0.05
"""Probabilities below this are left out of the lines for people."""


def introduction(restorer: Restorer) -> str:
    """A line before the work: which weights, where and in which numbers."""
    return f"{restorer.info.setting} weights ({restorer.info.scale}) on {restorer.device}, {restorer.precision}"


class Teller:
    """Tells each outcome as it comes, and counts. ``to_stderr``: stdout is taken by a picture, lines go to stderr."""

    def __init__(self, total: int, *, as_json: bool, to_stderr: bool) -> None:
        self._total = total
        self._as_json = as_json
        self._lines = talk if to_stderr else data
        self._counts: Counter[str] = Counter()
        self._failures: list[tuple[str, str]] = []
        self._started = time.perf_counter()

    @property
    def failed(self) -> int:
        """Photos that failed."""
        return self._counts["failed"]

    def tell(self, outcome: Outcome) -> None:
        """One photo: notes and errors on stderr, its result on stdout."""
        self._counts[outcome.status] += 1
        for note in outcome.notes:
            talk.print(f"{printable(outcome.job.name)}: {printable(note)}")
        if outcome.error is not None:
            self._failures.append((outcome.job.name, outcome.error.message))
            print_error(outcome.error)
        if self._as_json:
            print_json(as_json(outcome))
        elif outcome.error is None:
            for line in _lines(outcome):
                self._lines.print(printable(line))

    def summary(self) -> None:
        """For more than one photo: how many of each kind, in what time, and once more which failed."""
        done = sum(self._counts.values())
        if self._total > 1:
            words = {"ok": "restored", "unchanged": "left alone", "skipped": "skipped", "failed": "failed"}
            counts = [f"{self._counts[status]} {word}" for status, word in words.items() if self._counts[status]]
            if done < self._total:
                counts.append(f"{self._total - done} not done")
            talk.print(f"{', '.join(counts)} in {time.perf_counter() - self._started:.1f} s")
        if self._failures and self._total > 1:
            if len(self._failures) > 1:
                talk.print(_failure_table(self._failures))
            talk.print(f"{self.failed} of {self._total} photos failed.", style="bold red")


def _failure_table(failures: list[tuple[str, str]]) -> Table:
    table = Table(box=None, pad_edge=False)
    table.add_column("photo", overflow="fold")
    table.add_column("why it failed", overflow="fold")
    for name, reason in failures:
        shown = printable(name)
        table.add_row(shown, printable(reason).removeprefix(f"{shown}: "))
    return table


@contextmanager
def batch_progress(total: int) -> Iterator[Callable[[Job, int, int], None] | None]:
    """A bar over all photos with the time left, on a terminal only; yields what to call with (job, tiles, of tiles)."""
    if not talk.is_terminal:
        yield None
        return
    columns = (
        TextColumn("{task.description}", markup=False),
        BarColumn(),
        *((MofNCompleteColumn(),) if total > 1 else ()),
        TaskProgressColumn(),
        TimeRemainingColumn(),
    )
    # Results for a file or a pipe must not be drawn on the terminal's stderr, where rich would send them. It calls a
    # terminal what an environment variable says is one.
    on_terminal = data.is_terminal and sys.stdout.isatty()
    with Progress(*columns, console=talk, transient=True, redirect_stdout=on_terminal) as bars:
        task = bars.add_task("", total=total)
        begun = 0

        def advance(job: Job, done: int, of: int) -> None:
            nonlocal begun
            begun += done == 0
            bars.update(task, description=printable(job.name)[-40:], completed=begun - 1 + done / of)

        yield advance


def _lines(outcome: Outcome) -> Iterator[str]:
    """What is wrong, who repairs it, what was written."""
    job, restoration = outcome.job, outcome.restoration
    if restoration is None:
        yield f"{job.name}: skipped, {job.target} {job.skip}"
        return
    yield f"{job.name}: {_found(restoration.diagnosis)}"
    for diagnosis in restoration.passes:
        if diagnosis.experts:
            yield "  experts: " + ", ".join(f"{e.degradation} {e.weight:.2f}" for e in diagnosis.experts)
    if restoration.untouched:
        yield "  left alone: no degradation is that probable"
    target = "standard output" if job.target is None else str(job.target)
    size = f"{restoration.photo.width}x{restoration.photo.height}"
    yield f"  wrote {target} ({size}, {restoration.seconds:.1f} s)"
    if job.compare is not None:
        yield f"  wrote {job.compare}"


def _found(diagnosis: Diagnosis) -> str:
    likely = sorted(diagnosis.probabilities.items(), key=lambda item: -item[1])
    return ", ".join(f"{name} {share:.0%}" for name, share in likely if share >= LEAST_SHOWN)


def as_json(outcome: Outcome) -> dict[str, Any]:
    """The fields of one photo: its names, what became of it, and how."""
    job, restoration = outcome.job, outcome.restoration
    target = None if job.target is None else str(job.target)
    if outcome.error is not None:
        return {"input": job.name, "output": None, **error_as_json(outcome.error)}
    if restoration is None:
        return {"input": job.name, "output": target, "status": "skipped", "reason": job.skip}
    return {
        "input": job.name,
        "output": target,
        **({} if job.compare is None else {"compare": str(job.compare)}),
        "status": outcome.status,
        "width": restoration.photo.width,
        "height": restoration.photo.height,
        "probabilities": {name: round(p, 6) for name, p in restoration.diagnosis.probabilities.items()},
        "experts": _experts(restoration.passes[0]) if restoration.passes else {},
        **({"passes": [_experts(d) for d in restoration.passes]} if len(restoration.passes) > 1 else {}),
        "tiles": restoration.tiles,
        "seconds": round(restoration.seconds, 3),
        "notes": list(outcome.notes),
    }


def _experts(diagnosis: Diagnosis) -> dict[str, float]:
    return {e.degradation: round(e.weight, 6) for e in diagnosis.experts}
