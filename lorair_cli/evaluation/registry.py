"""The benchmark registry: what each data set is called, how it lies on disk, how it is measured, where to get it."""

from __future__ import annotations

import difflib
import sys
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Literal

from lorair_cli.errors import UsageError
from lorair_cli.evaluation.protocols import PROTOCOLS, Protocol
from lorair_cli.settings import TEN_DEGRADATIONS, get_setting
from lorair_cli.tables import build

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

BUILTIN = "builtin"
"""Name of the benchmarks that need no download, all together."""
BUILTIN_PHOTOS = 4

Rule = Literal[
    "same-name",
    "outdoor-rain",
    "raindrop",
    "before-underscore",
    "weatherstream",
    "realblur",
    "sorted",
    "noise",
    "arrays",
    "no-truth",
    "builtin",
]
"""How an input finds its ground truth; see :mod:`lorair_cli.data.pairing`."""


@dataclass(frozen=True)
class Layout:
    """Where the pictures of a benchmark lie."""

    input: tuple[str, ...] = ()
    """Folders (or, for arrays, files) of which the first that is there holds the inputs."""
    target: tuple[str, ...] = ()
    """The same for the ground truth."""
    rule: Rule = "same-name"
    files: str = "*"
    """Pattern that the inputs match, from their folder."""
    sigma: int = 0
    """Rule ``noise``: standard deviation, 0 to 255."""
    passes_before: int = 0
    """Rule ``noise``: how often the stream of random numbers has gone over all pictures before."""


@dataclass(frozen=True)
class WrongCount:
    """A number of pairs by which a well-known other version is recognised."""

    pairs: int
    reason: str


@dataclass(frozen=True)
class Benchmark:
    """One data set and how it is measured."""

    name: str
    degradation: str
    """What is wrong with its pictures, in this project's names: what the router should say."""
    protocols: dict[str, list[str]]
    """For each of the paper's settings (I to V, or mixed): names of protocols, the cited work's first."""
    layout: Layout
    obtain: str
    """A key of the registry's sources."""
    pairs: int = 0
    """How many a complete copy holds; 0 is unknown."""
    evidence: Literal["read", "stated", "derived", "remembered", "unknown"] = "unknown"
    """How well ``pairs`` is known."""
    aliases: tuple[str, ...] = ()
    note: str = ""
    wrong: tuple[WrongCount, ...] = ()
    strays: tuple[str, ...] = ()
    """Names without suffix of pictures that do not belong to it and are left out."""

    def __post_init__(self) -> None:
        """Refuse protocols that do not exist or that prepare pictures in different ways: ``ValueError``."""
        for setting, names in self.protocols.items():
            if not names or any(name not in PROTOCOLS for name in names):
                raise ValueError(f"protocols.{setting} of {self.name}: {names}")
            if len({(PROTOCOLS[n].multiple, PROTOCOLS[n].split) for n in names}) > 1:
                raise ValueError(f"protocols.{setting} of {self.name} cut pictures in different ways")

    @property
    def settings(self) -> tuple[str, ...]:
        """The paper's settings that it is part of."""
        return tuple(self.protocols)

    def protocols_for(self, setting: str) -> tuple[Protocol, ...]:
        """Its protocols in the paper's ``setting``, or in its first one where it is no part of that."""
        names = self.protocols.get(setting) or next(iter(self.protocols.values()))
        return tuple(PROTOCOLS[name] for name in names)

    def setting_for(self, setting: str) -> str:
        """``setting`` if the benchmark is part of it, else the first one that it is part of."""
        return setting if setting in self.protocols else next(iter(self.protocols))


@dataclass(frozen=True)
class Group:
    """Benchmarks whose mean over sets, each counting once, is a number of its own."""

    name: str
    setting: str
    members: tuple[str, ...]
    aliases: tuple[str, ...] = ()

    @property
    def settings(self) -> tuple[str, ...]:
        """The paper's settings that it is part of: its one."""
        return (self.setting,)


@dataclass(frozen=True)
class Registry:
    """All benchmarks and groups, and where data sets can be had."""

    sources: dict[str, str]
    benchmark: tuple[Benchmark, ...]
    group: tuple[Group, ...]

    def __post_init__(self) -> None:
        """Refuse names that are used twice or do not exist: ``ValueError``.

        Two benchmarks may share an alias where no setting has both, as papers call different things "Rain100L".
        """
        names = [_plain(entry.name) for entry in self.entries]
        names += {_plain(n) for entry in self.entries for n in entry.aliases}
        shared = [(_plain(n), s) for entry in self.entries for n in entry.aliases for s in entry.settings]
        twice = {n for n in names if names.count(n) > 1} | {n for n, s in shared if shared.count((n, s)) > 1}
        if twice:
            raise ValueError(f"used twice: {', '.join(sorted(twice))}")
        known = {b.name for b in self.benchmark}
        if lost := sorted({m for g in self.group for m in g.members} - known):
            raise ValueError(f"members that are no benchmarks: {', '.join(lost)}")
        if lost := sorted({b.obtain for b in self.benchmark if b.obtain} - self.sources.keys()):
            raise ValueError(f"sources that are not listed: {', '.join(lost)}")

    @property
    def entries(self) -> tuple[Benchmark | Group, ...]:
        """Benchmarks, then groups."""
        return (*self.benchmark, *self.group)

    def find(self, name: str, setting: str = "") -> Benchmark | Group:
        """The benchmark or group called ``name`` or known by it as an alias, whatever its case.

        Of several with that alias it is the one in the paper's ``setting``, else the first. Raises ``UsageError`` with
        the nearest names where there is none.
        """
        entries: dict[str, list[Benchmark | Group]] = {}
        for entry in self.entries:
            for known in (entry.name, *entry.aliases):
                entries.setdefault(_plain(known), []).append(entry)
        if found := entries.get(wanted := _plain(name)):
            return next((entry for entry in found if setting in entry.settings), found[0])
        near = difflib.get_close_matches(wanted, entries, n=3, cutoff=0.5)
        hint = f"did you mean {', '.join(near)}? " if near else ""
        raise UsageError(f"there is no benchmark {name!r}", f"{hint}`lorair bench --list` names them all")

    def members(self, name: str) -> tuple[Benchmark, ...]:
        """The benchmark called ``name``, or those of the group called so; ``UsageError`` if there is neither."""
        entry = self.find(name)
        if isinstance(entry, Benchmark):
            return (entry,)
        return tuple(b for m in entry.members for b in self.benchmark if b.name == m)

    def of_setting(self, setting: str) -> tuple[Benchmark, ...]:
        """All benchmarks of the paper's ``setting`` (I to V, or mixed)."""
        return tuple(b for b in self.benchmark if setting in b.protocols)


@lru_cache(maxsize=1)
def load_registry() -> Registry:
    """The registry in the package, and the built-in benchmarks."""
    raw = tomllib.loads(Path(__file__).with_name("benchmarks.toml").read_text(encoding="utf-8"))
    listed = build(Registry, raw)
    return Registry(listed.sources, listed.benchmark + _builtin(), (*listed.group, _builtin_group()))


def _builtin() -> tuple[Benchmark, ...]:
    return tuple(
        Benchmark(
            name=f"{BUILTIN}-{degradation}",
            degradation=degradation,
            protocols={BUILTIN: ["rgb"]},
            layout=Layout(rule="builtin"),
            obtain="",
            pairs=BUILTIN_PHOTOS,
            evidence="read",
            note="Made from scikit-image's sample photos at strength 0.5; no number of any paper.",
        )
        for degradation in TEN_DEGRADATIONS
    )


def _builtin_group() -> Group:
    return Group(BUILTIN, BUILTIN, tuple(f"{BUILTIN}-{d}" for d in TEN_DEGRADATIONS))


def paper_setting(name: str) -> str:
    """Roman number of the project's setting ``name``; ``UsageError`` if there is no such setting.

    >>> paper_setting("5task")
    'IV'
    """
    return get_setting(name).paper.split(",")[0]


def _plain(name: str) -> str:
    return name.casefold().replace("_", "-").replace(" ", "-")
