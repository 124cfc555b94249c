"""LPIPS, FID, NIQE and IL-NIQE, by pyiqa (extra ``metrics``), which downloads its networks when first used."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, redirect_stdout
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
FID_NETWORK = "Inception-v3, 2048 features, clean resizing: not comparable with the paper's FID, whose tool is unknown"


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
        with _talk_aside(), torch.inference_mode():
            return float(metric(*(_tensor(p, device) for p in pictures)))

    return LearnedMetric(name, f"{kind.network}, pyiqa {_version(pyiqa)}", call)


@dataclass(frozen=True)
class FolderMetric:
    """FID, ready to be called with a folder of results and one of truths."""

    label: str
    """Network and version that make the number."""
    call: Callable[[Path, Path], float]


def load_fid(device: str = "cpu") -> FolderMetric:
    """Frechet inception distance between the pictures of two folders; raises as :func:`load_learned` does."""
    pyiqa, metric = _create(FID, FID, device)

    def call(restored: Path, truth: Path) -> float:
        with _talk_aside():
            return float(metric(str(restored), str(truth), verbose=False, num_workers=0))

    return FolderMetric(f"{FID_NETWORK}, pyiqa {_version(pyiqa)}", call)


@contextmanager
def _talk_aside() -> Iterator[None]:
    """pyiqa and torch.hub print what they download, and torchvision warns of pyiqa's habits: stdout is for data."""
    with redirect_stdout(sys.stderr), warnings.catch_warnings():
        warnings.simplefilter("ignore", UserWarning)
        yield


def _create(pyiqa_name: str, name: str, device: str) -> tuple[Any, Any]:
    try:
        import pyiqa
    except ImportError:
        raise UsageError(f"metric {name} needs pyiqa", "install it with `pip install 'lorair[metrics]'`") from None
    try:
        with _talk_aside():
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
