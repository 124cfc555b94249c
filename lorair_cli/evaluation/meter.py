"""Scores of a restored picture, by some protocols and metrics."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import replace

import numpy as np

from lorair_cli.errors import ImageError, UsageError
from lorair_cli.evaluation.datasets import Pair
from lorair_cli.evaluation.learned import FID, LEARNED, LearnedMetric, load_fid, load_learned
from lorair_cli.evaluation.metrics import Values, eight_bits, loe
from lorair_cli.evaluation.protocols import Protocol
from lorair_cli.evaluation.subjects import Restored, Subject

PLAIN = ("psnr", "ssim", "loe")
"""Metrics that need nothing beside this package."""
METRICS = (*PLAIN, *LEARNED, FID)
_ALIASES = {"lpips": "lpips-alex", "il-niqe": "ilniqe", "il_niqe": "ilniqe"}

Scores = dict[str, float]
"""Values by ``metric@protocol`` for PSNR and SSIM, by the metric's name for the others."""


def parse_metrics(names: Iterable[str]) -> tuple[str, ...]:
    """Names of metrics, several of which may stand in one text with commas between them.

    Raises ``UsageError`` for a name that is no metric.
    """
    found = []
    for name in (part.strip().lower() for text in names for part in text.split(",")):
        metric = _ALIASES.get(name, name)
        if metric not in METRICS:
            raise UsageError(f"there is no metric {name!r}", f"choose from {', '.join(METRICS)}")
        found.append(metric)
    return tuple(dict.fromkeys(found))


class Meter:
    """Measures results by some protocols and metrics.

    Args:
        protocols: how; all of them prepare pictures in the same way.
        metrics: from ``METRICS``. Those that a picture allows are taken: no PSNR without ground truth.
        device: where pyiqa's networks run.

    Raises:
        UsageError: the protocols cut pictures in different ways, or pyiqa is not installed.
        LorairError: a network cannot be downloaded.
    """

    def __init__(self, protocols: Sequence[Protocol], metrics: Sequence[str], device: str = "cpu") -> None:
        if len({(p.multiple, p.split) for p in protocols}) != 1:
            names = " and ".join(p.name for p in protocols)
            raise UsageError(f"{names} prepare pictures in different ways", "measure by one after the other")
        self.protocols, self.metrics, self.device = tuple(protocols), tuple(metrics), device
        self.learned: dict[str, LearnedMetric] = {m: load_learned(m, device) for m in metrics if m in LEARNED}
        self.fid = load_fid(device) if FID in metrics else None  # here, lest it be missing after hours of restoring

    def prepared(self, pair: Pair) -> Pair:
        """A pair as the protocols want it."""
        cut = self.protocols[0].prepared
        return replace(pair, lq=cut(pair.lq), gt=None if pair.gt is None else cut(pair.gt))

    def restored(self, subject: Subject, pair: Pair) -> Restored:
        """The result for a prepared pair, in halves where the protocol says so."""
        split, cut = self.protocols[0].split, self.protocols[0].prepared
        if not split or subject.saved or pair.lq.shape[1] <= split:
            result = subject.restore(pair)
            return replace(result, rgb=cut(result.rgb))  # pictures made by another tool come whole
        parts = np.split(pair.lq, [split], axis=1)
        halves = [replace(pair, lq=np.ascontiguousarray(part), gt=None) for part in parts]
        left, right = (subject.restore(half) for half in halves)
        rgb = np.concatenate([left.rgb, right.rgb], axis=1)
        return Restored(rgb, left.recognised, left.seconds + right.seconds)

    def expected(self, with_truth: bool) -> set[str]:
        """Names of the scores that a picture gets."""
        wanted = {m for m in self.metrics if m == "loe" or (m in LEARNED and _possible(m, with_truth))}
        if with_truth:
            measured = [p.name for p in self.protocols if p.measure is not None]
            wanted |= {f"{metric}@{name}" for name in measured for metric in ("psnr", "ssim") if metric in self.metrics}
        return wanted

    def scores(self, rgb: Values, pair: Pair, whole: bool = True) -> Scores:
        """All scores of a result ``rgb`` in [0, 1] for a prepared pair.

        Raises ``ImageError``, which names the picture, if it does not fit the pair's ground truth; unless ``whole`` the
        scores that it cannot have are left out instead.
        """
        found: Scores = {}
        if pair.gt is not None and {"psnr", "ssim"} & set(self.metrics):
            for protocol in self.protocols:
                if protocol.measure is not None:
                    try:
                        psnr, ssim = protocol.score(rgb, pair.gt)
                    except ImageError as error:
                        if not whole:
                            continue
                        raise ImageError(f"{pair.name}: {error.message}", error.hint) from error
                    found |= {f"psnr@{protocol.name}": psnr, f"ssim@{protocol.name}": ssim}
        if "loe" in self.metrics:
            if rgb.shape != pair.lq.shape:
                raise ImageError(f"{pair.name}: the result has another size than the input")
            found["loe"] = loe(pair.lq, eight_bits(rgb))
        truth = None if pair.gt is None else pair.gt / np.float32(255)
        for name, metric in self.learned.items():
            if not _possible(name, truth is not None):
                continue
            if LEARNED[name].against_truth and truth is not None and truth.shape != rgb.shape:
                if not whole:
                    continue
                raise ImageError(f"{pair.name}: the result has another size than its ground truth")
            found[name] = metric.call(np.clip(rgb, 0, 1), truth)
        wanted = self.expected(pair.gt is not None)
        return {name: float(value) for name, value in found.items() if name in wanted}


def _possible(metric: str, with_truth: bool) -> bool:
    return with_truth or not LEARNED[metric].against_truth
