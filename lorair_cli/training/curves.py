"""What a run leaves to look at: TensorBoard curves, and restorations of the validation photos as pictures."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lorair_cli.data.pairs import Pixels
from lorair_cli.errors import ImageError
from lorair_cli.imaging.encode import write_photo
from lorair_cli.imaging.photo import Photo
from lorair_cli.training.reporting import Every, Reporter
from lorair_cli.training.validation import Score

CURVE_SECONDS = 5.0
"""Time between two points of a curve."""


class Curves:
    """Writes what happens to ``curves/`` and ``samples/`` of a run.

    Curves need the package tensorboard, which brings a web server along and is therefore an extra; without it a run
    says so once and goes on. Neither curves nor pictures are worth a run: where they cannot be written, it goes on too.

    Args:
        folder: the run's.
        reporter: where the lack of tensorboard is told.
        writes: whether to write anything at all; of several processes one does.
    """

    def __init__(self, folder: Path, reporter: Reporter, writes: bool = True) -> None:
        self.folder, self.reporter = folder, reporter
        self._due = Every(CURVE_SECONDS)
        self._writer: Any = None
        if not writes:
            return
        try:
            from torch.utils.tensorboard import SummaryWriter
        except ImportError:
            reporter.line("no curves are written: pip install 'lorair[curves]' brings tensorboard")
            return
        with self._spared():
            self._writer = SummaryWriter(str(folder / "curves"))

    def step(self, stage: str, step: int, loss: float, rate: float, learning_rate: float) -> None:
        """After each step; a point now and then."""
        if self._writer is not None and self._due():
            self._add(
                step,
                {f"{stage}/loss": loss, f"{stage}/photos per second": rate, f"{stage}/learning rate": learning_rate},
            )

    def scores(self, stage: str, step: int, scores: list[Score]) -> None:
        """After each validation: a curve for each degradation."""
        points: dict[str, float] = {}
        for s in scores:
            points[f"{stage} recognised/{s.degradation}"] = s.recognised
            if s.psnr_after is not None and s.ssim_after is not None:
                points[f"{stage} psnr/{s.degradation}"] = s.psnr_after
                points[f"{stage} ssim/{s.degradation}"] = s.ssim_after
        self._add(step, points)
        with self._spared():
            if self._writer is not None:
                self._writer.flush()

    def samples(self, stage: str, step: int, picture: Pixels) -> None:
        """Write ``samples/STAGE-STEP.png``."""
        file = self.folder / "samples" / f"{stage}-{step:07}.png"
        try:
            file.parent.mkdir(exist_ok=True)
            write_photo(Photo(picture), file)
        except (OSError, ImageError) as error:
            self.reporter.line(f"{file}: not written: {error}")

    def close(self) -> None:
        """Write what is left."""
        with self._spared():
            if self._writer is not None:
                self._writer.close()

    def _add(self, step: int, points: Mapping[str, float]) -> None:
        """A point of each curve named."""
        with self._spared():
            if self._writer is not None:
                for name, value in points.items():
                    self._writer.add_scalar(name, value, step)

    @contextmanager
    def _spared(self) -> Iterator[None]:
        """Whatever tensorboard cannot write ends the curves, and not the run.

        It writes in a thread of its own, so that a full disk shows in a later call than the one that met it.
        """
        try:
            yield
        except OSError as error:
            self._writer = None
            self.reporter.line(f"no curves are written: {error.strerror or error}")
