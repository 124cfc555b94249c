"""Paired sets made from clean photos, laid out as the training sets of a setting lie on disk."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Callable, Iterable
from dataclasses import asdict, dataclass
from pathlib import Path

import numpy as np

from lorair_cli.data.catalogue import TrainingSet, load_catalogue
from lorair_cli.data.clean import CleanPhotos
from lorair_cli.data.pairs import Pixels
from lorair_cli.data.synthesis import degrade
from lorair_cli.errors import TrainingError
from lorair_cli.imaging.arrays import from_float, to_float
from lorair_cli.imaging.encode import write_photo
from lorair_cli.imaging.files import atomic_write, is_there
from lorair_cli.imaging.photo import Photo
from lorair_cli.settings import TEN_DEGRADATIONS, Setting
from lorair_cli.tables import build

MADE = "degraded.json"
"""Beside the sets: what they were made of, and how."""


@dataclass(frozen=True)
class Degrading:
    """What to make of each clean photo."""

    copies: int = 1
    """Differently degraded copies of each photo under each degradation."""
    strength: float | None = None
    """0 (barely visible) to 1; drawn evenly for each picture when None."""
    side: int | None = None
    """The middle square of at most this many pixels a side is taken; None takes the whole photo."""
    seed: int = 0
    """Another seed is another draw. A picture depends on it, its photo, degradation and copy alone."""


def write_pairs(
    clean: CleanPhotos,
    setting: Setting,
    out: Path,
    options: Degrading,
    tick: Callable[[], object] = lambda: None,
) -> dict[str, int]:
    """Write the training sets of ``setting`` below ``out``, as PNG.

    Args:
        clean: ground truth.
        setting: whose sets, with one degradation each.
        out: made if it is not there. Pictures that are there are not made again, so a stopped call can go on.
        options: how.
        tick: called after each pair.

    Returns:
        For each set, by name, the pairs that now lie there.

    Raises:
        TrainingError: a photo cannot be read, the disk is full, or the output holds pairs made with other options.
        ImageError: a picture cannot be written.
    """
    numbers = _numbered(out, clean, options)
    written = {}
    for training_set in load_catalogue().of_setting(setting.name):
        for index, place in enumerate(numbers):
            for copy in range(options.copies):
                _write(clean, index, place, copy, training_set, out, options)
                tick()
        written[training_set.name] = len(clean) * options.copies
    return written


@dataclass(frozen=True)
class _Made:
    """What lies in a folder of pairs: how they were made, and the names of their photos by number."""

    options: Degrading
    photos: tuple[str, ...]


def made_of(out: Path) -> int | None:
    """How many pairs of each degradation :func:`write_pairs` makes below ``out``; None if it was not its work."""
    try:
        held = _read_made(out)
    except TrainingError:
        return None
    return None if held is None else len(held.photos) * held.options.copies


def _read_made(out: Path) -> _Made | None:
    """What is written down in ``out``; None if there is nothing, ``TrainingError`` if it makes no sense."""
    file = out / MADE
    if not is_there(file):
        return None
    try:
        return build(_Made, json.loads(file.read_text(encoding="utf-8")))
    except (OSError, ValueError) as error:
        raise TrainingError(f"{file}: cannot be read: {error}", "choose another folder") from error


def _numbered(out: Path, clean: CleanPhotos, options: Degrading) -> list[int]:
    """The number, from 0, of each clean photo in the pairs below ``out``, by a list of names that is kept there.

    A photo keeps its number when others are taken away or put between. ``TrainingError`` if the pairs that are there
    were made otherwise, or the list cannot be read or written.
    """
    held = _read_made(out) or _Made(options, ())
    if others := [name for name, value in asdict(options).items() if getattr(held.options, name) != value]:
        raise TrainingError(f"{out}: holds pairs made with another {', '.join(others)}", "choose another folder")
    names = _unlike(path.name for path in clean.paths)
    photos = tuple(dict.fromkeys((*held.photos, *names)))
    try:
        out.mkdir(parents=True, exist_ok=True)
        with atomic_write(out / MADE) as made:
            made.write(json.dumps(asdict(_Made(options, photos)), indent=1).encode() + b"\n")
    except OSError as error:
        raise TrainingError(f"{out}: cannot be written: {error.strerror}") from error
    places = {name: place for place, name in enumerate(photos)}
    return [places[name] for name in names]


def _unlike(names: Iterable[str]) -> list[str]:
    """The names, a second one of the same kind with its count."""
    seen: Counter[str] = Counter()
    unlike = []
    for name in names:
        seen[name] += 1
        unlike.append(name if seen[name] == 1 else f"{name} ({seen[name]})")
    return unlike


def _write(
    clean: CleanPhotos, index: int, place: int, copy: int, kind: TrainingSet, out: Path, options: Degrading
) -> None:
    number = place * options.copies + copy + 1
    name = kind.written.format(n=number)
    lq_file = out / kind.input[0] / f"{name}.png"
    gt_file = lq_file
    if kind.target:
        gt_file = out / kind.target[0] / f"{(kind.written_target or kind.written).format(n=number)}.png"
    if lq_file.is_file() and gt_file.is_file():
        return
    gt = _middle(clean.read(index), options.side)
    if kind.target:  # of the others the photo itself is the input: noise comes while training
        rng = np.random.default_rng((options.seed, place, TEN_DEGRADATIONS.index(kind.degradation), copy))
        _save(from_float(degrade(to_float(gt), kind.degradation, rng, options.strength), np.uint8), lq_file)
    _save(gt, gt_file)


def _middle(photo: Pixels, side: int | None) -> Pixels:
    if side is None:
        return photo
    y, x = max(photo.shape[0] - side, 0) // 2, max(photo.shape[1] - side, 0) // 2
    return photo[y : y + side, x : x + side]


def _save(pixels: Pixels, path: Path) -> None:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise TrainingError(f"{path.parent}: cannot be made: {error.strerror}") from error
    write_photo(Photo(np.ascontiguousarray(pixels)), path)
