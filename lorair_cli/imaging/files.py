"""Files that are whole or absent: everything this project writes goes through :func:`atomic_write`."""

from __future__ import annotations

import contextlib
import os
import stat
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

READABLE = frozenset({".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".webp", ".tif", ".tiff", ".bmp", ".dib"})
"""Suffixes that a folder is searched for; a file named on the command line is read whatever its suffix."""


@contextlib.contextmanager
def atomic_write(path: Path) -> Iterator[BinaryIO]:
    """A binary file to write into that appears as ``path`` when the block ends well, and never otherwise.

    The bytes go to a temporary file in the same folder, are flushed to the disk and then renamed over ``path``. Until
    then an existing file stays as it is; on any exception, Ctrl-C included, the temporary file is removed. A new file
    gets the permissions the umask allows, a replaced one keeps its own; a symbolic link is written through.

    Raises ``OSError``: the folder is missing or not writable, the disk is full, or ``path`` is no regular file (a
    rename would put a file in the place of a device or a pipe).
    """
    target = Path(os.path.realpath(path))
    mode = _mode_of_existing(target)
    # The name is short and our own: one made from ``path`` could pass the 255 bytes that file systems allow.
    temporary = target.parent / f".lorair-{uuid.uuid4().hex[:16]}.tmp"
    descriptor = os.open(temporary, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o666)
    try:
        with os.fdopen(descriptor, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
        if mode is not None:
            temporary.chmod(mode)
        os.replace(temporary, target)  # noqa: PTH105 - the name of the promise, and what tests break on purpose
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise
    _sync_folder(target.parent)


def _mode_of_existing(target: Path) -> int | None:
    """Permission bits of the file to replace, ``None`` if there is none; ``OSError`` if it is no regular file."""
    try:
        status = target.stat()
    except FileNotFoundError:
        return None
    if stat.S_ISDIR(status.st_mode):
        raise IsADirectoryError(f"is a folder: {target}")
    if not stat.S_ISREG(status.st_mode):
        raise OSError(f"is not a regular file: {target}")
    return stat.S_IMODE(status.st_mode)


def _sync_folder(folder: Path) -> None:
    """Make the rename itself last through a power cut, where the system can do that (not on Windows)."""
    with contextlib.suppress(OSError):
        descriptor = os.open(folder, os.O_RDONLY)
        try:
            os.fsync(descriptor)
        finally:
            os.close(descriptor)


def printable(text: str) -> str:
    """``text`` with line breaks and other characters that would upset a terminal written as escapes."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode() for c in text)
