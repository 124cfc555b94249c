"""What was measured, remembered picture by picture, so that nothing is measured twice."""

from __future__ import annotations

import json
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field
from pathlib import Path

from lorair_cli.errors import LorairError, UsageError
from lorair_cli.imaging.files import printable
from lorair_cli.tables import build

_BEGINNING = '{"key": "'
"""Of a record's line, also of another version's and of one that a crash cut off."""


@dataclass(frozen=True)
class Record:
    """One picture, restored and measured."""

    key: str
    """Hash of what the numbers depend on: sources, weights, options, protocols and both pictures. Records of other code
    stay in their file, and are not found again."""
    benchmark: str
    image: str
    weights: str
    before: dict[str, float]
    """Scores of the input itself, but for those that it cannot have, as one of another size than its result."""
    after: dict[str, float]
    """Scores of the result."""
    recognised: str = ""
    """Most probable degradation, by the router."""
    seconds: float = 0.0
    networks: dict[str, str] = field(default_factory=dict)
    """What measured each learned metric: another version gives other numbers."""


class Store:
    """Records in a file, one JSON object per line, each written the moment it is there.

    Args:
        path: the file; made when the first record comes. None remembers nothing beyond the process.
        known: other such files, only read.

    Raises:
        UsageError: one of the files holds something else, to which no record must be appended, or is a folder.
    """

    def __init__(self, path: Path | None, known: Sequence[Path] = ()) -> None:
        self.path = path
        files = [*known, path] if path is not None else known
        self._records = {record.key: record for file in files for record in _read_records(file)}

    def take(self, path: Path) -> None:
        """Keep the records of another such file too; errors as :meth:`add` and the class have them."""
        for record in _read_records(path):
            if self.find(record.key) != record:
                self.add(record)

    def find(self, key: str) -> Record | None:
        """The record with this key, if there is one."""
        return self._records.get(key)

    def add(self, record: Record) -> None:
        """Keep ``record``; ``LorairError`` if its file cannot be written."""
        self._records[record.key] = record
        if self.path is None:
            return
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("a+b") as file:  # a journal grows; a line cut off before is closed first
                if file.tell() and not _ends_with_newline(self.path):
                    file.write(b"\n")
                file.write(json.dumps(asdict(record)).encode() + b"\n")
        except OSError as error:
            raise LorairError(f"{self.path}: cannot be written: {error.strerror}", "choose another --results") from None


def _read_records(path: Path) -> list[Record]:
    if path.is_dir():
        raise UsageError(f"{printable(str(path))} is a folder", "name a file with --results")
    if not path.is_file():
        return []
    records = []
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    if any(line.strip() for line in lines) and not any(line.startswith(_BEGINNING) for line in lines):
        raise UsageError(f"{printable(str(path))} is no journal of measured pictures", "choose another --results")
    for line in lines:
        with suppress(ValueError):  # cut off by a crash, or written by another version: measured again
            records.append(build(Record, json.loads(line)))
    return records


def _ends_with_newline(path: Path) -> bool:
    with path.open("rb") as file:
        file.seek(-1, 2)
        return file.read(1) == b"\n"
