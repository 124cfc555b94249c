"""Paired sets made from clean photos, laid out as the training sets of a setting lie on disk."""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Sequence
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
from lorair_cli.lock import locked
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
        TrainingError: a photo cannot be read, the disk is full, another call is making pairs there, or the output holds
            pairs made with other options or by an earlier version.
        ImageError: a picture cannot be written.
    """
    try:
        out.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise TrainingError(f"{out}: cannot be made: {error.strerror}") from error
    with locked(out) as mine:
        if not mine:
            raise TrainingError(f"{out}: somebody else makes pairs there", "wait for that, or choose another folder")
        return _write_all(clean, load_catalogue().of_setting(setting.name), out, options, tick)


def _write_all(
    clean: CleanPhotos,
    sets: Sequence[TrainingSet],
    out: Path,
    options: Degrading,
    tick: Callable[[], object],
) -> dict[str, int]:
    places, pairs = _noted(out, clean, sets, options)
    for training_set in sets:
        for index, place in enumerate(places):
            for copy in range(options.copies):
                _write(clean, index, place, copy, training_set, out, options)
                tick()
    return {one.name: pairs[one.name] for one in sets}


@dataclass(frozen=True)
class _MadeSet:
    """One of the sets that lie in a folder of pairs."""

    name: str
    pairs: tuple[int, ...]
    """The numbers, from 1, of the pairs that are to be there."""


@dataclass(frozen=True)
class _Made:
    """What lies in a folder of pairs: how they were made, and of what."""

    options: Degrading
    photos: tuple[str, ...]
    """Names of the photos by number, for people to read."""
    digests: tuple[str, ...] = ()
    """Of their files' bytes, by number: a photo is known by what it holds. Earlier versions did not write them down."""
    sets: tuple[_MadeSet, ...] = ()
    """Earlier versions did not say which."""

    def __post_init__(self) -> None:
        """Refuse what cannot be: ``ValueError`` names the field."""
        if self.digests and not len(self.photos) == len(self.digests) == len(set(self.digests)):
            raise ValueError("digests are not one for each photo")


def made_of(out: Path) -> dict[str, int]:
    """How many pairs :func:`write_pairs` is to have made below ``out``, by the set's name; empty if it made none."""
    try:
        held = _read_made(out)
    except TrainingError:
        return {}
    if held is not None and not held.sets:  # by an earlier version: any set may be its work
        return dict.fromkeys((one.name for one in load_catalogue().set), len(held.photos) * held.options.copies)
    return {} if held is None else {one.name: len(one.pairs) for one in held.sets}


def _read_made(out: Path) -> _Made | None:
    """What is written down in ``out``; None if there is nothing, ``TrainingError`` if it makes no sense."""
    file = out / MADE
    if not is_there(file):
        return None
    try:
        return build(_Made, json.loads(file.read_text(encoding="utf-8")))
    except (OSError, ValueError) as error:
        raise TrainingError(f"{file}: cannot be read: {error}", "choose another folder") from error


def _noted(
    out: Path, clean: CleanPhotos, sets: Sequence[TrainingSet], options: Degrading
) -> tuple[list[int], dict[str, int]]:
    """Write down in ``out`` what is to lie there when the sets are made.

    A photo keeps its number when others are taken away or put between, and when it gets another name. Pairs of photos
    that were taken away are to be there if they are: a broken photo that was taken out never gave any.

    Returns:
        The number, from 0, of each clean photo, and for each set that was ever made here, by name, its pairs.

    Raises:
        TrainingError: the pairs that are there were made otherwise, a photo cannot be read, or the list cannot be read
            or written.
    """
    held = _read_made(out) or _Made(options, ())
    if others := [name for name, value in asdict(options).items() if getattr(held.options, name) != value]:
        raise TrainingError(f"{out}: holds pairs made with another {', '.join(others)}", "choose another folder")
    if held.photos and not held.digests:  # which photo has a number cannot be told from its name alone
        raise TrainingError(f"{out}: holds pairs made by an earlier version", "choose another folder")
    digests = [_digest(path) for path in clean.paths]
    names = dict(zip(held.digests, held.photos, strict=True))
    for digest, path in zip(digests, clean.paths, strict=True):
        names.setdefault(digest, path.name)
    numbers = {digest: place for place, digest in enumerate(names)}
    places = [numbers[digest] for digest in digests]
    wanted = {_number(place, copy, options) for place in places for copy in range(options.copies)}
    pairs = {one.name: one.pairs for one in held.sets}
    for one in sets:
        there = {n for n in pairs.get(one.name, ()) if all(file.is_file() for file in _files(one, n, out))}
        pairs[one.name] = tuple(sorted(there | wanted))
    made = _Made(options, tuple(names.values()), tuple(names), tuple(_MadeSet(*one) for one in pairs.items()))
    try:
        with atomic_write(out / MADE) as file:
            file.write(json.dumps(asdict(made), indent=1).encode() + b"\n")
    except OSError as error:
        raise TrainingError(f"{out}: cannot be written: {error.strerror}") from error
    return places, {name: len(found) for name, found in pairs.items()}


def _digest(photo: Path) -> str:
    try:
        return hashlib.blake2b(photo.read_bytes(), digest_size=16).hexdigest()
    except OSError as error:
        raise TrainingError(
            f"{photo}: cannot be read: {error.strerror}", "repair it or take it out of the folder"
        ) from error


def _number(place: int, copy: int, options: Degrading) -> int:
    """The number of a pair, from 1, by those of its photo and copy, from 0."""
    return place * options.copies + copy + 1


def _files(kind: TrainingSet, number: int, out: Path) -> tuple[Path, Path]:
    """Input and truth of a pair; the same file where noise is added while training."""
    lq_file = out / kind.input[0] / f"{kind.written.format(n=number)}.png"
    if not kind.target:
        return lq_file, lq_file
    return lq_file, out / kind.target[0] / f"{(kind.written_target or kind.written).format(n=number)}.png"


def _write(
    clean: CleanPhotos, index: int, place: int, copy: int, kind: TrainingSet, out: Path, options: Degrading
) -> None:
    lq_file, gt_file = _files(kind, _number(place, copy, options), out)
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
