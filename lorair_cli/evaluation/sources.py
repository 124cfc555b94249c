"""Which code made a number: a hash over the sources of all that restores and measures."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from functools import cache
from importlib.resources import files
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from importlib.abc import Traversable

PARTS = ("model", "imaging", "restoration", "evaluation")
"""Packages whose code decides numbers. What else does is hashed as such: the weights' files, and the pictures."""


@cache
def own_sources() -> str:
    """``sources_hash`` of the code that runs; read once, some milliseconds."""
    return sources_hash(files("lorair_cli"))


def sources_hash(package: Traversable) -> str:
    """SHA-256 in hex over names and contents of the Python files in the ``PARTS`` of a package, a zipped one too."""
    digest = hashlib.sha256()
    for part in PARTS:
        for name, content in _python_files(package.joinpath(part), part):
            digest.update(f"{name} {len(content)}\n".encode() + content)
    return digest.hexdigest()


def _python_files(folder: Traversable, name: str) -> Iterator[tuple[str, bytes]]:
    for entry in sorted(folder.iterdir(), key=lambda found: found.name):
        if entry.is_dir():
            yield from _python_files(entry, f"{name}/{entry.name}")
        elif entry.name.endswith(".py"):
            yield f"{name}/{entry.name}", entry.read_bytes()
