"""How a command's process treats the machine: threads that wait for each other, and memory that is kept for reuse."""

from __future__ import annotations

import ctypes
import os
import sys
from pathlib import Path

from lorair_cli.errors import UsageError

SPINS = "10000"
"""Rounds a thread waits awake, some ten microseconds: enough between two layers, too short to hold up other programs.

Measured on two cores with a photo of 0.8 megapixel: 0.40 s alone and 0.83 s beside one busy process; with OpenMP's own
default 0.38 s and 1.2 s, asleep at once (``OMP_WAIT_POLICY=PASSIVE``) 0.43 s and 0.66 s.
"""

_TRIM_THRESHOLD, _TOP_PAD, _MMAP_MAX, _ARENA_MAX = -1, -2, -4, -8  # malloc.h


def started_processes() -> int:
    """How many processes a launcher says it has started for this command, 1 or more; 1 without one.

    Raises ``UsageError`` if ``WORLD_SIZE`` is no such number. Empty counts as not set.
    """
    text = os.environ.get("WORLD_SIZE", "").strip() or "1"
    if not text.isdecimal() or int(text) < 1:
        raise UsageError(f"WORLD_SIZE is {text!r}, which is no number of processes", "unset WORLD_SIZE")
    return int(text)


def refuse_half_a_team(members: int, hint: str) -> None:
    """``UsageError`` if Accelerate's team has other than the started processes: each would do all the work."""
    if members != started_processes():
        raise UsageError(
            f"{started_processes()} processes were started, but Accelerate makes a team of {members}", hint
        )


def prepare_process() -> None:
    """Settings that must be made before torch and OpenCV are loaded; what the user has set in the environment stays."""
    _open_closed_streams()
    os.environ.setdefault("OPENCV_LOG_LEVEL", "ERROR")  # its warnings name no photo
    if "OMP_WAIT_POLICY" not in os.environ:
        os.environ.setdefault("GOMP_SPINCOUNT", SPINS)
    if not any(name.startswith("MALLOC_") for name in os.environ):
        _keep_freed_memory()


closed_streams: set[str] = set()
"""Standard streams that were closed when the program started, by name."""


def _open_closed_streams() -> None:
    """Standard streams that whoever started the program has closed: nothing to read, and nobody who reads."""
    for name, mode in (("stdin", "r"), ("stdout", "w"), ("stderr", "w")):
        if getattr(sys, name) is None:
            closed_streams.add(name)
            stream = Path(os.devnull).open(mode, encoding="utf-8")  # noqa: SIM115 - as long as the program runs
            setattr(sys, name, stream)


def _keep_freed_memory() -> None:
    """Let glibc keep freed memory instead of giving every large block back to the system.

    Each layer's result is a block of megabytes: fetched anew each time, its pages are cleared each time, which took a
    sixth of a restoration and of a training step. One arena serves all threads, so that what the reading thread has
    freed is the network's to use: 48 megapixels took 2,130 MiB besides their pixels without that, 1,497 with it. Other
    C libraries have no such switches and are left alone.
    """
    if sys.platform != "linux":
        return
    try:
        libc = ctypes.CDLL(None)
        libc.gnu_get_libc_version  # noqa: B018  # only glibc has it
    except (OSError, AttributeError):
        return
    libc.mallopt(_ARENA_MAX, 1)
    libc.mallopt(_MMAP_MAX, 0)
    libc.mallopt(_TRIM_THRESHOLD, 2**31 - 1)
    libc.mallopt(_TOP_PAD, 64 * 2**20)
