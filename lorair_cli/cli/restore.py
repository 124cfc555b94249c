"""``lorair restore``: degraded photos in, restored photos out."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lorair_cli.cli import options
from lorair_cli.cli.console import data, error_as_json, print_error, print_json, talk
from lorair_cli.errors import LorairError, UsageError
from lorair_cli.settings import DEFAULT_SETTING

if TYPE_CHECKING:
    from lorair_cli.restoration.plan import Job
    from lorair_cli.restoration.restorer import Restoration, Restorer


def restore(
    photos: Annotated[list[Path], typer.Argument(help="Photos, or folders of photos.", show_default=False)],
    output: Annotated[
        Path | None,
        typer.Option(
            "-o",
            "--output",
            help="A file for one photo, a folder for several. Without it, NAME_restored is written beside each photo.",
        ),
    ] = None,
    setting: options.SettingOption = DEFAULT_SETTING,
    scale: options.ScaleOption = "compact",
    weights: options.WeightsOption = None,
    device: options.DeviceOption = "auto",
    precision: options.PrecisionOption = "auto",
    tile: Annotated[
        int | None,
        typer.Option(
            "--tile", min=0, help="Side of a tile in pixels; smaller needs less memory, 0 is the whole photo."
        ),
    ] = None,
    top_k: options.TopKOption = None,
    overwrite: Annotated[bool, typer.Option("--overwrite", help="Replace results that exist already.")] = False,
    as_json: options.JsonOption = False,
) -> None:
    """Restore photos: find out what is wrong with each, pick the experts for it, repair it.

    Size, bit depth, transparency, colour profile and metadata stay. Examples:

        lorair restore photo.jpg -o out.png

        lorair restore holiday/ -o restored/

        lorair restore dark.png --setting 5task --json
    """
    from lorair_cli.restoration.plan import plan_jobs

    jobs = plan_jobs(photos, output, overwrite=overwrite)
    with _loading():
        from lorair_cli.restoration.restorer import Restorer

        restorer = Restorer.from_pretrained(
            setting, scale=scale, weights=weights, device=device, precision=precision, tile=tile, top_k=top_k
        )
    talk.print(f"{restorer.info.setting} weights ({restorer.info.scale}) on {restorer.device}, {restorer.precision}")
    failed = 0
    for job in jobs:
        try:
            restoration = _restore_one(restorer, job)
        except LorairError as error:
            if isinstance(error, UsageError):
                raise
            failed += 1
            print_error(error)
            if as_json:
                print_json({"input": str(job.source), "output": None, **error_as_json(error)})
            continue
        if as_json:
            print_json(_as_json(job, restoration))
        else:
            _print_result(job, restoration)
    if failed:
        if len(jobs) > 1:
            talk.print(f"{failed} of {len(jobs)} photos failed.", style="bold red")
        raise typer.Exit(1)


def _restore_one(restorer: Restorer, job: Job) -> Restoration:
    from rich.progress import BarColumn, Progress, TaskProgressColumn, TextColumn, TimeRemainingColumn

    from lorair_cli.imaging.decode import read_photo
    from lorair_cli.imaging.encode import write_photo

    photo = read_photo(job.source)
    for note in photo.notes:
        talk.print(f"{job.source}: {note}")
    columns = (TextColumn("{task.description}"), BarColumn(), TaskProgressColumn(), TimeRemainingColumn())
    with Progress(*columns, console=talk, transient=True, disable=not talk.is_terminal) as progress:
        task = progress.add_task(job.source.name, total=None)
        restoration = restorer.restore(photo, lambda done, total: progress.update(task, completed=done, total=total))
    job.target.parent.mkdir(parents=True, exist_ok=True)
    write_photo(restoration.photo, job.target)
    return restoration


def _print_result(job: Job, restoration: Restoration) -> None:
    """Three lines: what is wrong, who repairs it, what was written."""
    photo, diagnosis = restoration.photo, restoration.diagnosis
    likely = sorted(diagnosis.probabilities.items(), key=lambda item: -item[1])
    found = ", ".join(f"{name} {share:.0%}" for name, share in likely if share >= 0.05)
    data.print(f"{job.source}: {found}")
    if diagnosis.experts:
        data.print("  experts: " + ", ".join(f"{e.degradation} {e.weight:.2f}" for e in diagnosis.experts))
    data.print(f"  wrote {job.target} ({photo.width}x{photo.height}, {restoration.seconds:.1f} s)")


def _as_json(job: Job, restoration: Restoration) -> dict[str, Any]:
    diagnosis = restoration.diagnosis
    return {
        "input": str(job.source),
        "output": str(job.target),
        "status": "ok",
        "width": restoration.photo.width,
        "height": restoration.photo.height,
        "probabilities": {name: round(p, 6) for name, p in diagnosis.probabilities.items()},
        "experts": {e.degradation: round(e.weight, 6) for e in diagnosis.experts},
        "tiles": restoration.tiles,
        "seconds": round(restoration.seconds, 3),
    }


@contextmanager
def _loading() -> Iterator[None]:
    """A sign of life while torch and the weights are loaded, on a terminal only."""
    if not talk.is_terminal:
        yield
        return
    with talk.status("Loading the network ..."):
        yield
