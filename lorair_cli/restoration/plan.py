"""Which photo goes where: the outputs of a batch, checked before any work is done."""

from __future__ import annotations

import os
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Literal

from lorair_cli.errors import UsageError
from lorair_cli.imaging.encode import SUFFIXES as WRITABLE
from lorair_cli.imaging.encode import encoder_missing
from lorair_cli.imaging.files import is_folder, is_there, printable
from lorair_cli.imaging.limits import INSTALL_FORMATS, NEWER_PILLOW
from lorair_cli.imaging.raw import SUFFIXES as RAW_SUFFIXES
from lorair_cli.restoration.inputs import Found

STDOUT = "-"
"""The output that means standard output."""

FORMATS = {
    "png": ".png",
    "jpeg": ".jpg",
    "jpg": ".jpg",
    "webp": ".webp",
    "tiff": ".tif",
    "tif": ".tif",
    "bmp": ".bmp",
    "avif": ".avif",
    "heic": ".heic",
}
"""Suffix by the name of a format."""

RESULT = "_restored"
"""Added to the name of a result that is written beside its source."""

COMPARE = "_compare"
"""Added to the name of a result for its side-by-side picture."""

Existing = Literal["refuse", "skip", "replace"]
"""What to do about results that are there already."""


@dataclass(frozen=True)
class Job:
    """One photo to read and where its result goes."""

    source: Path | None
    """None is standard input."""
    target: Path | None
    """None is standard output."""
    compare: Path | None = None
    """Where the side-by-side picture goes, if one is wanted."""
    skip: str | None = None
    """Why there is nothing to do, if so."""
    note: str | None = None
    """What the user should hear about the plan for this photo."""

    @property
    def name(self) -> str:
        """What messages call the photo."""
        return "-" if self.source is None else str(self.source)

    @property
    def outputs(self) -> tuple[Path, ...]:
        """The files to be written."""
        return tuple(path for path in (self.target, self.compare) if path is not None)


def plan_jobs(
    photos: Sequence[Found],
    output: str | None,
    *,
    existing: Existing = "refuse",
    format_: str | None = None,
    compare: bool = False,
    page: Path | None = None,
) -> list[Job]:
    """Inputs and outputs of a batch. The same photo named twice is one job.

    Args:
        photos: from ``find_photos``. The tree of a folder is kept below the output folder.
        output: a file for a single photo, ``-`` for standard output, else a folder (made if it is not there). None
            writes ``NAME_restored`` beside each photo, or to standard output for a photo from standard input.
        existing: ``refuse`` the whole batch if a result is there already, ``skip`` its photo (a comparison without
            its result is kept, and the photo restored), or ``replace`` it.
        format_: a key of ``FORMATS``; None keeps the source's suffix, but for camera raw files, which become TIFF,
            and for suffixes that cannot be written, which become PNG.
        compare: also write ``NAME_compare`` beside each result.
        page: a page about all of them that will be written, too.

    Raises:
        UsageError: two photos with one result, a result that is a source, one that exists already, or an output that
            does not fit the photos or the format.
    """
    if format_ is not None and format_ not in FORMATS:
        raise UsageError(f"there is no format {format_!r}", f"choose from {', '.join(FORMATS)}")
    if format_ is not None:
        _require_encoder(WRITABLE[FORMATS[format_]])
    jobs = [Job(p.path, target) for p, target in _with_targets(_once_each(photos), output, format_)]
    if compare:
        if any(job.target is None for job in jobs):
            raise UsageError("--compare needs a result that is a file")
        jobs = [replace(job, compare=_beside(job.target, COMPARE)) for job in jobs if job.target is not None]
    _refuse_collisions(jobs, page)
    if page is not None and existing != "replace" and is_there(page):
        hint = "choose another page" if existing == "skip" else "use --overwrite, or choose another page"
        raise UsageError(f"{printable(str(page))} exists already", hint)
    return [_settled(job, existing) for job in jobs]


def passed_by(photos: Sequence[Found], output: str | None) -> list[Path]:
    """Photos that :func:`plan_jobs` leaves out, found in a folder and taken for results of an earlier run."""
    if output is not None:
        return []
    return [p.path for p in _once_each(photos) if not p.named and p.path is not None and _is_result(p.path)]


def _once_each(photos: Sequence[Found]) -> list[Found]:
    """Each file once, as it was named first; a link is a photo of its own."""
    first: dict[str, Found] = {}
    for photo in photos:
        name = "" if photo.path is None else os.path.abspath(photo.path)  # noqa: PTH100 - resolve() follows links
        first.setdefault(os.path.normcase(name), photo)
    return list(first.values())


def _with_targets(photos: Sequence[Found], output: str | None, format_: str | None) -> list[tuple[Found, Path | None]]:
    first, *others = photos
    if output == "":
        raise UsageError("an empty name is no output", "perhaps a variable is not set")
    if output == STDOUT or (output is None and first.path is None):
        if others:
            raise UsageError(f"{len(photos)} photos cannot all go to standard output", "name a folder with -o")
        return [(first, None)]
    if output is not None and not others and first.below is None and _is_file_name(output):
        return [(first, _checked_file(Path(output), format_))]
    if first.path is None:
        raise UsageError("a photo from standard input has no name", "name the result: -o FILE, or -o - for a pipe")
    if output is not None and is_there(Path(output)) and not is_folder(Path(output)):
        if not others and first.below is None:
            hint = f"name a folder, or a file that ends in one of {', '.join(sorted(WRITABLE))}"
            raise UsageError(f"{printable(output)} is a file, and its name says no format", hint)
        raise UsageError(f"{printable(output)} is a file", "several photos need a folder to go to")
    if output is not None and _is_file_name(output) and Path(output).suffix.lower() in WRITABLE:
        hint = "name a folder, ending in / if it is not there and has a suffix"
        raise UsageError(f"{printable(output)} is the name of one picture, and there may be several", hint)
    folder = None if output is None else Path(output)
    if folder is None:  # results of an earlier run are not photos to restore again
        fresh = [p for p in photos if p.named or p.path is None or not _is_result(p.path)]
        if not fresh:
            raise UsageError("all of these photos are results of an earlier run", f"their names end in {RESULT}")
        photos = fresh
    return [(p, _target(p.path, p.below, folder, format_)) for p in photos if p.path is not None]


def _is_result(path: Path) -> bool:
    return path.stem.removesuffix(COMPARE).endswith(RESULT)


def _is_file_name(output: str) -> bool:
    """Whether an output for one photo means a file: it has a suffix and is no folder."""
    path = Path(output)
    return bool(path.suffix) and not output.endswith(("/", os.sep)) and not is_folder(path)


def _checked_file(path: Path, format_: str | None) -> Path:
    known = ", ".join(sorted(WRITABLE))
    if path.suffix.lower() not in WRITABLE:
        raise UsageError(f"{printable(str(path))}: cannot write {path.suffix} files", f"choose one of {known}")
    _require_encoder(WRITABLE[path.suffix.lower()])
    if format_ is not None and WRITABLE[path.suffix.lower()] != WRITABLE[FORMATS[format_]]:
        raise UsageError(f"{printable(str(path))} is no name for a file of format {format_}", "leave --format out")
    return path


def _require_encoder(format_: str) -> None:
    """``UsageError`` for a format that was asked for and that nothing here can write."""
    if encoder_missing(format_):
        raise UsageError(f"{format_} cannot be written here", NEWER_PILLOW if format_ == "AVIF" else INSTALL_FORMATS)


def _target(source: Path, below: Path | None, folder: Path | None, format_: str | None) -> Path:
    suffix = source.suffix
    if suffix.lower() not in WRITABLE:
        suffix = ".tif" if suffix.lower() in RAW_SUFFIXES else ".png"
    if format_ is not None and WRITABLE[FORMATS[format_]] != WRITABLE.get(source.suffix.lower()):
        suffix = FORMATS[format_]
    if folder is None:
        return source.with_name(f"{source.stem}{RESULT}{suffix}")
    return folder / (below or Path()) / f"{source.stem}{suffix}"


def _beside(path: Path, ending: str) -> Path:
    return path.with_name(f"{path.stem}{ending}{path.suffix}")


def _refuse_collisions(jobs: Sequence[Job], page: Path | None) -> None:
    owners: dict[str, str] = {}
    sources = {_identity(job.source) for job in jobs if job.source is not None}
    outputs = [(job.name, output) for job in jobs for output in job.outputs]
    for owner, output in outputs if page is None else [*outputs, ("the page", page)]:
        identity, shown = _identity(output), printable(str(output))
        if identity in sources:
            raise UsageError(f"{shown} is an input, and inputs are never overwritten", "choose another output")
        if identity in owners:
            both = f"{printable(owners[identity])} and {printable(owner)}"
            hint = "rename one of them, or name the folder above both, with --recursive: its tree is kept"
            raise UsageError(f"{both} would both become {shown}", hint)
        owners[identity] = owner
    if page is not None:
        place = _identity(page)
        above = {str(folder) for folder in Path(place).parents}
        if above & (owners.keys() | sources) or any(Path(place) in Path(other).parents for other in owners):
            raise UsageError(f"{printable(str(page))} would be a file and a folder at once", "choose another page")


def _identity(path: Path) -> str:
    """The same for every way to write the name of one file; links are followed."""
    return os.path.normcase(os.path.realpath(path))


def _settled(job: Job, existing: Existing) -> Job:
    """The job, to be skipped if its result is there; ``UsageError`` if that is to be refused."""
    if existing == "replace":
        return job
    if existing == "skip":
        lacks = job.compare is not None and not is_there(job.compare)
        if job.target is not None and is_there(job.target):
            return replace(job, skip="exists already, without a comparison" if lacks else "exists already")
        if job.compare is None or lacks:
            return job
        return replace(job, compare=None, note=f"{job.compare} exists already and is left as it is")
    for output in job.outputs:
        if is_there(output):
            hint = "use --overwrite or --skip-existing, or choose another output"
            raise UsageError(f"{printable(str(output))} exists already", hint)
    return job
