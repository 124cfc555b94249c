"""``lorair doctor``: what this machine has, what ``auto`` picks and why, and whether a restoration works."""

from __future__ import annotations

import os
import platform
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

import lorair_cli
from lorair_cli.cli import options
from lorair_cli.cli.console import data, error_as_json, print_error, print_json
from lorair_cli.errors import LorairError
from lorair_cli.imaging.files import printable
from lorair_cli.settings import DEFAULT_SETTING, get_setting

if TYPE_CHECKING:
    import torch

PACKAGES = ("numpy", "pillow", "opencv-python-headless", "open_clip_torch", "huggingface_hub", "safetensors")

HEIGHT, WIDTH = 512, 768
"""Pixels of the photo that is restored for the time it takes."""


def doctor(
    setting: options.SettingOption = DEFAULT_SETTING,
    scale: options.ScaleOption = "compact",
    weights: options.WeightsOption = None,
    device: options.DeviceOption = "auto",
    precision: options.PrecisionOption = "auto",
    as_json: Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")] = False,
) -> None:
    """Tell what this machine has and what lorair makes of it, and restore a made-up photo.

    Nothing is downloaded. Exit code: 0 a restoration works, 1 it does not, and a line says why.

    Examples:

        lorair doctor

        lorair doctor --device cpu --json
    """
    from lorair_cli.restoration.device import choose_device, choose_precision

    get_setting(setting)
    chosen = choose_device(device)
    facts = {
        "versions": _versions(),
        "devices": _devices(),
        "choice": {
            "device": str(chosen),
            "device_reason": _device_reason(device, chosen),
            "precision": choose_precision(precision, chosen),
            "precision_reason": _precision_reason(precision, chosen),
        },
        "memory": _memory(chosen),
        "weights": _weights(),
    }
    problem: LorairError | None = None
    try:
        facts["restoration"] = _timed_restoration(setting, scale, weights, device, precision)
    except LorairError as error:
        problem = error
        facts["restoration"] = error_as_json(error)
    if as_json:
        print_json(facts)
    else:
        _print(facts)
    if problem is not None:
        print_error(problem)
        raise typer.Exit(1)


def _versions() -> dict[str, str]:
    import torch

    return {
        "lorair": lorair_cli.__version__,
        "python": platform.python_version(),
        "system": platform.platform(),
        "torch": torch.__version__,  # says more than its package does: which CUDA it is built for
        **{package: _version(package) for package in PACKAGES},
    }


def _version(package: str) -> str:
    try:
        return version(package)
    except PackageNotFoundError:
        return "not installed"


def _devices() -> dict[str, str]:
    """Name of each device that ``--device`` can take, and what it is."""
    import torch

    found = {"cpu": f"{os.cpu_count()} processors, {torch.get_num_threads()} threads"}
    if torch.cuda.is_available():
        for index in range(torch.cuda.device_count()):
            properties = torch.cuda.get_device_properties(index)
            found[f"cuda:{index}"] = f"{properties.name}, {_gigabytes(properties.total_memory)}"
    if torch.backends.mps.is_available():
        found["mps"] = "Apple graphics processor"
    return found


def _device_reason(asked: str, chosen: torch.device) -> str:
    import torch

    if asked != "auto":
        return "asked for"
    if chosen.type == "cuda":
        return "CUDA is there, and it is the fastest"
    missing = "this torch is built without CUDA" if torch.version.cuda is None else "torch finds no CUDA device"
    return missing + (", and MPS is there" if chosen.type == "mps" else ", and there is no MPS device")


def _precision_reason(asked: str, chosen: torch.device) -> str:
    from lorair_cli.restoration.device import choose_precision

    if asked != "auto":
        return "asked for"
    if choose_precision("auto", chosen) == "bfloat16":
        return f"this {chosen.type} computes in bfloat16 natively"
    return f"this {chosen.type} is not known to compute in bfloat16 natively"


def _memory(chosen: torch.device) -> dict[str, Any]:
    from lorair_cli.model.config import NetworkConfig
    from lorair_cli.restoration.memory import choose_tile, free_memory

    free = free_memory(chosen)
    return {"free_bytes": free, "tile_paper_scale": choose_tile(NetworkConfig(), free)}


def _weights() -> dict[str, Any]:
    from huggingface_hub import constants

    from lorair_cli.weights.manifest import read_manifest
    from lorair_cli.weights.store import files_here

    return {
        "here": [name for name, entry in read_manifest().items() if files_here(entry)],
        "cache": str(constants.HF_HUB_CACHE),
        "hub": str(constants.ENDPOINT),
        "offline": bool(constants.HF_HUB_OFFLINE),
    }


def _timed_restoration(setting: str, scale: str, weights: Path | None, device: str, precision: str) -> dict[str, Any]:
    import numpy as np

    from lorair_cli.errors import WeightsError
    from lorair_cli.imaging.photo import Photo
    from lorair_cli.restoration.restorer import Restorer
    from lorair_cli.weights.hub import is_good
    from lorair_cli.weights.manifest import read_manifest
    from lorair_cli.weights.store import files_here

    entry = next((e for e in read_manifest().values() if (e.setting, e.scale) == (setting, scale)), None)
    if weights is None and entry is not None:
        # Otherwise what is missing or damaged would be fetched, and this command changes nothing.
        files = files_here(entry)
        bad = next((path for path, expected in files if not is_good(path, expected)), None)
        if not files or bad is not None:
            which = f"the {scale} weights of setting {setting}"
            reason = f"{which} are not on this machine" if bad is None else f"{bad}: {which} are damaged"
            raise WeightsError(reason, "see `lorair weights download`")
    restorer = Restorer.from_pretrained(setting, scale=scale, weights=weights, device=device, precision=precision)
    slope = np.linspace(0, 255, WIDTH, dtype=np.uint8)
    photo = Photo(np.broadcast_to(slope[None, :, None], (HEIGHT, WIDTH, 3)).copy())
    seconds = restorer.restore(photo).seconds
    return {
        "status": "ok",
        "weights": f"{restorer.info.setting} ({restorer.info.scale})",
        "tile": restorer.tile,
        "width": WIDTH,
        "height": HEIGHT,
        "seconds": round(seconds, 3),
    }


def _print(facts: dict[str, Any]) -> None:
    def line(name: str, text: str) -> None:
        data.print(f"{name:<24}{printable(text)}")

    for name, text in {**facts["versions"], **facts["devices"]}.items():
        line(name, text)
    choice, memory, weights, restoration = (facts[key] for key in ("choice", "memory", "weights", "restoration"))
    line("device", f"{choice['device']}: {choice['device_reason']}")
    line("precision", f"{choice['precision']}: {choice['precision_reason']}")
    free = memory["free_bytes"]
    line("free memory", "unknown" if free is None else _gigabytes(free))
    line("tile at paper scale", f"{memory['tile_paper_scale']} pixels")
    line("weights here", ", ".join(weights["here"]) or "none")
    line("cache", weights["cache"])
    line("hub", f"{weights['hub']}{', not asked: HF_HUB_OFFLINE is set' if weights['offline'] else ''}")
    if restoration["status"] == "ok":
        size = f"{restoration['width']}x{restoration['height']}"
        line("restoration", f"{restoration['weights']}, {size} in {restoration['seconds']:.2f} s")


def _gigabytes(size: int) -> str:
    return f"{size / 2**30:.1f} GiB"
