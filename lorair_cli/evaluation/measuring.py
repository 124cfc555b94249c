"""Restoring and measuring pictures one after the other."""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

import numpy as np

import lorair_cli
from lorair_cli.errors import ImageError
from lorair_cli.evaluation.datasets import Failed, Pair
from lorair_cli.evaluation.journal import Record, Store
from lorair_cli.evaluation.meter import Meter, Scores
from lorair_cli.evaluation.metrics import eight_bits
from lorair_cli.evaluation.sources import own_sources
from lorair_cli.evaluation.subjects import Subject
from lorair_cli.imaging.encode import write_photo
from lorair_cli.imaging.photo import Photo


def measure(
    benchmark: str,
    pairs: Iterable[Pair],
    subject: Subject,
    meter: Meter,
    store: Store,
    advance: Callable[[str], None] | None = None,
    failed: Failed | None = None,
) -> tuple[list[Record], tuple[float, str] | None]:
    """Restore and measure pictures; those in the store with all that is asked for are not restored again.

    Args:
        benchmark: a name for the records.
        pairs: what to restore.
        subject: what restores.
        meter: what measures.
        store: what is known already; every new record goes there at once.
        advance: called with each picture's name when it is done.
        failed: called with each picture that cannot be measured, which is left out then; None lets the error through.

    Returns:
        A record per picture, and FID with its network if the meter is to measure it and there is ground truth (FID
        needs all results at once, so then nothing is taken from the store).
    """

    def records(folders: tuple[Path, Path] | None) -> list[Record]:
        found = []
        for pair in pairs:
            try:
                found.append(_measured(benchmark, pair, subject, meter, store, folders))
            except ImageError as error:
                if failed is None:
                    raise
                failed(pair.name, error)
            if advance is not None:
                advance(pair.name)
        return found

    if meter.fid is None:
        return records(None), None
    with tempfile.TemporaryDirectory() as folder:
        folders = Path(folder) / "restored", Path(folder) / "truth"
        for path in folders:
            path.mkdir()
        found = records(folders)
        compared = any(folders[1].iterdir())
        return found, (meter.fid.call(*folders), meter.fid.label) if compared else None


def _measured(
    benchmark: str,
    pair: Pair,
    subject: Subject,
    meter: Meter,
    store: Store,
    folders: tuple[Path, Path] | None,
) -> Record:
    pair = meter.prepared(pair)
    key = _key(benchmark, pair, subject, meter)
    record, wanted = store.find(key), meter.expected(pair.gt is not None)
    networks = {name: metric.label for name, metric in meter.learned.items() if name in wanted}
    measured = record is not None and wanted <= record.after.keys() and networks.items() <= record.networks.items()
    if record is None or folders or not measured:
        # First the input's: where its size does not fit, what is made of it has the same, and need not be restored.
        fits = subject.saved or pair.gt is None or pair.lq.shape == pair.gt.shape
        before = meter.scores(pair.lq / np.float32(255), pair, whole=not fits)
        result = meter.restored(subject, pair)
        # What was measured earlier, by other metrics, stays true.
        known = record or Record(key, benchmark, pair.name, subject.weights, {}, {})
        record = replace(
            known,
            before=known.before | before,
            after=known.after | meter.scores(result.rgb, pair),
            recognised=result.recognised,
            seconds=round(result.seconds, 4),
            networks=known.networks | networks,
        )
        store.add(record)
        if folders and pair.gt is not None:
            name = pair.name.replace("/", "_") + ".png"
            write_photo(Photo(eight_bits(result.rgb)), folders[0] / name)
            write_photo(Photo(pair.gt), folders[1] / name)
    before, after = ({name: s[name] for name in s if name in wanted} for s in (record.before, record.after))
    return replace(record, before=before, after=after)


def _key(benchmark: str, pair: Pair, subject: Subject, meter: Meter) -> str:
    words = [lorair_cli.__version__, own_sources(), subject.weights, subject.options, benchmark, pair.name]
    digest = hashlib.sha256(json.dumps([*words, *(p.name for p in meter.protocols)]).encode())
    for picture in (pair.lq, pair.gt):
        if picture is not None:
            digest.update(repr(picture.shape).encode() + np.ascontiguousarray(picture).tobytes())
    return digest.hexdigest()[:32]


def mean_scores(scores: Sequence[Mapping[str, float]]) -> Scores:
    """The mean of each score over pictures that all have it."""
    names = [name for name in scores[0] if all(name in s for s in scores)] if scores else []
    return {name: float(np.mean([s[name] for s in scores])) for name in names}
