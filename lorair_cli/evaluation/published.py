"""The paper's tables 1 to 10 as data: its own number and the best compared method's."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path

from lorair_cli.errors import UsageError
from lorair_cli.tables import build

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

RISING = frozenset({"psnr", "ssim", "accuracy"})
"""Metrics of which more is better; of all others, less is."""


@dataclass(frozen=True)
class Cell:
    """One printed number of LoRA-IR, and the best number of another method in its column."""

    benchmark: str
    """Name of a benchmark or group; ``router`` for what is said of the router itself."""
    metric: str
    paper: float
    best: float | None = None
    method: str = ""
    """Who reached ``best``."""
    all_in_one: float | None = None
    """The best all-in-one method's number, where ``best`` was reached by a method for one task."""
    all_in_one_method: str = ""
    variant: str = ""
    """Table 10: what was left out; empty is the full method."""


@dataclass(frozen=True)
class Table:
    """One table of the paper."""

    number: int
    setting: str
    """I to V, or mixed."""
    title: str
    cells: tuple[Cell, ...]


@dataclass(frozen=True)
class Published:
    """All tables."""

    table: tuple[Table, ...]


@lru_cache(maxsize=1)
def published_tables() -> tuple[Table, ...]:
    """The ten tables in order."""
    raw = tomllib.loads(Path(__file__).with_name("published.toml").read_text(encoding="utf-8"))
    return build(Published, raw).table


def get_table(number: int) -> Table:
    """Table ``number`` of the paper; ``UsageError`` if it has none."""
    for table in published_tables():
        if table.number == number:
            return table
    raise UsageError(f"the paper has no table {number}", "choose 1 to 10")


def find_cell(benchmark: str, metric: str, setting: str) -> Cell | None:
    """What the paper prints of its full method for a benchmark or group in one of its settings, if it does."""
    for table in published_tables():
        for cell in table.cells:
            if (cell.benchmark, cell.metric, table.setting, cell.variant) == (benchmark, metric, setting, ""):
                return cell
    return None
