"""A lock on a file or a folder that the system takes from a killed process."""

from __future__ import annotations

import os
import sys
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

if sys.platform != "win32":
    import fcntl

    _held: set[int] = set()

    def _let_go() -> None:
        """Close what was inherited: a data worker outlives a killed run by seconds, and must not lock its folder."""
        for descriptor in _held:
            os.close(descriptor)
        _held.clear()

    os.register_at_fork(after_in_child=_let_go)


@contextmanager
def locked(file: Path) -> Iterator[bool]:
    """Within the block, nobody else has the lock on ``file``, which is made if it is not there, or is a folder.

    Yields False if somebody else has it. Never raises: Windows and some network file systems have no such locks, and
    who may not write the file has nothing to lock; nobody is kept out there.
    """
    if sys.platform == "win32":
        yield True
        return
    try:
        descriptor = os.open(file, os.O_RDONLY if file.is_dir() else os.O_RDWR | os.O_CREAT, 0o666)
    except OSError:
        yield True
        return
    _held.add(descriptor)
    try:
        mine = True
        with suppress(OSError):  # a file system without locks
            try:
                fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except BlockingIOError:
                mine = False
        yield mine
    finally:
        _held.remove(descriptor)
        os.close(descriptor)
