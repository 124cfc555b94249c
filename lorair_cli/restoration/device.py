"""Where and in which number format the network runs."""

from __future__ import annotations

from typing import Literal

import torch

from lorair_cli.errors import DeviceError, UsageError

Precision = Literal["float32", "bfloat16", "float16"]
DTYPES: dict[Precision, torch.dtype] = {
    "float32": torch.float32,
    "bfloat16": torch.bfloat16,
    "float16": torch.float16,
}


def choose_device(name: str) -> torch.device:
    """The device called ``name``: ``auto`` takes CUDA, then MPS, then the CPU.

    Raises:
        DeviceError: the device was asked for by name and is not there; there is no silent fallback.
        UsageError: no device has that name.
    """
    if name == "auto":
        if torch.cuda.is_available():
            return torch.device("cuda")
        return torch.device("mps" if torch.backends.mps.is_available() else "cpu")
    kind, _, index = name.partition(":")
    if kind not in ("cpu", "cuda", "mps") or (index and not (kind == "cuda" and index.isdigit())):
        raise UsageError(f"there is no device {name!r}", "choose auto, cpu, cuda, cuda:N or mps")
    if kind == "cuda" and not torch.cuda.is_available():
        raise DeviceError("this machine has no CUDA device that torch can use", "choose --device auto or cpu")
    if kind == "cuda" and index and int(index) >= torch.cuda.device_count():
        count = torch.cuda.device_count()
        raise DeviceError(f"there is no CUDA device {index}", f"this machine has {count}, counted from 0")
    if kind == "mps" and not torch.backends.mps.is_available():
        raise DeviceError("this machine has no MPS device", "choose --device auto or cpu")
    return torch.device(name)


def choose_precision(name: str, device: torch.device) -> Precision:
    """The number format called ``name``: ``auto`` takes bfloat16 where the device computes in it natively.

    Raises:
        UsageError: no format has that name.
        DeviceError: float16 on the CPU, which is slow there and overflows.
    """
    if name == "auto":
        return "bfloat16" if _has_native_bfloat16(device) else "float32"
    for precision in DTYPES:
        if name == precision:
            if precision == "float16" and device.type == "cpu":
                raise DeviceError("float16 is slow and inexact on the CPU", "choose --precision auto or bfloat16")
            return precision
    raise UsageError(f"there is no precision {name!r}", f"choose auto, {', '.join(DTYPES)}")


def _has_native_bfloat16(device: torch.device) -> bool:
    if device.type == "cuda":
        return bool(torch.cuda.is_bf16_supported(including_emulation=False))
    if device.type == "cpu":
        # A CPU without these instructions emulates bfloat16, slower than it computes in float32. Older torch releases
        # have no public way to ask; not knowing means float32.
        capabilities = getattr(torch.cpu, "get_capabilities", dict[str, bool])()
        return bool(capabilities.get("avx512_bf16") or capabilities.get("amx_bf16"))
    return False
