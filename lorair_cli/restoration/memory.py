"""How large a tile may be: what the network needs and what the device has."""

from __future__ import annotations

import os
from pathlib import Path

import torch

from lorair_cli.model.config import NetworkConfig

LARGEST_TILE = 1024
"""Side in pixels of the tile that every device with enough memory takes, so that all of them give the same picture:
few pixels are computed twice, and the compact network needs about 0.6 GB."""

LARGEST_WHOLE = 2_400_000
"""Pixels of a photo that is not cut up at all, where memory allows: what an expert pools is then that of the whole."""

_SIDES = (LARGEST_TILE, 768, 512, 384, 256, 192, 128)

FINEST_MAPS = 13
"""Peak memory of the network per tile pixel, counted in float32 feature maps of its finest stage. Measured on the CPU:
10.3 to 12.9 for the compact network, 9.6 to 11.8 at the paper's width with one block per stage; reduced precisions need
less."""

_SHARE = 0.5
"""Part of the free memory to plan with: the photo itself, the next one being read, and other programs need the rest."""

_GROUP = Path("/sys/fs/cgroup")
"""Where Linux tells a container its limits."""


def bytes_per_pixel(config: NetworkConfig) -> float:
    """Peak memory of the network per pixel of a tile, in bytes."""
    return FINEST_MAPS * 4 * config.width / config.stem**2


def choose_tile(config: NetworkConfig, free: int | None) -> int:
    """The side in pixels of the largest tile that ``free`` bytes allow; ``LARGEST_TILE`` if nobody knows how many."""
    if free is None:
        return LARGEST_TILE
    pixels = free * _SHARE / bytes_per_pixel(config)
    return next((side for side in _SIDES if side * side <= pixels), _SIDES[-1])


def choose_whole(config: NetworkConfig, free: int | None) -> int:
    """Pixels that a photo may have to be restored in one piece, when ``free`` bytes are to be had."""
    if free is None:
        return LARGEST_TILE**2
    return min(LARGEST_WHOLE, int(free * _SHARE / bytes_per_pixel(config)))


def free_memory(device: torch.device) -> int | None:
    """Bytes that new work can have on ``device``; None where the system does not say."""
    if device.type == "cuda":
        return int(torch.cuda.mem_get_info(device)[0])
    if device.type == "mps":
        return max(0, torch.mps.recommended_max_memory() - torch.mps.driver_allocated_memory())
    known = [free for free in (_available(), _left_in_group()) if free is not None]
    return min(known, default=None)


def _available() -> int | None:
    """Main memory that programs can have, page cache included; half of all of it where only that is known."""
    try:
        lines = Path("/proc/meminfo").read_text(encoding="ascii").splitlines()
        return next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemAvailable:"))
    except (OSError, StopIteration, ValueError, IndexError):
        pass
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") // 2
    except (AttributeError, OSError, ValueError):  # Windows has no sysconf
        return None


def _left_in_group() -> int | None:
    """What a container's limit leaves, on Linux; None without one. Page cache that can be dropped counts as free."""
    try:
        limit, used = (int((_GROUP / name).read_text(encoding="ascii")) for name in ("memory.max", "memory.current"))
        pairs = (line.split() for line in (_GROUP / "memory.stat").read_text(encoding="ascii").splitlines())
        cache = next((int(pair[1]) for pair in pairs if pair[0] == "inactive_file"), 0)
        return max(0, limit - used + cache)
    except (OSError, ValueError, IndexError):  # no such files, or the word "max"
        return None


FREE_SOME = "close other programs, or try --device cpu"
"""What a user can do where the smallest tiles do not fit."""


def release(device: torch.device) -> None:
    """Give cached blocks back to the device, so that a new attempt is not hindered by the pieces of the last one."""
    if device.type == "cuda":
        torch.cuda.empty_cache()
    elif device.type == "mps":
        torch.mps.empty_cache()
