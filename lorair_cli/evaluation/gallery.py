"""One page with the pictures of each benchmark that gained least and most: input and result under a slider."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import BinaryIO

from lorair_cli.errors import LorairError
from lorair_cli.evaluation.datasets import Pair
from lorair_cli.evaluation.journal import Record
from lorair_cli.evaluation.meter import Meter
from lorair_cli.evaluation.metrics import Bytes, eight_bits
from lorair_cli.evaluation.subjects import Subject
from lorair_cli.imaging.files import atomic_write, printable
from lorair_cli.imaging.photo import Photo
from lorair_cli.restoration.pictures import page_text, picture_url

SHOWN = 3
"""Pictures that gained least, and as many that gained most."""
LONGEST_SIDE = 800
_PLACE = "<!-- pictures -->"


class Gallery:
    """Collects sections, one per benchmark, and writes them as one file that needs no network."""

    def __init__(self) -> None:
        self._sections: list[str] = []

    def add(
        self, benchmark: str, pairs: Iterable[Pair], records: Sequence[Record], subject: Subject, meter: Meter
    ) -> None:
        """A section with the extremes of one benchmark in PSNR by its first protocol; they are restored once more.

        Nothing is added for a benchmark without ground truth.

        Args:
            benchmark: its name.
            pairs: pictures, among them those that ``records`` are of.
            records: what was measured.
            subject: what restores.
            meter: how pictures are prepared.
        """
        score = f"psnr@{meter.protocols[0].name}"
        measured = {r.image: r for r in records if score in r.before and score in r.after}
        gains = {name: record.after[score] - record.before[score] for name, record in measured.items()}
        if not gains:
            return
        order = sorted(gains, key=gains.__getitem__)
        chosen = dict.fromkeys([*order[:SHOWN], *order[-SHOWN:]])
        figures: dict[str, str] = {}
        for pair in pairs:
            if pair.name in chosen:
                record, ready = measured[pair.name], meter.prepared(pair)
                after = eight_bits(meter.restored(subject, ready).rgb)
                words = f"{record.before[score]:.2f} to {record.after[score]:.2f} dB ({gains[pair.name]:+.2f})"
                figures[pair.name] = _figure(ready.lq, after, f"{pair.name}: {words}")
        title = f"<h2>{page_text(benchmark)}, {page_text(meter.protocols[0].name)}</h2>"
        row = "\n".join(figures[name] for name in chosen if name in figures)
        self._sections.append(f'{title}\n<div class="row">\n{row}\n</div>')

    def write(self, path: Path, made_by: str) -> None:
        """The page, whole or not at all; ``LorairError`` if it cannot be written."""
        template = Path(__file__).with_name("gallery.html").read_text(encoding="utf-8")
        body = "\n".join([f"<p>{page_text(made_by)}</p>", *self._sections])
        with _page_file(path) as file:
            file.write(template.replace(_PLACE, body).encode("utf-8", "replace"))


def check_page(path: Path) -> None:
    """Try, hours before it is written, whether a page can be: its folder is made, and nothing else stays.

    Errors as ``Gallery.write`` has them.
    """
    with suppress(_TriedError), _page_file(path):
        raise _TriedError


class _TriedError(Exception):
    """Ends the writing of a page that nobody wanted yet."""


@contextmanager
def _page_file(path: Path) -> Iterator[BinaryIO]:
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        with atomic_write(path) as file:
            yield file
    except OSError as error:
        reason = error.strerror or error
        raise LorairError(f"{printable(str(path))}: cannot be written: {reason}", "choose another --html") from None


def _figure(before: Bytes, after: Bytes, caption: str) -> str:
    return (
        f'<figure><div class="pair"><img alt="input" src="{picture_url(Photo(before), LONGEST_SIDE)}">'
        f'<img alt="result" src="{picture_url(Photo(after), LONGEST_SIDE)}">'
        f'<input type="range" min="0" max="100" value="50" aria-label="{page_text(caption)}"></div>'
        f"<figcaption>{page_text(caption)}</figcaption></figure>"
    )
