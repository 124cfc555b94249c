"""Is a file what it should be? Asked before every use, answered by its size and its SHA-256."""

from __future__ import annotations

import os
from functools import lru_cache
from pathlib import Path

from lorair_cli.weights.manifest import WeightFile, describe_file


def damage(path: Path, expected: WeightFile) -> str | None:
    """What is wrong with the content of ``path``, as a phrase for an error; None if it is as expected.

    Raises:
        OSError: the file cannot be read.
    """
    status = path.stat()
    if status.st_size != expected.bytes:
        return f"{status.st_size} bytes instead of {expected.bytes}"
    identity = (status.st_ino, status.st_size, status.st_mtime_ns)
    if _sha256(os.fspath(path), identity) != expected.sha256:
        return "wrong SHA-256"
    return None


@lru_cache(maxsize=64)
def _sha256(path: str, identity: tuple[int, ...]) -> str:
    """Computed once per process, as long as the file is the same one and unchanged since."""
    return describe_file(Path(path)).sha256
