"""LPIPS, FID, NIQE and IL-NIQE, by pyiqa (extra ``metrics``), which downloads its networks when first used."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from lorair_cli.errors import LorairError, UsageError
from lorair_cli.evaluation.metrics import Values


@dataclass(frozen=True)
class LearnedKind:
    """One metric as pyiqa offers it."""

    pyiqa: str
    """Its name there."""
    against_truth: bool
    network: str
    """What makes the number; goes beside it."""
    shifted: bool = False
    """Feed the network values in [0, 1] where it was made for [-1, 1], as DiffUIR's code for UDC does."""


LEARNED: dict[str, LearnedKind] = {
    "lpips-alex": LearnedKind("lpips", True, "AlexNet, LPIPS 0.1"),
    "lpips-vgg": LearnedKind("lpips-vgg", True, "VGG16, LPIPS 0.1"),
    "lpips-vgg-shifted": LearnedKind("lpips-vgg", True, "VGG16, LPIPS 0.1, fed [0, 1]", shifted=True),
    "niqe": LearnedKind("niqe", False, "NIQE on luma"),
    "ilniqe": LearnedKind("ilniqe", False, "IL-NIQE"),
}
FID = "fid"
FID_NETWORK = "Inception-v3, 2048 features: not comparable with the paper's FID, whose tool is unknown"


@dataclass(frozen=True)
class LearnedMetric:
    """A metric ready to be called with a picture in [0, 1], (h, w, 3), and its truth or None."""

    name: str
    label: str
    """Network and version that make the number."""
    call: Callable[[Values, Values | None], float]


def load_learned(name: str, device: str = "cpu") -> LearnedMetric:
    """The metric called ``name``, a key of ``LEARNED``.

    Raises:
        UsageError: the extra is not installed.
        LorairError: its network is not here and cannot be downloaded.
    """
    kind = LEARNED[name]
    pyiqa, metric = _create(kind.pyiqa, name, device)

    def call(image: Values, truth: Values | None) -> float:
        pictures = [image] if truth is None or not kind.against_truth else [image, truth]
        if kind.shifted:  # pyiqa turns [0, 1] into [-1, 1]; this undoes it beforehand
            pictures = [(p + 1) / 2 for p in pictures]
        with torch.inference_mode():
            return float(metric(*(_tensor(p, device) for p in pictures)))

    return LearnedMetric(name, f"{kind.network}, pyiqa {_version(pyiqa)}", call)


def fid(restored: Path, truth: Path, device: str = "cpu") -> tuple[float, str]:
    """Frechet inception distance between the pictures of two folders, and the network and version that made it.

    Raises as :func:`load_learned` does.
    """
    pyiqa, metric = _create(FID, FID, device)
    return float(metric(str(restored), str(truth))), f"{FID_NETWORK}, pyiqa {_version(pyiqa)}"


def _create(pyiqa_name: str, name: str, device: str) -> tuple[Any, Any]:
    try:
        import pyiqa
    except ImportError:
        raise UsageError(f"metric {name} needs pyiqa", "install it with `pip install 'lorair[metrics]'`") from None
    try:
        return pyiqa, pyiqa.create_metric(pyiqa_name, device=torch.device(device))
    except OSError as error:  # urllib, requests and huggingface_hub all raise children of it
        reason = " ".join(str(error).split())
        raise LorairError(
            f"the network of metric {name} cannot be downloaded: {reason}", "go online once, or leave it out"
        ) from None


def _version(module: Any) -> str:  # noqa: ANN401  (an optional module without types)
    return str(getattr(module, "__version__", "of unknown version"))


def _tensor(image: Values, device: str) -> torch.Tensor:
    return torch.from_numpy(np.ascontiguousarray(image.transpose(2, 0, 1), np.float32))[None].to(device)
