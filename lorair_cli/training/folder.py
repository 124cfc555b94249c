"""The folder of a run: what lies where, whose run it is, and its log."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any, BinaryIO

from lorair_cli.errors import TrainingError, UsageError
from lorair_cli.imaging.files import atomic_write
from lorair_cli.lock import locked
from lorair_cli.training.recipe import STAGES, Recipe, Stage
from lorair_cli.training.recipe_file import as_toml, differences, read_recipe
from lorair_cli.training.reporting import Every, Reporter, progress_line
from lorair_cli.weights.manifest import identity

LOG_SECONDS = 60.0
"""Time between two lines of progress in the log."""


@dataclass(frozen=True)
class RunFolder:
    """One run's files: ``recipe.toml``, ``run.json``, ``log.txt``, and for each stage its state, then its result."""

    path: Path

    def result(self, stage: Stage) -> Path:
        """The checkpoint that a stage ends with."""
        return self.path / f"{stage}.safetensors"

    def best(self, stage: Stage) -> Path:
        """The checkpoint of the best validation of a stage."""
        return self.path / f"{stage}-best.safetensors"

    def state(self, stage: Stage) -> Path:
        """What a stage resumes from; gone when the result is there."""
        return self.path / f"{stage}.state"

    @contextmanager
    def alone(self) -> Iterator[None]:
        """Make the folder; within the block, no other run works in it. A killed run leaves it to the next.

        Raises:
            TrainingError: another run is working here, or the folder cannot be made.
        """
        self._make()
        with locked(self._log) as mine:
            if not mine:
                raise TrainingError(
                    f"{self.path}: another run is working here", "wait for its end, or name another folder with --out"
                )
            yield

    def claim(self, recipe: Recipe, setting: str, start_from: Path | None, valid: str | None = None) -> None:
        """Make the folder and write down whose run it holds, or see that it holds this very run.

        A run that ended before it saved anything, such as one that was refused, leaves the folder to any other.

        Args:
            recipe: the resolved recipe, kept as ``recipe.toml``: a file that ``--recipe`` takes.
            setting: name of the setting.
            start_from: the checkpoint that the run starts from, if any: known by its name and its contents, since all
                that this program trains end in files of the same name.
            valid: what the run is validated by, if it is, in words that tell it from other data. It may not change: the
                best checkpoint so far is known by a score.

        Raises:
            TrainingError: the folder holds a run of another recipe, setting, start or validation, or cannot be written.
        """
        self._make()
        name, weights = (None, None) if start_from is None else (start_from.name, identity([start_from]))
        facts: dict[str, Any] = {"setting": setting, "start_from": name, "start_weights": weights}
        if valid is not None:
            facts["valid"] = valid
        recipe_file, facts_file = self.path / "recipe.toml", self._facts
        anew = facts_file.is_file() and not self._has_saved()
        held = _read_facts(facts_file) if facts_file.is_file() and not anew else {}
        self._compare(facts, held)
        known = recipe_file.is_file()
        try:
            if known:
                self._compare_recipe(recipe, recipe_file)
        except TrainingError:
            if not anew:
                raise
            known = False
        if not known:
            self._write(recipe_file, as_toml(recipe))
        self._write(facts_file, json.dumps(facts | held, indent=2) + "\n")

    def remember(self, shown: str) -> None:
        """Write down, before anything is saved of it, that the run has learnt from ``shown``.

        Args:
            shown: the data, in words that tell it from other data. It may change, when a damaged photo was taken out.
        """
        facts = _read_facts(self._facts) if self._facts.is_file() else {}
        before = facts.get("shown", [])
        if shown not in before:
            self._write(self._facts, json.dumps(facts | {"shown": [*before, shown]}, indent=2) + "\n")

    def shown(self) -> list[str]:
        """What the run has ever learnt from, the last of it last; empty if it has saved nothing yet."""
        return [str(one) for one in _read_facts(self._facts).get("shown", [])] if self._facts.is_file() else []

    def log(self, reporter: Reporter) -> Reporter:
        """``reporter``, with everything written to ``log.txt`` as well."""
        return LogFile(self._log, reporter)

    @property
    def _log(self) -> Path:
        return self.path / "log.txt"

    @property
    def _facts(self) -> Path:
        return self.path / "run.json"

    def _has_saved(self) -> bool:
        """Whether weights or a state of any stage are here."""
        return any(file(stage).is_file() for stage in STAGES for file in (self.result, self.best, self.state))

    def _make(self) -> None:
        try:
            self.path.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise TrainingError(f"{self.path}: cannot be a run's folder: {error.strerror}") from error

    def _compare(self, asked: Mapping[str, Any], held: Mapping[str, Any]) -> None:
        for name, value in asked.items():
            if name in held and held[name] != value:  # earlier versions wrote down less
                raise self._other_run(f"{name} {held.get(name) or 'nothing'}, not {value or 'nothing'}")

    def _compare_recipe(self, recipe: Recipe, file: Path) -> None:
        try:
            held = read_recipe(file)
        except UsageError as error:
            raise TrainingError(f"{self.path}: holds a run whose {error.message}") from error
        if others := differences(held, recipe):
            more = f" and {len(others) - 1} more" if len(others) > 1 else ""
            raise self._other_run(f"another recipe: {others[0]} differs{more}")

    def _other_run(self, what: str) -> TrainingError:
        return TrainingError(f"{self.path}: holds a run with {what}", "name another folder with --out")

    def _write(self, file: Path, text: str) -> None:
        with suppress(OSError):
            if file.read_bytes() == text.encode():
                return
        with written(file) as out:
            out.write(text.encode())


@contextmanager
def written(file: Path) -> Iterator[BinaryIO]:
    """:func:`atomic_write` for a run's files.

    Raises:
        TrainingError: the disk is full or the folder cannot be written; what was there before stays as it is.
    """
    try:
        with atomic_write(file) as out:
            yield out
    except OSError as error:
        reason = error.strerror or str(error)
        raise TrainingError(f"{file}: cannot be written: {reason}", "what was saved before is intact") from error


class LogFile:
    """A reporter that appends dated plain lines to a file and passes everything on."""

    def __init__(self, path: Path, reporter: Reporter) -> None:
        self.path, self.reporter = path, reporter
        self._due = Every(LOG_SECONDS)

    def line(self, text: str) -> None:
        """A line for the log."""
        self._append(text)
        self.reporter.line(text)

    def progress(self, stage: str, done: float, loss: float, rate: float, seconds_left: float) -> None:
        """Progress: passed on each time, logged now and then."""
        if self._due():
            self._append(progress_line(stage, done, loss, rate, seconds_left))
        self.reporter.progress(stage, done, loss, rate, seconds_left)

    def _append(self, text: str) -> None:
        stamp = datetime.now().strftime("%Y-%m-%d %H:%M:%S")
        # A log is not worth a run: on a full disk the next state will say so.
        with suppress(OSError), self.path.open("a", encoding="utf-8") as file:
            file.write("".join(f"{stamp} {line}\n" for line in text.splitlines()))


def _read_facts(file: Path) -> dict[str, Any]:
    try:
        facts = json.loads(file.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise TrainingError(f"{file}: cannot be read: {error}") from error
    if not isinstance(facts, dict) or not isinstance(facts.get("shown", []), list):
        raise TrainingError(f"{file}: does not describe a run")
    return facts
