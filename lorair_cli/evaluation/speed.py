"""How fast and how hungry a restorer is: seconds per megapixel, share of the router, tiles, peak memory."""

from __future__ import annotations

import re
import sys
import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch

from lorair_cli.data.contact_sheet import sample_photos
from lorair_cli.errors import UsageError
from lorair_cli.imaging.limits import MAX_PIXELS
from lorair_cli.imaging.photo import Photo
from lorair_cli.restoration.choices import Choices
from lorair_cli.restoration.restorer import Restorer


@dataclass(frozen=True)
class Speed:
    """One photo size on one device in one precision."""

    width: int
    height: int
    device: str
    precision: str
    seconds: float
    """The faster of two restorations; a small photo has warmed everything up before."""
    seconds_per_megapixel: float
    router_share: float
    """Part of the time that one look of the router took, 0 to 1; it looks once a pass, or more to check a result."""
    tiles: int
    peak_mb: float | None
    """Most memory in use during a restoration, MiB: the GPU's for torch, else the whole process's; None if unknown."""


def parse_size(text: str) -> tuple[int, int]:
    """``1920x1080`` as width and height in pixels; ``UsageError`` if it is no size, or that of no photo."""
    match = re.fullmatch(r"(\d{1,6})x(\d{1,6})", text.strip())
    if match is None or 0 in (width := int(match[1]), height := int(match[2])):
        raise UsageError(f"{text!r} is no size", "write it as 1920x1080")
    if width * height > MAX_PIXELS:
        raise UsageError(f"{text} is larger than any photo", f"at most {MAX_PIXELS / 1e6:.0f} megapixels")
    return width, height


def measure_speed(restorer: Restorer, size: tuple[int, int], passes: int | None = 1) -> Speed:
    """Restore a sample photo, continued by its mirror images to ``size`` (width, height), and look at the clock.

    ``passes`` is as in ``Choices``, one being the paper's way.
    """
    width, height = size
    _, sample = sample_photos()[0]
    tall, wide = (max(n - side, 0) for n, side in zip((height, width), sample.shape[:2], strict=True))
    photo = Photo(
        np.ascontiguousarray(np.pad(sample, ((0, tall), (0, wide), (0, 0)), mode="symmetric")[:height, :width])
    )
    choices = Choices(passes=passes)
    restorer.restore(Photo(np.ascontiguousarray(sample[:64, :64])), choices=choices)
    started = time.perf_counter()
    restorer.route(photo)
    _finish(restorer.device)
    routing = time.perf_counter() - started
    _forget_peak(restorer.device)
    results = [restorer.restore(photo, choices=choices) for _ in range(2)]
    seconds = min(r.seconds for r in results)
    return Speed(
        width=width,
        height=height,
        device=str(restorer.device),
        precision=restorer.precision,
        seconds=seconds,
        seconds_per_megapixel=seconds / (width * height / 1e6),
        router_share=min(routing / seconds, 1.0),
        tiles=results[0].tiles,
        peak_mb=_peak(restorer.device),
    )


def _finish(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.synchronize(device)
    elif device.type == "mps":
        torch.mps.synchronize()


_CLEAR, _STATUS = Path("/proc/self/clear_refs"), Path("/proc/self/status")


def _forget_peak(device: torch.device) -> None:
    if device.type == "cuda":
        torch.cuda.reset_peak_memory_stats(device)
    elif sys.platform == "linux":
        try:
            _CLEAR.write_text("5")  # Linux: the peak of the resident set starts again from now
        except OSError:
            return


def _peak(device: torch.device) -> float | None:
    if device.type == "cuda":
        return float(torch.cuda.max_memory_allocated(device)) / 2**20
    if device.type == "cpu" and sys.platform == "linux" and _STATUS.is_file():
        match = re.search(r"VmHWM:\s+(\d+) kB", _STATUS.read_text())
        return int(match[1]) / 1024 if match else None
    return None
