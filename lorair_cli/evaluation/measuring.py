"""Restoring and measuring pictures one after the other, remembering each, so that nothing is measured twice."""

from __future__ import annotations

import hashlib
import json
import tempfile
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import suppress
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

import numpy as np

import lorair_cli
from lorair_cli.errors import ImageError, LorairError, UsageError
from lorair_cli.evaluation.datasets import Failed, Pair
from lorair_cli.evaluation.learned import FID, LEARNED, LearnedMetric, load_fid, load_learned
from lorair_cli.evaluation.metrics import Values, eight_bits, loe
from lorair_cli.evaluation.protocols import Protocol
from lorair_cli.evaluation.sources import own_sources
from lorair_cli.imaging.encode import write_photo
from lorair_cli.imaging.files import printable
from lorair_cli.imaging.photo import Photo
from lorair_cli.restoration.choices import Choices
from lorair_cli.restoration.restorer import Restorer
from lorair_cli.tables import build

PLAIN = ("psnr", "ssim", "loe")
"""Metrics that need nothing beside this package."""
METRICS = (*PLAIN, *LEARNED, FID)
_BEGINNING = '{"key": "'
"""Of a record's line, also of another version's and of one that a crash cut off."""
_ALIASES = {"lpips": "lpips-alex", "il-niqe": "ilniqe", "il_niqe": "ilniqe"}

Scores = dict[str, float]
"""Values by ``metric@protocol`` for PSNR and SSIM, by the metric's name for the others."""


@dataclass(frozen=True)
class Record:
    """One picture, restored and measured."""

    key: str
    """Hash of what the numbers depend on: sources, weights, options, protocols and both pictures. Records of other code
    stay in their file, and are not found again."""
    benchmark: str
    image: str
    weights: str
    before: dict[str, float]
    """Scores of the input itself, but for those that it cannot have, as one of another size than its result."""
    after: dict[str, float]
    """Scores of the result."""
    recognised: str = ""
    """Most probable degradation, by the router."""
    seconds: float = 0.0
    networks: dict[str, str] = field(default_factory=dict)
    """What measured each learned metric: another version gives other numbers."""


@dataclass(frozen=True)
class Restored:
    """A result in [0, 1], (h, w, 3), as exact as 16 bits."""

    rgb: Values
    recognised: str = ""
    seconds: float = 0.0


@dataclass(frozen=True)
class Subject:
    """What is measured: something that restores a picture, and the words that identify it."""

    restore: Callable[[Pair], Restored]
    weights: str
    """Beginning of the SHA-256 of the weights, or the folder of pictures made elsewhere."""
    options: str
    """Setting, precision, pooling and what else decides the numbers."""
    degradations: tuple[str, ...] = ()
    """What its router can tell; empty if there is none."""
    setting: str = ""
    """The project's setting it was trained for; empty if there is none."""
    saved: bool = False
    """Its results lie there already, whole, and nothing is restored."""


def restorer_subject(restorer: Restorer, weights: str, passes: int | None = 1) -> Subject:
    """A ``Restorer`` with the hash of its ``weights``; ``passes`` as in ``Choices``, one being the paper's way."""
    pooling = f"{restorer.pooling_window}-pixel pooling" if restorer.pooling_window else "global pooling"
    how = f"{restorer.precision} on {restorer.device.type}, {pooling}, tile {restorer.tile}, top-k {restorer.top_k}"
    options = f"{restorer.info.setting}, {how}"  # settings share files: their hash does not tell them apart
    if passes != 1:
        options += ", passes auto" if passes is None else f", {passes} passes"
    choices = Choices(passes=passes)

    def restore(pair: Pair) -> Restored:
        # 16 bits in give 16 bits out: protocols that do not round get what the network made.
        result = restorer.restore(Photo(pair.lq.astype(np.uint16) * np.uint16(257)), choices=choices)
        rgb = result.photo.rgb.astype(np.float32) / np.float32(65535)
        return Restored(rgb, result.diagnosis.likeliest, result.seconds)

    return Subject(restore, weights, options, restorer.info.degradations, restorer.info.setting)


class Store:
    """Records in a file, one JSON object per line, each written the moment it is there.

    Args:
        path: the file; made when the first record comes. None remembers nothing beyond the process.
        known: other such files, only read.

    Raises:
        UsageError: one of the files holds something else, to which no record must be appended.
    """

    def __init__(self, path: Path | None, known: Sequence[Path] = ()) -> None:
        self.path = path
        files = [*known, path] if path is not None else known
        self._records = {record.key: record for file in files for record in _read_records(file)}

    def take(self, path: Path) -> None:
        """Keep the records of another such file too; errors as :meth:`add` and the class have them."""
        for record in _read_records(path):
            if self.find(record.key) != record:
                self.add(record)

    def find(self, key: str) -> Record | None:
        """The record with this key, if there is one."""
        return self._records.get(key)

    def add(self, record: Record) -> None:
        """Keep ``record``; ``LorairError`` if its file cannot be written."""
        self._records[record.key] = record
        if self.path is None:
            return
        try:
            self.path.parent.mkdir(parents=True, exist_ok=True)
            with self.path.open("a+b") as file:  # a journal grows; a line cut off before is closed first
                if file.tell() and not _ends_with_newline(self.path):
                    file.write(b"\n")
                file.write(json.dumps(asdict(record)).encode() + b"\n")
        except OSError as error:
            raise LorairError(f"{self.path}: cannot be written: {error.strerror}", "choose another --results") from None


def _read_records(path: Path) -> list[Record]:
    if not path.is_file():
        return []
    records = []
    lines = path.read_text(encoding="utf-8", errors="replace").splitlines()
    if any(line.strip() for line in lines) and not any(line.startswith(_BEGINNING) for line in lines):
        raise UsageError(f"{printable(str(path))} is no journal of measured pictures", "choose another --results")
    for line in lines:
        with suppress(ValueError):  # cut off by a crash, or written by another version: measured again
            records.append(build(Record, json.loads(line)))
    return records


def _ends_with_newline(path: Path) -> bool:
    with path.open("rb") as file:
        file.seek(-1, 2)
        return file.read(1) == b"\n"


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
        return Pair(pair.name, cut(pair.lq), None if pair.gt is None else cut(pair.gt))

    def restored(self, subject: Subject, pair: Pair) -> Restored:
        """The result for a prepared pair, in halves where the protocol says so."""
        split, cut = self.protocols[0].split, self.protocols[0].prepared
        if not split or subject.saved or pair.lq.shape[1] <= split:
            result = subject.restore(pair)
            return replace(result, rgb=cut(result.rgb))  # pictures made by another tool come whole
        halves = [Pair(pair.name, np.ascontiguousarray(p), None) for p in np.split(pair.lq, [split], axis=1)]
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
