"""What a run leaves to look at: TensorBoard curves, and restorations of the validation photos as pictures."""

from __future__ import annotations

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

            self._writer = SummaryWriter(str(folder / "curves"))
        except ImportError:
            reporter.line("no curves are written: pip install 'lorair[curves]' brings tensorboard")
        except OSError as error:
            reporter.line(f"no curves are written: {error.strerror}")

    def step(self, stage: str, step: int, loss: float, rate: float, learning_rate: float) -> None:
        """After each step; a point now and then."""
        if self._writer is not None and self._due():
            for name, value in (("loss", loss), ("photos per second", rate), ("learning rate", learning_rate)):
                self._writer.add_scalar(f"{stage}/{name}", value, step)

    def scores(self, stage: str, step: int, scores: list[Score]) -> None:
        """After each validation: a curve for each degradation."""
        if self._writer is None:
            return
        for s in scores:
            self._writer.add_scalar(f"{stage} recognised/{s.degradation}", s.recognised, step)
            if s.psnr_after is not None and s.ssim_after is not None:
                self._writer.add_scalar(f"{stage} psnr/{s.degradation}", s.psnr_after, step)
                self._writer.add_scalar(f"{stage} ssim/{s.degradation}", s.ssim_after, step)
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
        if self._writer is not None:
            self._writer.close()
