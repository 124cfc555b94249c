"""The catalogue of training sets: how each lies on disk, what belongs together, how much there should be."""

from __future__ import annotations

import re
import sys
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Literal

from lorair_cli.data.pairing import RULES, find_path, pair_by_name, picture_files
from lorair_cli.settings import get_setting
from lorair_cli.tables import build

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib


@dataclass(frozen=True)
class TrainingSet:
    """One degradation's part of a setting's training data."""

    name: str
    setting: str
    degradation: str
    input: tuple[str, ...]
    """Folders of inputs below the folder of data, the usual one first."""
    target: tuple[str, ...]
    """Folders of ground truth; none where the inputs are clean and noise is added while training."""
    written: str
    """What `lorair data degrade` calls an input, without suffix; ``{n}`` counts from 1."""
    obtain: str
    """A key of the catalogue's sources."""
    written_target: str = ""
    """The same for a ground truth; empty is the input's name."""
    files: str = "*"
    """Which files below the input's folder."""
    names: str = ".*"
    """Pattern of the names that belong here, where several degradations share a folder."""
    rule: str = "same-name"
    """How an input finds its truth: a key of ``RULES``."""
    sigmas: tuple[int, ...] = ()
    """Standard deviations, in 8-bit levels, of the noise that is added to clean photos."""
    leaks: str = ""
    """Pattern of names that belong to a test set and must not be here."""
    pairs: int = 0
    """How many a complete copy holds; 0 is unknown."""
    evidence: Literal["read", "stated", "derived", "remembered", "unknown"] = "unknown"
    """How well ``pairs`` is known."""
    note: str = ""

    def __post_init__(self) -> None:
        """Refuse what cannot be: ``ValueError`` names the set."""
        if get_setting(self.setting).index(self.degradation) < 0 or self.rule not in RULES or not self.input:
            raise ValueError(f"{self.name}: its rule {self.rule} is not known, or it has no folder")
        if bool(self.target) == bool(self.sigmas):
            raise ValueError(f"{self.name}: has either folders of truth or sigmas")


@dataclass(frozen=True)
class Catalogue:
    """All training sets, and where they can be had."""

    sources: dict[str, str]
    set: tuple[TrainingSet, ...]

    def of_setting(self, setting: str) -> tuple[TrainingSet, ...]:
        """The sets of one of the project's settings, in the order of its labels; ``UsageError`` if there is none."""
        known = get_setting(setting)
        mine = [s for s in self.set if s.setting == known.name]
        return tuple(sorted(mine, key=lambda s: known.index(s.degradation)))


@lru_cache(maxsize=1)
def load_catalogue() -> Catalogue:
    """The catalogue in the package."""
    return build(Catalogue, tomllib.loads(Path(__file__).with_name("training_sets.toml").read_text(encoding="utf-8")))


@dataclass(frozen=True)
class LocatedSet:
    """A training set that was found on disk."""

    set: TrainingSet
    pairs: tuple[tuple[str, Path, Path], ...]
    """Name, input, truth; for clean photos that get noise, both are the photo. Sorted by name."""
    without_truth: tuple[str, ...] = ()
    without_input: tuple[str, ...] = ()
    leaked: tuple[str, ...] = ()
    """Pairs that belong to a test set. They are not among ``pairs``."""


def locate_set(training_set: TrainingSet, root: Path) -> LocatedSet | None:
    """The set's files below ``root``; None if its folders are not there or hold nothing of it.

    Raises ``UsageError`` if two files share a name but for the suffix.
    """
    source = _first(root, training_set.input)
    if source is None:
        return None
    inputs = _belonging(training_set, picture_files(source, training_set.files))
    if training_set.sigmas:
        return LocatedSet(training_set, tuple((k, p, p) for k, p in inputs.items())) if inputs else None
    target = _first(root, training_set.target)
    if target is None:
        return None
    targets = _belonging(training_set, picture_files(target, "**/*"))
    taken = set(inputs.values())
    targets = {key: path for key, path in targets.items() if path not in taken}
    paired = pair_by_name(inputs, targets, training_set.rule)
    if not paired.pairs and not paired.without_truth and not targets:
        return None
    used = {truth for _, _, truth in paired.pairs}
    leaks = re.compile(training_set.leaks) if training_set.leaks else None
    leaked = [key for key, _, _ in paired.pairs if leaks is not None and leaks.fullmatch(key)]
    return LocatedSet(
        training_set,
        tuple(pair for pair in paired.pairs if pair[0] not in set(leaked)),
        paired.without_truth,
        tuple(key for key, path in targets.items() if path not in used),
        tuple(leaked),
    )


def _belonging(training_set: TrainingSet, files: dict[str, Path]) -> dict[str, Path]:
    mine = re.compile(training_set.names)
    return {key: path for key, path in files.items() if mine.fullmatch(key.rpartition("/")[2])}


def _first(root: Path, places: tuple[str, ...]) -> Path | None:
    found = (find_path(root, place) for place in places)
    return next((path for path in found if path is not None and path.is_dir()), None)
