"""How a run says what it does: the protocol, and what its listeners share. Nothing here imports torch."""

from __future__ import annotations

import time
from typing import Protocol


class Reporter(Protocol):
    """Where a run tells what it does."""

    def line(self, text: str) -> None:
        """Something worth keeping: one line, or a small table of several."""

    def progress(self, stage: str, done: float, loss: float, rate: float, seconds_left: float) -> None:
        """After each step: ``done`` in [0, 1], the smoothed loss, ``rate`` in photos a second."""


class Silence:
    """A reporter that says nothing: every process but the first has this one."""

    def line(self, text: str) -> None:
        """Not said."""

    def progress(self, stage: str, done: float, loss: float, rate: float, seconds_left: float) -> None:
        """Not said."""


class Every:
    """A question that is answered with yes once in ``seconds``; at once the first time, or in ``first`` seconds."""

    def __init__(self, seconds: float, first: float = 0.0) -> None:
        self.seconds = seconds
        self._next = time.monotonic() + first

    def __call__(self) -> bool:
        """Whether the time has come; if so, it is counted from now."""
        now = time.monotonic()
        if now < self._next:
            return False
        self._next = now + self.seconds
        return True


def progress_line(stage: str, done: float, loss: float, rate: float, seconds_left: float) -> str:
    """Progress as a plain line."""
    return f"{stage} {done:6.1%}  loss {loss:.4f}  {rate:.1f} photos/s  {duration(seconds_left)} left"


def duration(seconds: float) -> str:
    """Seconds as people say them: ``45 s``, ``12 min``, ``3 h 05 min``."""
    minutes = round(seconds / 60)
    if seconds < 90:
        return f"{seconds:.0f} s"
    return f"{minutes} min" if minutes < 90 else f"{minutes // 60} h {minutes % 60:02d} min"
