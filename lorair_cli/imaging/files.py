"""Files that are whole or absent: everything this project writes goes through :func:`atomic_write`."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import sys
import uuid
from collections.abc import Iterator
from pathlib import Path
from typing import BinaryIO

if sys.platform != "win32":
    import fcntl

_TEMPORARY = ".lorair-{}.tmp"

_NO_LINKS = frozenset((errno.EPERM, errno.ENOSYS, errno.EOPNOTSUPP, errno.ENOTSUP, errno.EMLINK))
"""What file systems without hard links say."""


@contextlib.contextmanager
def atomic_write(path: Path, *, replace: bool = True) -> Iterator[BinaryIO]:
    """A binary file to write into that appears as ``path`` when the block ends well, and never otherwise.

    The bytes go to a temporary file in the same folder, are flushed to the disk and then renamed over ``path``. Until
    then an existing file stays as it is; on any exception, Ctrl-C included, the temporary file is removed. After a kill
    :func:`remove_stale` removes it. A new file gets the permissions the umask allows, a replaced one keeps its own; a
    symbolic link is written through. If ``replace`` is false, a file that is there by then stays, whoever wrote it, and
    ``FileExistsError`` says so.

    Raises ``OSError``: the folder is missing or not writable, the disk is full, or ``path`` is no regular file (a
    rename would put a file in the place of a device or a pipe).
    """
    target = Path(os.path.realpath(path))
    mode = _mode_of_existing(target)
    temporary, descriptor = _create_locked(target.parent)
    try:
        with os.fdopen(descriptor, "wb") as file:
            yield file
            file.flush()
            os.fsync(file.fileno())
            if mode is not None:
                temporary.chmod(mode)
            if sys.platform != "win32":  # as long as the lock is held, so that nobody tidies it away before
                _publish(temporary, target, replace)
        if sys.platform == "win32":  # which renames no open file
            _publish(temporary, target, replace)
    except BaseException:
        with contextlib.suppress(OSError):
            temporary.unlink()
        raise
    _sync_folder(target.parent)


def _publish(temporary: Path, target: Path, replace: bool) -> None:
    """Give a whole file its name."""
    if not replace:
        try:
            target.hardlink_to(temporary)  # the one way to a name that fails if it is taken
        except OSError as error:
            if error.errno not in _NO_LINKS:
                raise
            if is_there(target):
                raise FileExistsError(errno.EEXIST, os.strerror(errno.EEXIST), str(target)) from None
        else:
            temporary.unlink()
            return
    os.replace(temporary, target)  # noqa: PTH105 - the name of the promise, and what tests break on purpose


def remove_stale(folder: Path) -> None:
    """Remove temporary files from ``folder`` whose writers were killed. Never raises: what cannot go, stays.

    A writer holds a lock on its file, and the system takes the lock from a dead one. On Windows, which has no such
    locks, a file in use cannot be removed anyway.
    """
    try:
        found = list(folder.glob(_TEMPORARY.format("*")))
    except OSError:
        return
    for path in found:
        with contextlib.suppress(OSError):
            if sys.platform == "win32":
                path.unlink()
                continue
            descriptor = os.open(path, os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK)
            try:
                if stat.S_ISREG(os.fstat(descriptor).st_mode):
                    fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
                    path.unlink()
            finally:
                os.close(descriptor)


def _create_locked(folder: Path) -> tuple[Path, int]:
    """A new temporary file in ``folder``, and its descriptor, which holds a lock where the system has them."""
    while True:
        # The name is short and our own: one made from the target's could pass the 255 bytes that file systems allow.
        path = folder / _TEMPORARY.format(uuid.uuid4().hex[:16])
        descriptor = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL | getattr(os, "O_BINARY", 0), 0o666)
        if sys.platform != "win32":
            with contextlib.suppress(OSError):  # some network file systems have no locks, and no cleaning up then
                fcntl.flock(descriptor, fcntl.LOCK_EX)
            if os.fstat(descriptor).st_nlink == 0:  # another process cleaned up between the two lines above
                os.close(descriptor)
                continue
        return path, descriptor


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


def is_there(path: Path) -> bool:
    """Whether there is something at ``path``.

    As :func:`is_folder` and :func:`is_file` it never raises, which pathlib's own do for a closed folder or a name that
    is too long: those are said where the photo is read or written, by a line that names it, and stop no other.
    """
    return os.path.exists(path)  # noqa: PTH110


def is_folder(path: Path) -> bool:
    """Whether ``path`` is a folder, or a link to one."""
    return os.path.isdir(path)  # noqa: PTH112


def is_file(path: Path) -> bool:
    """Whether ``path`` is a regular file, or a link to one."""
    return os.path.isfile(path)  # noqa: PTH113


def printable(text: str) -> str:
    """``text`` with line breaks and other characters that would upset a terminal written as escapes."""
    return "".join(c if c.isprintable() else c.encode("unicode_escape", "surrogatepass").decode() for c in text)
