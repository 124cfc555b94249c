"""A look at training data before hours are spent on it: what is there, what is missing, what must not be there."""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from lorair_cli.data.catalogue import LocatedSet
from lorair_cli.errors import ImageError
from lorair_cli.imaging.arrays import to_eight_bits
from lorair_cli.imaging.decode import read_photo


@dataclass(frozen=True)
class SetReport:
    """What was found of one training set."""

    located: LocatedSet
    unreadable: tuple[str, ...] = ()
    """One line for each file that is no picture: its path and why."""
    unlike: tuple[str, ...] = ()
    """Names of pairs whose pictures have different sizes."""
    in_test: tuple[str, ...] = ()
    """Names of pairs of which a picture, pixel by pixel, is in the test data too."""
    made: int | None = None
    """How many pairs `lorair data degrade` was to make, for a set that is its work; None for the published ones."""

    @property
    def expected(self) -> int:
        """How many pairs there should be; 0 where nobody knows."""
        return self.located.set.pairs if self.made is None else self.made

    @property
    def problems(self) -> list[str]:
        """A line for everything that is wrong, the worst first; empty if the set is as it should be."""
        s, found = self.located.set, len(self.located.pairs)
        lines = [*self.unreadable]
        lines += _named("belong to a test set by their name, and are left out", self.located.leaked)
        lines += _named("are in the test data", self.in_test)
        lines += _named("have a truth of another size", self.unlike)
        lines += _named("have no truth", self.located.without_truth)
        lines += _named("are truths without an input", self.located.without_input)
        if self.expected and found != self.expected:
            memory = ", a number from memory" if s.evidence == "remembered" else ""
            lines.append(f"{found} of {self.expected} pairs{memory if self.made is None else ' that were to be made'}")
        return lines


@dataclass(frozen=True)
class DataReport:
    """What was found of training sets, and of the test data that they were compared with."""

    sets: tuple[SetReport, ...]
    compared: int
    """Test pictures that could be read: of the others nobody knows whether they are in the sets."""
    unreadable: tuple[str, ...] = ()
    """One line for each test picture that is none: its path and why."""


def check_sets(
    located: Sequence[LocatedSet],
    test: Iterable[Path] = (),
    tick: Callable[[], object] = lambda: None,
    threads: int | None = None,
) -> DataReport:
    """Read every picture once.

    Args:
        located: the training sets.
        test: pictures that training must not contain, be it under another name or in another file format.
        tick: called after each picture.
        threads: that decode; None takes as many as there are cores.

    Returns:
        A report with one for each set. Nothing is raised for files that are no pictures: they are in the reports.
    """
    with ThreadPoolExecutor(threads) as pool:

        def look_at(paths: Iterable[Path]) -> dict[Path, _Look]:
            wanted = list(dict.fromkeys(paths))
            looks = {}
            for path, look in zip(wanted, pool.map(_look, wanted), strict=True):
                looks[path] = look
                tick()
            return looks

        tested = look_at(test).values()
        forbidden = {look.digest for look in tested if not look.error}
        sets = (_report(one, look_at(p for _, *both in one.pairs for p in both), forbidden) for one in located)
        unreadable = _errors(tested)
        return DataReport(tuple(sets), len(tested) - len(unreadable), unreadable)


@dataclass(frozen=True)
class _Look:
    size: tuple[int, int] = (0, 0)
    digest: bytes = b""
    error: str = field(default="")


def _look(path: Path) -> _Look:
    try:
        rgb = to_eight_bits(read_photo(path).rgb)
    except ImageError as error:
        return _Look(error=error.message)
    digest = hashlib.blake2b(repr(rgb.shape).encode() + rgb.tobytes(), digest_size=16).digest()
    return _Look((rgb.shape[0], rgb.shape[1]), digest)


def _report(located: LocatedSet, looks: dict[Path, _Look], forbidden: set[bytes]) -> SetReport:
    unlike, in_test = [], []
    for name, lq, gt in located.pairs:
        one, other = looks[lq], looks[gt]
        if not one.error and not other.error and one.size != other.size:
            unlike.append(name)
        if {one.digest, other.digest} & forbidden:
            in_test.append(name)
    return SetReport(located, _errors(looks.values()), tuple(unlike), tuple(in_test))


def _errors(looks: Iterable[_Look]) -> tuple[str, ...]:
    return tuple(look.error for look in looks if look.error)


def _named(what: str, names: Sequence[str]) -> list[str]:
    return [f"{len(names)} {what}: {', '.join(names)}"] if names else []
