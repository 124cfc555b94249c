"""One page to look at a batch: a slider between before and after for each photo. One file, no network needed."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from importlib.resources import files
from pathlib import Path
from typing import BinaryIO

from lorair_cli.errors import ImageError
from lorair_cli.imaging.files import atomic_write, printable
from lorair_cli.imaging.photo import Photo
from lorair_cli.restoration.batch import Outcome
from lorair_cli.restoration.pictures import page_text, picture_url
from lorair_cli.restoration.result import Diagnosis

LONGEST_SIDE = 1280
"""Pixels of a picture on the page: fills a laptop's window, and a thousand photos stay a page that opens."""

LEAST_SHOWN = 0.01
"""Probabilities below this are left out."""

_PLACE = "<!-- photos -->"


class Page:
    """Writes the page as the photos come, so that nothing is kept in memory."""

    def __init__(self, file: BinaryIO, path: Path) -> None:
        self._file, self._path = file, path

    def add(self, outcome: Outcome) -> None:
        """A section for one photo, whatever became of it. Names are escaped: a file's name is no HTML."""
        job, restoration = outcome.job, outcome.restoration
        parts = [f"<h2>{page_text(job.name)}</h2>"]
        if outcome.error is not None:
            parts.append(f"<p>failed: {page_text(outcome.error.message)}</p>")
        elif restoration is None or outcome.before is None:
            parts.append(f"<p>skipped: {page_text(job.skip or '')}</p>")
        else:
            after = restoration.photo
            used = restoration.passes[0] if restoration.passes else restoration.diagnosis
            words = "left alone, nothing stood out" if restoration.untouched else f"{restoration.seconds:.1f} s"
            target = "standard output" if job.target is None else str(job.target)
            parts.append(f"<p>{page_text(target)} ({after.width}&times;{after.height}, {words})</p>")
            parts += [f"<p>{page_text(note)}</p>" for note in outcome.notes]
            parts += [_slider(outcome.before, after, job.name), _table(used)]
        self._write(f'<article class="{outcome.status}">\n' + "\n".join(parts) + "\n</article>\n")

    def _write(self, text: str) -> None:
        try:
            self._file.write(text.encode("utf-8", "replace"))
        except OSError as error:
            raise _unwritten(self._path, error) from error


@contextmanager
def open_page(path: Path, replace: bool = False) -> Iterator[Page]:
    """A page that appears as ``path``, whole, when the block ends well. Raises ``ImageError`` if it cannot.

    One that is there by then stays unless it may be replaced.
    """
    template = files("lorair_cli.restoration").joinpath("page.html").read_text(encoding="utf-8")
    head, tail = template.split(_PLACE)
    of_the_batch: OSError | None = None  # such as a full disk behind standard output: not the page's fault
    try:
        path.parent.mkdir(parents=True, exist_ok=True)  # often the folder of the results, which is not there yet
        with atomic_write(path, replace=replace) as file:
            page = Page(file, path)
            page._write(head)
            try:
                yield page
            except OSError as error:
                of_the_batch = error
                raise
            page._write(tail)
    except OSError as error:
        if error is of_the_batch:
            raise
        raise _unwritten(path, error) from error


def _unwritten(path: Path, error: OSError) -> ImageError:
    shown = printable(str(path))
    if isinstance(error, FileExistsError):
        if not path.parent.is_dir():
            return ImageError(f"{shown}: {printable(str(path.parent))} is no folder")
        return ImageError(f"{shown}: appeared meanwhile and is left as it is", "see --overwrite")
    return ImageError(f"{shown}: cannot be written: {error.strerror or error}")


def _slider(before: Photo, after: Photo, name: str) -> str:
    label = f"{page_text(name)}: before and after"
    return (
        f'<div class="pair">\n<img alt="before" src="{picture_url(before, LONGEST_SIDE)}">\n'
        f'<img class="after" alt="after" src="{picture_url(after, LONGEST_SIDE)}">\n'
        "<span>before</span><span>after</span>\n"
        f'<input type="range" min="0" max="100" step="0.1" value="50" aria-label="{label}">\n</div>'
    )


def _table(diagnosis: Diagnosis) -> str:
    experts = {expert.degradation: expert.weight for expert in diagnosis.experts}
    rows = [
        f"<tr><td>{page_text(name)}</td><td>{share:.0%}</td>"
        f"<td>{f'expert {experts[name]:.2f}' if name in experts else ''}</td>"
        f'<td><meter min="0" max="1" value="{share:.4f}"></meter></td></tr>'
        for name, share in sorted(diagnosis.probabilities.items(), key=lambda item: -item[1])
        if share >= LEAST_SHOWN or name in experts
    ]
    return "<table>\n" + "\n".join(rows) + "\n</table>"
