"""What a checkpoint file says about itself, ours or the authors'."""

from __future__ import annotations

from dataclasses import asdict
from pathlib import Path
from typing import Any

from lorair_cli.model.config import NetworkConfig
from lorair_cli.weights.authors import read_authors
from lorair_cli.weights.checkpoint import info_as_dict, load_checkpoint
from lorair_cli.weights.manifest import describe_file


def inspect(path: Path) -> dict[str, Any]:
    """Description, tensors and provenance of a checkpoint, as plain values for JSON.

    Returns:
        ``file``, ``bytes``, ``sha256``, ``format`` (``lorair``, ``authors' network`` or ``authors' router``),
        ``description`` (all that the file says or its shapes show), ``tensors`` (name: shape) and
        ``parameters``.

    Raises:
        WeightsError: the file is missing, damaged or no checkpoint.
    """
    if path.suffix == ".pth":
        kind, description, tensors = _authors(path)
    else:
        checkpoint = load_checkpoint(path)
        kind, description = "lorair", info_as_dict(checkpoint.info)
        parts = {"network": checkpoint.network, "router": checkpoint.router}
        tensors = {f"{part}.{name}": tensor for part, state in parts.items() for name, tensor in state.items()}
    file = describe_file(path)
    return {
        "file": str(path),
        "bytes": file.bytes,
        "sha256": file.sha256,
        "format": kind,
        "description": description,
        "parameters": sum(tensor.numel() for tensor in tensors.values()),
        "tensors": {name: list(tensor.shape) for name, tensor in tensors.items()},
    }


def _authors(path: Path) -> tuple[str, dict[str, Any], dict[str, Any]]:
    config, state = read_authors(path)
    kind = "network" if isinstance(config, NetworkConfig) else "router"
    return f"authors' {kind}", {kind: asdict(config)}, state
