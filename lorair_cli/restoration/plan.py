"""Which photo goes where: inputs and outputs of a batch, checked before any work is done."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lorair_cli.errors import UsageError
from lorair_cli.imaging.encode import SUFFIXES as WRITABLE

READABLE = frozenset({".png", ".jpg", ".jpeg", ".jpe", ".jfif", ".webp", ".tif", ".tiff", ".bmp", ".dib"})
"""Suffixes that a folder is searched for; a file named on the command line is read whatever its suffix."""


@dataclass(frozen=True)
class Job:
    """One photo to read and where its result goes."""

    source: Path
    target: Path


def find_photos(photos: Sequence[Path]) -> list[Path]:
    """The files among ``photos`` and, for each folder, the photos in it sorted by name.

    Raises:
        UsageError: nothing was given, or a folder holds no photo.
    """
    sources: list[Path] = []
    for photo in photos:
        if photo.is_dir():
            found = sorted(p for p in photo.iterdir() if p.suffix.lower() in READABLE and p.is_file())
            if not found:
                raise UsageError(f"{photo}: the folder holds no photos", f"looked for {', '.join(sorted(READABLE))}")
            sources += found
        else:
            sources.append(photo)
    if not sources:
        raise UsageError("no photo given")
    return sources


def plan_jobs(photos: Sequence[Path], output: Path | None, *, overwrite: bool) -> list[Job]:
    """Inputs and outputs of a batch.

    Args:
        photos: files and folders; a folder stands for the photos in it, sorted by name.
        output: a file for a single photo, else a folder (made if it is not there). None writes ``NAME_restored``
            beside each photo.
        overwrite: results may replace files that are there already.

    Raises:
        UsageError: no photo, two photos with one result, a result that is a source, or one that exists already.
    """
    sources = find_photos(photos)
    single = len(photos) == 1 and not photos[0].is_dir()
    if output is not None and single and not output.is_dir() and output.suffix:
        if output.suffix.lower() not in WRITABLE:
            known = ", ".join(sorted(WRITABLE))
            raise UsageError(f"{output}: cannot write {output.suffix} files", f"choose one of {known}")
        jobs = [Job(sources[0], output)]
    else:
        if output is not None and output.exists() and not output.is_dir():
            raise UsageError(f"{output} is a file", "several photos need a folder to go to")
        jobs = [Job(source, _target(source, output)) for source in sources]
    _refuse_collisions(jobs, overwrite)
    return jobs


def _target(source: Path, folder: Path | None) -> Path:
    suffix = source.suffix if source.suffix.lower() in WRITABLE else ".png"
    if folder is None:
        return source.with_name(f"{source.stem}_restored{suffix}")
    return folder / f"{source.stem}{suffix}"


def _refuse_collisions(jobs: Sequence[Job], overwrite: bool) -> None:
    owners: dict[Path, Path] = {}
    sources = {job.source.resolve() for job in jobs}
    for job in jobs:
        target = job.target.resolve()
        if target in owners:
            raise UsageError(f"{owners[target]} and {job.source} would both become {job.target}", "rename one of them")
        if target in sources:
            raise UsageError(f"{job.target} is an input, and inputs are never overwritten", "choose another output")
        if job.target.exists() and not overwrite:
            raise UsageError(f"{job.target} exists already", "use --overwrite, or choose another output")
        owners[target] = job.source
