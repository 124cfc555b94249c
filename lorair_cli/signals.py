"""Ctrl-C and SIGTERM as a question."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from types import FrameType


@contextmanager
def _handled_by(handler: Callable[[int, FrameType | None], None]) -> Iterator[None]:
    """Within the block, Ctrl-C and SIGTERM call ``handler``; outside the main thread Python allows no handlers."""
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    before = {number: signal.signal(number, handler) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, old in before.items():
            signal.signal(number, old)


@contextmanager
def stop_requested() -> Iterator[Callable[[], bool]]:
    """Turn Ctrl-C and SIGTERM into a question that the loop asks after each step; a second Ctrl-C interrupts at once.

    Outside the main thread the answer is always no.
    """
    asked = False

    def handler(number: int, frame: FrameType | None) -> None:
        nonlocal asked
        if asked and number == signal.SIGINT:
            raise KeyboardInterrupt
        asked = True

    with _handled_by(handler):
        yield lambda: asked


@contextmanager
def interrupted_at_once() -> Iterator[None]:
    """Within the block, which waits for something that may never come, Ctrl-C and SIGTERM raise ``KeyboardInterrupt``.

    In the main thread only.
    """

    def handler(number: int, frame: FrameType | None) -> None:
        raise KeyboardInterrupt

    with _handled_by(handler):
        yield


def leave_signals_to_the_main_process() -> None:
    """For a worker: Ctrl-C and ``timeout`` reach the whole process group, but the main process ends its workers itself.

    A worker that dies first would take the batch, and with it the run, down before the state is saved.
    """
    for number in (signal.SIGINT, signal.SIGTERM):
        signal.signal(number, signal.SIG_IGN)
