"""From a benchmark and a folder to pairs of pictures: finding them, saying what is missing, reading them."""

from __future__ import annotations

import zlib
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lorair_cli.data.contact_sheet import sample_photos
from lorair_cli.data.pairing import PairedFiles, find_path, first_names, pair_by_name, pair_by_position, picture_files
from lorair_cli.data.synthesis import degrade
from lorair_cli.errors import ImageError, UsageError
from lorair_cli.evaluation.metrics import Bytes
from lorair_cli.evaluation.protocols import PROTOCOLS
from lorair_cli.evaluation.registry import Benchmark, Layout, Registry
from lorair_cli.imaging.arrays import from_float, to_eight_bits, to_float
from lorair_cli.imaging.decode import read_photo
from lorair_cli.settings import TEN_DEGRADATIONS

BUILTIN_STRENGTH = 0.5


@dataclass(frozen=True)
class Pair:
    """One input and, if there is one, its ground truth: (h, w, 3) uint8 RGB."""

    name: str
    lq: Bytes
    gt: Bytes | None
    grey: bool = False
    """The input is a photo of greys, and so is what is made of it."""


@dataclass(frozen=True)
class Unreadable:
    """What stands in the place of a pair of which a file is no picture, so that the others keep their positions."""

    name: str
    error: ImageError


Failed = Callable[[str, ImageError], object]
"""Told of a picture that cannot be measured, by its name, and why."""


@dataclass(frozen=True)
class Located:
    """A benchmark that was found on disk."""

    benchmark: Benchmark
    count: int
    problems: tuple[str, ...]
    """Why its mean must not stand beside the paper's; empty if the set is what it should be."""
    read: Callable[[], Iterator[Pair | Unreadable]]
    """The pairs, one after the other, always in the same order, ``count`` in all."""


def locate(benchmark: Benchmark, root: Path) -> Located | None:
    """The benchmark's files under ``root``; None if its folders are not there or are empty.

    Raises ``UsageError`` if files cannot be paired at all, or not one of them can.
    """
    layout = benchmark.layout
    if layout.rule == "builtin":
        return _checked(benchmark, _builtin_count(), lambda: builtin_pairs(benchmark.degradation), ())
    source = _first(root, layout.input)
    if source is None:
        return None
    if layout.rule in ("noise", "no-truth"):
        files = _without_strays(benchmark, picture_files(source, layout.files))
        read = (lambda: _noisy(files, layout)) if layout.rule == "noise" else (lambda: _alone(files))
        return _checked(benchmark, len(files), read, ()) if files else None
    target = _first(root, layout.target)
    if target is None:
        return None
    if layout.rule == "arrays":
        lq, gt = _array(source), _array(target)
        if lq.shape != gt.shape:
            raise UsageError(f"{source} and {target} hold arrays of unlike shapes")
        return _checked(benchmark, len(lq), lambda: _slices(lq, gt), ())
    paired = _paired(benchmark, source, target)
    problems = []
    if paired.without_truth:
        problems.append(f"{len(paired.without_truth)} inputs without truth: {first_names(paired.without_truth)}")
    if paired.without_input:
        problems.append(f"{len(paired.without_input)} truths without input: {first_names(paired.without_input)}")
    found = len(paired.pairs)
    if not found and problems:
        raise UsageError(f"{source}: not one input has a truth in {target}: {'; '.join(problems)}")
    return _checked(benchmark, found, lambda: _from_files(paired), tuple(problems)) if found else None


def how_to_get(benchmark: Benchmark, registry: Registry, root: Path) -> str:
    """Several lines: where the data set can be had, and the folders to put it into."""
    lines = [f"{benchmark.name} is not in {root}."]
    if benchmark.layout.target and (source := _first(root, benchmark.layout.input)) is not None:
        lines = [f"{benchmark.name}: {source} is there, its ground truth is not."]
    lines += [f"Get it from: {registry.sources[benchmark.obtain]}", "Put it so, or link to it:"]
    lines += [f"  {root / benchmark.layout.input[0]}{_what(benchmark.layout, 'inputs')}"]
    if benchmark.layout.target:
        lines += [f"  {root / benchmark.layout.target[0]}{_what(benchmark.layout, 'ground truth')}"]
    if benchmark.pairs:
        lines += [f"{benchmark.pairs} pictures ({benchmark.evidence})."]
    return "\n".join([*lines, benchmark.note] if benchmark.note else lines)


def _what(layout: Layout, role: str) -> str:
    if layout.rule == "arrays":
        return f"  ({role})"
    return f"/{'*' if role == 'ground truth' else layout.files}  ({role})"


def _first(root: Path, places: tuple[str, ...]) -> Path | None:
    return next((found for place in places if (found := find_path(root, place)) is not None), None)


def _without_strays(benchmark: Benchmark, files: dict[str, Path]) -> dict[str, Path]:
    return {key: path for key, path in files.items() if key not in benchmark.strays}


def _paired(benchmark: Benchmark, source: Path, target: Path) -> PairedFiles:
    layout = benchmark.layout
    inputs = _without_strays(benchmark, picture_files(source, layout.files))
    if layout.rule == "realblur":
        inputs = {key: path for key, path in inputs.items() if "/gt/" not in key}
    nested = "/" in layout.files
    targets = _without_strays(benchmark, picture_files(target, "**/*" if nested else "*"))
    if layout.rule == "sorted":
        return pair_by_position(inputs, targets)
    return pair_by_name(inputs, targets, layout.rule)


def _checked(
    benchmark: Benchmark, count: int, read: Callable[[], Iterator[Pair | Unreadable]], problems: tuple[str, ...]
) -> Located:
    if benchmark.pairs and count != benchmark.pairs:
        known = {w.pairs: w.reason for w in benchmark.wrong}
        memory = " (a number from memory)" if benchmark.evidence == "remembered" else ""
        problems = (known.get(count, f"{count} of {benchmark.pairs} pictures{memory}"), *problems)
    return Located(benchmark, count, problems, read)


def read_bytes(path: Path) -> Bytes:
    """The picture in ``path`` as 8-bit RGB; ``ImageError`` if it is none."""
    return to_eight_bits(read_photo(path).rgb)


def read_pair(name: str, lq: Path, gt: Path | None) -> Pair | Unreadable:
    """The pictures in two files, or in one without a ground truth."""
    try:
        photo = read_photo(lq)
        return Pair(name, to_eight_bits(photo.rgb), None if gt is None else read_bytes(gt), photo.grey)
    except ImageError as error:
        return Unreadable(name, error)


def readable(pairs: Iterable[Pair | Unreadable], failed: Failed | None = None) -> Iterator[Pair]:
    """The pairs that could be read.

    Args:
        pairs: those and others.
        failed: called for each of the others; None raises their ``ImageError``.
    """
    for pair in pairs:
        if isinstance(pair, Pair):
            yield pair
        elif failed is None:
            raise pair.error
        else:
            failed(pair.name, pair.error)


def _from_files(paired: PairedFiles) -> Iterator[Pair | Unreadable]:
    for name, lq, gt in paired.pairs:
        yield read_pair(name, lq, gt)


def _alone(files: dict[str, Path]) -> Iterator[Pair | Unreadable]:
    for name, path in files.items():
        yield read_pair(name, path, None)


def _noisy(files: dict[str, Path], layout: Layout) -> Iterator[Pair | Unreadable]:
    """PromptIR's noise: numpy's old generator, one stream from seed 0, values cut to whole numbers, not rounded.

    A picture that cannot be read takes none, so those behind it get other noise than the paper's.
    """
    protocol, rng = PROTOCOLS["promptir-rgb"], np.random.RandomState(0)
    for _ in range(layout.passes_before):
        for pair in readable(_alone(files), lambda *_: None):  # what cannot be read is told below
            rng.standard_normal(protocol.prepared(pair.lq).shape)
    for clean in _alone(files):
        if isinstance(clean, Unreadable):
            yield clean
            continue
        gt = protocol.prepared(clean.lq)
        noisy = gt + rng.standard_normal(gt.shape) * layout.sigma
        yield Pair(clean.name, np.clip(noisy, 0, 255).astype(np.uint8), gt)


def _array(path: Path) -> Bytes:
    """The one array (n, h, w, 3) of uint8 in a MATLAB file."""
    from scipy.io import loadmat
    from scipy.io.matlab import MatReadError

    try:
        arrays = [v for k, v in loadmat(path).items() if not k.startswith("__")]
    except (MatReadError, OSError, ValueError, NotImplementedError, TypeError, zlib.error) as error:
        raise ImageError(f"{path}: not a MATLAB file that can be read: {' '.join(str(error).split())}") from None
    if len(arrays) != 1 or arrays[0].ndim != 4 or arrays[0].shape[3] != 3 or arrays[0].dtype != np.uint8:
        raise ImageError(f"{path}: expected one array of (n, height, width, 3) 8-bit values")
    return np.asarray(arrays[0])


def _slices(lq: Bytes, gt: Bytes) -> Iterator[Pair]:
    for index in range(len(lq)):
        yield Pair(f"{index:04}", lq[index], gt[index])


def builtin_pairs(degradation: str) -> Iterator[Pair]:
    """scikit-image's sample photos, degraded at middle strength with fixed seeds: the same pictures every time."""
    label = TEN_DEGRADATIONS.index(degradation)
    for index, (name, gt) in enumerate(sample_photos()):
        rng = np.random.default_rng((index, label))
        yield Pair(name, from_float(degrade(to_float(gt), degradation, rng, BUILTIN_STRENGTH), np.uint8), gt)


def _builtin_count() -> int:
    return len(sample_photos())
