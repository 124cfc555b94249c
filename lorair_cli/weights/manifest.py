"""``weights.toml``: every checkpoint this version knows, its files, and where they come from."""

from __future__ import annotations

import hashlib
import re
import sys
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path
from typing import Literal

from lorair_cli.errors import WeightsError
from lorair_cli.settings import SETTINGS
from lorair_cli.tables import FieldError, build
from lorair_cli.toml_lines import line_of

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

Scale = Literal["compact", "paper"]


@dataclass(frozen=True)
class WeightFile:
    """One file of a checkpoint."""

    name: str
    """Plain name, without folders."""
    sha256: str
    """Of the whole file, 64 lowercase hexadecimal digits; empty while the file is not published."""
    bytes: int
    """Size; 0 while the file is not published."""

    def __post_init__(self) -> None:
        if not re.fullmatch(r"\w[\w.-]*", self.name):
            raise ValueError(f"name {self.name!r} is not a plain file name")
        if not re.fullmatch(r"([0-9a-f]{64})?", self.sha256):
            raise ValueError(f"sha256 of {self.name} is not 64 lowercase hexadecimal digits")
        if self.bytes < 0 or bool(self.bytes) != bool(self.sha256):
            raise ValueError(f"bytes and sha256 of {self.name} are either both known or both not")

    @property
    def published(self) -> bool:
        """Whether its content is pinned."""
        return bool(self.sha256)


@dataclass(frozen=True)
class Source:
    """Where a checkpoint's files come from."""

    kind: Literal["bundled", "hub"]
    """``bundled``: in the package itself. ``hub``: in a Hugging Face repository."""
    repository: str = ""
    """``owner/name`` on the hub."""
    revision: str = ""
    """Branch, tag or commit on the hub."""

    def __post_init__(self) -> None:
        if (self.kind == "hub") != bool(self.repository and self.revision):
            raise ValueError("source has a repository and a revision if it is the hub, and only then")


@dataclass(frozen=True)
class Entry:
    """One checkpoint: the weights of one setting at one scale."""

    setting: str
    """One of the names in ``settings.py``."""
    scale: Scale
    format: Literal["lorair", "authors"]
    """``lorair``: this project's safetensors. ``authors``: the ``.pth`` files of LoRA-IR's authors."""
    source: Source
    files: tuple[WeightFile, ...]
    """The first is a whole checkpoint, which settings may share; what follows are experts of this setting's own."""
    licence: str
    """SPDX identifier."""
    degradations: tuple[str, ...]
    """Labels in the order of the router's logits."""
    trained_on: str
    paper: str
    """The numbers of the paper that these weights stand for, with their table."""
    note: str = ""

    def __post_init__(self) -> None:
        if self.setting not in SETTINGS:
            raise ValueError(f"setting {self.setting!r} is not one of {', '.join(SETTINGS)}")
        if self.degradations != SETTINGS[self.setting].degradations:
            raise ValueError(f"degradations are not those of setting {self.setting}, in its order")
        if not self.files:
            raise ValueError("files is empty")
        if not self.paper.strip():
            raise ValueError("paper is empty: which numbers of the paper do these weights stand for?")
        if self.format == "authors" and (len(self.files) != 2 or self.source.kind != "hub"):
            raise ValueError("format authors is two files of a hub repository, the network and the router")


Manifest = dict[str, Entry]
"""Entries by the name of their table, such as ``compact-10task``."""


def manifest_path() -> Path:
    """``weights.toml``: inside the package once installed, at the root of a source checkout."""
    packaged = Path(__file__).with_name("weights.toml")
    return packaged if packaged.is_file() else Path(__file__).parents[2] / "weights.toml"


def read_manifest(path: Path | None = None) -> Manifest:
    """Parse a manifest, by default the project's own.

    Raises:
        WeightsError: the file is missing, no TOML, or one of its tables is wrong; the error names line, table and
            field.
    """
    path = path or manifest_path()
    try:
        text = path.read_text(encoding="utf-8")
        raw = tomllib.loads(text)
    except OSError as error:
        raise WeightsError(f"{path}: cannot be read: {error.strerror}", "install lorair again") from None
    except ValueError as error:
        raise WeightsError(f"{path}: not valid TOML: {error}") from None
    return {name: _entry(path, text, name, table) for name, table in raw.items()}


def _entry(path: Path, text: str, name: str, table: object) -> Entry:
    try:
        return build(Entry, table)
    except FieldError as error:
        line = line_of(text, name, error.field)
        where = path if line is None else f"{path}, line {line}"
        raise WeightsError(f"{where}: [{name}]: {error}") from None


def describe_file(path: Path) -> WeightFile:
    """Name, SHA-256 and size of a file: what its line in ``weights.toml`` says."""
    digest = hashlib.sha256()
    with path.open("rb") as file:
        while block := file.read(1 << 20):
            digest.update(block)
        size = file.tell()
    return WeightFile(path.name, digest.hexdigest(), size)


def identity(files: Iterable[Path]) -> str:
    """What tells weights from all others in a report: the beginning of the SHA-256 of each of their files."""
    return "+".join(describe_file(path).sha256[:12] for path in files)
