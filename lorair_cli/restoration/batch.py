"""Many photos: one is restored while the next is read and the last is written, and a bad one stops nobody.

Memory stays flat however many photos there are: at most ``AHEAD`` read photos wait for the network, and at most
``BEHIND`` restored ones for the disk.
"""

from __future__ import annotations

import sys
from collections import deque
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import Future, ThreadPoolExecutor
from dataclasses import dataclass, field, replace
from itertools import islice
from pathlib import Path
from typing import Literal, TypeVar

from lorair_cli.errors import ImageError, LorairError
from lorair_cli.imaging.decode import decode_photo, read_file
from lorair_cli.imaging.encode import SUFFIXES, WriteOptions, bits_written, encode_photo, format_for, write_photo
from lorair_cli.imaging.files import atomic_write, is_there, printable, remove_stale
from lorair_cli.imaging.limits import MAX_BYTES
from lorair_cli.imaging.native import left_behind
from lorair_cli.imaging.photo import Photo
from lorair_cli.model.memory import is_out_of_memory
from lorair_cli.restoration.choices import Choices
from lorair_cli.restoration.pictures import side_by_side
from lorair_cli.restoration.plan import FORMATS, Job
from lorair_cli.restoration.restorer import Restorer
from lorair_cli.restoration.result import Restoration
from lorair_cli.signals import interrupted_at_once

AHEAD = 1
"""Photos read while another is restored. Reading is far faster than restoring, so one is enough to never wait."""
BEHIND = 1
"""Restored photos that may wait to be written."""

Item = TypeVar("Item")
Result = TypeVar("Result")


@dataclass(frozen=True)
class Output:
    """How results are written."""

    options: WriteOptions = field(default_factory=WriteOptions)
    format_: str | None = None
    """A key of ``FORMATS``, for standard output; a file's suffix names its format. None is the source's format."""
    strip: bool = False
    """Leave out EXIF, XMP, DPI, texts and captions."""
    replace: bool = False
    """Results may replace files that are there already."""
    skip: bool = False
    """A photo whose result is there already is skipped; also if it came meanwhile, from another run."""

    def format_of(self, photo: Photo, job: Job) -> str:
        """The format that a result is written in, such as ``PNG``."""
        if job.target is not None:
            return format_for(job.target)
        if self.format_ is not None:
            return SUFFIXES[FORMATS[self.format_]]
        return "TIFF" if photo.format == "RAW" else photo.format  # nobody but a camera writes raw files

    def loss(self, photo: Photo, result: Photo, job: Job) -> tuple[str, ...]:
        """A line for what ``photo`` had and the file of its ``result`` has no room for, each."""
        format_ = self.format_of(photo, job)
        lost = [left_behind(result, format_)]
        deep = photo.metadata.deep
        had = photo.bits if deep is None else min(photo.bits, deep.bits)
        if (bits := bits_written(result, format_)) < had:
            lost.append(f"{format_} is written with {bits} bits: --format png or tiff keeps them all")
        return tuple(line for line in lost if line is not None)

    def finds(self, job: Job) -> bool:
        """Whether the result is there, and its photo one to skip."""
        return self.skip and job.target is not None and is_there(job.target)

    def copies(self, photo: Photo, job: Job) -> bool:
        """Whether a photo that is left alone can be written as the bytes it came in."""
        return self.format_of(photo, job) == photo.format and not self.strip and self.options == WriteOptions()


@dataclass(frozen=True)
class Outcome:
    """What became of one photo."""

    job: Job
    status: Literal["ok", "unchanged", "skipped", "failed"]
    before: Photo | None = None
    restoration: Restoration | None = None
    notes: tuple[str, ...] = ()
    error: LorairError | None = None


@dataclass(frozen=True)
class _Read:
    """A photo in memory, and the bytes of its file."""

    photo: Photo
    data: bytes


class _StoppedError(Exception):
    """The user does not want the rest of this photo."""


def run_batch(
    jobs: Iterable[Job],
    restorer: Restorer,
    report: Callable[[Outcome], None],
    *,
    choices: Choices | None = None,
    output: Output | None = None,
    progress: Callable[[Job, int, int], None] | None = None,
    stop: Callable[[], bool] = lambda: False,
) -> None:
    """Restore every photo and write it.

    Args:
        jobs: from ``plan_jobs``.
        restorer: does the work, in this thread.
        report: told about each photo, in the order of the jobs, once its file is whole; called in another thread. What
            it raises ends the batch.
        choices: what the user decides in place of the program.
        output: how results are written.
        progress: called with (job, tiles done, tiles in all), at the start of a photo with (job, 0, 1).
        stop: asked before each photo and after each tile. Once it says yes, the photo in the network is given up, the
            ones before it are written, and nothing is told about the rest.
    """
    wanted, written = choices or Choices(), output or Output()

    def advance(job: Job, done: int, total: int) -> None:
        if stop():
            raise _StoppedError
        if progress is not None:
            progress(job, done, total)

    tidied: set[Path] = set()

    def save(outcome: Outcome, data: bytes) -> None:
        for folder in {path.parent for path in outcome.job.outputs} - tidied:
            remove_stale(folder)  # what a run that was killed has left
            tidied.add(folder)
        report(_saved(outcome, data, written))

    def begin(job: Job) -> Future[_Read | LorairError | None]:
        if job.source is not None:
            return reader.submit(_load, job, written)
        # There is only one of these. In this thread, Ctrl-C can end the wait for a pipe in which nothing comes.
        read: Future[_Read | LorairError | None] = Future()
        with interrupted_at_once():
            read.set_result(_load(job, written))
        return read

    with ThreadPoolExecutor(1, "lorair-read") as reader, ThreadPoolExecutor(1, "lorair-write") as writer:
        writing: deque[Future[None]] = deque()
        try:
            for job, reading in _ahead(begin, jobs, AHEAD):
                read = reading.result()
                advance(job, 0, 1)
                outcome = _restored(job, read, restorer, wanted, advance)
                data = read.data if isinstance(read, _Read) and outcome.status == "unchanged" else b""
                writing.append(writer.submit(save, outcome, data))
                del outcome, read, reading, data  # nothing of this photo stays while the next one is restored
                while len(writing) > BEHIND:
                    writing.popleft().result()
        except _StoppedError:
            reader.shutdown(wait=True, cancel_futures=True)
        while writing:
            writing.popleft().result()


def _ahead(
    begin: Callable[[Item], Future[Result]], items: Iterable[Item], count: int
) -> Iterator[tuple[Item, Future[Result]]]:
    """Each item with the future of its work; while one is being used, the work of the next ``count`` goes on."""
    remaining = iter(items)
    started = deque((item, begin(item)) for item in islice(remaining, count + 1))
    while started:
        yield started.popleft()
        started.extend((item, begin(item)) for item in islice(remaining, 1))


def _load(job: Job, output: Output) -> _Read | LorairError | None:
    """The photo, the error that came instead, or None for a job to skip."""
    if job.skip is not None or output.finds(job):
        return None
    try:
        return _Read(*read_source(job.source))
    except Exception as error:
        return _as_users_error(error, job)


def read_source(source: Path | None) -> tuple[Photo, bytes]:
    """A photo from a file, or from standard input for None, with the bytes it came in. Raises ``ImageError``."""
    if source is not None:
        data = read_file(source)
        return decode_photo(data, str(source)), data
    data = _standard_input()
    return decode_photo(data, "-"), data


def _standard_input() -> bytes:
    """All of standard input, bit by bit: asked for everything at once, Python makes room for the most there may be."""
    parts, length = [], 0
    while part := sys.stdin.buffer.read(2**20):
        parts.append(part)
        length += len(part)
        if length > MAX_BYTES:
            raise ImageError("-: too large for a photo")
    return b"".join(parts)


def _sidecar_of(job: Job) -> str | None:
    """A note on the XMP file beside a photo, where raw converters keep captions and edits; None without one."""
    if job.source is None or job.target is None:
        return None
    names = (job.source.with_suffix(".xmp"), job.source.with_name(f"{job.source.name}.xmp"))
    beside = next((path for path in names if is_there(path)), None)
    return None if beside is None else f"{printable(beside.name)}, its sidecar, is left where it is and not read"


def _restored(
    job: Job,
    read: _Read | LorairError | None,
    restorer: Restorer,
    choices: Choices,
    advance: Callable[[Job, int, int], None],
) -> Outcome:
    if read is None:
        return _skipped(job)
    if isinstance(read, LorairError):
        return Outcome(job, "failed", error=read)
    try:
        restoration = restorer.restore(read.photo, lambda done, total: advance(job, done, total), choices)
    except _StoppedError:
        raise
    except LorairError as error:
        named = ImageError(f"{printable(job.name)}: {error.message}", error.hint)
        return Outcome(job, "failed", error=named)
    except Exception as error:
        return Outcome(job, "failed", error=_as_users_error(error, job))
    status: Literal["ok", "unchanged"] = "unchanged" if restoration.untouched else "ok"
    notes = [note for note in (job.note, _sidecar_of(job)) if note is not None]
    return Outcome(job, status, read.photo, restoration, (*notes, *restoration.notes))


def _skipped(job: Job) -> Outcome:
    return Outcome(replace(job, skip=job.skip or "exists already"), "skipped")


def _saved(outcome: Outcome, data: bytes, output: Output) -> Outcome:
    """The outcome once its files are whole; failed if that cannot be. ``data`` are the bytes of a photo left alone."""
    job, restoration = outcome.job, outcome.restoration
    if restoration is None or outcome.before is None:
        return outcome
    if output.finds(job):
        return _skipped(job)
    photo = restoration.photo.without_metadata() if output.strip else restoration.photo
    copied = data if restoration.untouched and output.copies(outcome.before, job) else None
    try:
        _make_way(job, output)
        if job.target is None:
            whole = encode_photo(photo, output.format_of(photo, job), output.options) if copied is None else copied
            sys.stdout.buffer.write(whole)
            sys.stdout.buffer.flush()
        elif copied is None:
            write_photo(photo, job.target, output.options, replace=output.replace)
        else:
            with atomic_write(job.target, replace=output.replace) as file:
                file.write(copied)
    except BrokenPipeError:
        raise
    except FileExistsError:
        if output.finds(job):
            return _skipped(job)
        return replace(outcome, status="failed", error=_appeared(job.target))
    except Exception as error:
        return replace(outcome, status="failed", error=_as_users_error(error, job))
    # Of a copy of the file itself nothing was converted or left out, whatever reading it would have.
    notes = outcome.notes
    if copied is None:
        notes += outcome.before.notes + output.loss(outcome.before, photo, job)
    if job.compare is not None:
        try:
            write_photo(side_by_side(outcome.before, photo), job.compare, output.options, replace=output.replace)
        except BrokenPipeError:
            raise
        except Exception as error:  # the result itself is whole, and not to be called a failure
            why = _appeared(job.compare) if isinstance(error, FileExistsError) else _as_users_error(error, job)
            job, notes = replace(job, compare=None), (*notes, f"no comparison: {why.message}")
    return replace(outcome, job=job, notes=notes)


def _make_way(job: Job, output: Output) -> None:
    """Folders for the results. Looks again whether there is something in their places: planning was long ago."""
    for path in job.outputs:
        try:
            path.parent.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            folder = printable(str(path.parent))
            raise ImageError(
                f"{folder}: this folder cannot be made: {error.strerror}", "choose another output"
            ) from None
        if not output.replace and is_there(path):
            raise _appeared(path)


def _appeared(path: Path | None) -> ImageError:
    return ImageError(f"{printable(str(path))}: appeared meanwhile and is left as it is", "see --overwrite")


def _as_users_error(error: Exception, job: Job) -> LorairError:
    """Any failure as one line that names the photo: in a batch, even a fault of ours must not take the others along."""
    if isinstance(error, LorairError):
        return error
    if isinstance(error, OSError) and error.strerror:
        named = [printable(job.name), *([printable(str(error.filename))] if error.filename else [])]
        return ImageError(f"{': '.join(named)}: {error.strerror}")
    if is_out_of_memory(error):
        return ImageError(f"{printable(job.name)}: not enough memory", "close other programs")
    text = printable(str(error).strip().split("\n")[0])
    hint = "this should not happen: please report it with this line"
    return ImageError(f"{printable(job.name)}: {type(error).__name__}: {text}", hint)
