"""``lorair restore``: degraded photos in, restored photos out."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable, Iterator
from contextlib import ExitStack, contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lorair_cli.cli import options
from lorair_cli.cli.console import data, error_as_json, print_error, print_json, talk
from lorair_cli.cli.process import closed_streams
from lorair_cli.errors import ImageError, UsageError
from lorair_cli.imaging.files import is_folder, is_there, printable
from lorair_cli.settings import DEFAULT_SETTING, get_setting

if TYPE_CHECKING:
    from lorair_cli.restoration.batch import Outcome
    from lorair_cli.restoration.plan import Job
    from lorair_cli.restoration.restorer import Restorer

INTERRUPTED = 130
"""Exit code after Ctrl-C, as shells expect it."""

WHERE, HOW, HAND, LOOK = "Where results go", "How results are written", "Your own hand", "To look at"


def restore(
    photos: options.PhotosArgument = None,
    output: Annotated[
        str | None,
        typer.Option(
            "-o",
            "--output",
            help="A file for one photo, a folder for several, - for a pipe; NAME_restored beside each if not given.",
            rich_help_panel=WHERE,
        ),
    ] = None,
    recursive: options.RecursiveOption = False,
    from_file: options.FromFileOption = None,
    overwrite: Annotated[
        bool, typer.Option("--overwrite", help="Replace results that exist already.", rich_help_panel=WHERE)
    ] = False,
    skip_existing: Annotated[
        bool,
        typer.Option("--skip-existing", help="Pass by photos whose result exists already.", rich_help_panel=WHERE),
    ] = False,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Only say what would be written where.", rich_help_panel=WHERE)
    ] = False,
    format_: Annotated[
        str | None,
        typer.Option(
            "--format",
            help="png, jpeg, webp, tiff, bmp, avif or heic; as the name's suffix says if not given, TIFF for raw.",
            autocompletion=lambda: ["png", "jpeg", "webp", "tiff", "bmp", "avif", "heic"],
            rich_help_panel=HOW,
        ),
    ] = None,
    quality: Annotated[
        int | None,
        typer.Option(
            "--quality",
            min=1,
            max=100,
            help="Of JPEG, WebP, AVIF and HEIC; 95 if not given, and for JPEG the source's.",
            rich_help_panel=HOW,
        ),
    ] = None,
    subsampling: Annotated[
        str | None,
        typer.Option(
            "--subsampling",
            help="Of the colours of JPEG, AVIF and HEIC: 4:4:4, 4:2:2 or 4:2:0; the source's if not given.",
            autocompletion=lambda: ["4:4:4", "4:2:2", "4:2:0"],
            rich_help_panel=HOW,
        ),
    ] = None,
    strip_metadata: Annotated[
        bool,
        typer.Option(
            "--strip-metadata", help="Leave out EXIF (GPS too), XMP, DPI, texts; keep the colours.", rich_help_panel=HOW
        ),
    ] = False,
    expert: Annotated[
        str | None,
        typer.Option(
            "--expert",
            help="Experts in place of the router's choice: haze=0.7,noise=0.3. The router still looks at the photo, "
            "and where it disagrees, the prior that guides the network is moved just far enough to agree.",
            rich_help_panel=HAND,
        ),
    ] = None,
    strength: Annotated[
        float,
        typer.Option("--strength", min=0, max=1, help="0 keeps the photo, 1 restores it fully.", rich_help_panel=HAND),
    ] = 1.0,
    only_if: Annotated[
        float | None,
        typer.Option(
            "--only-if",
            min=0,
            max=1,
            help="Leave a photo alone if no degradation is this probable; byte for byte where its format stays.",
            rich_help_panel=HAND,
        ),
    ] = None,
    passes: Annotated[
        str,
        typer.Option(
            "--passes",
            metavar="N|auto",
            help="Restore this often; the router looks anew each time. auto checks each result: it tries the second "
            "choice where nothing got better, and goes on while it finds something new.",
            rich_help_panel=HAND,
        ),
    ] = "auto",
    compare: Annotated[
        bool,
        typer.Option("--compare", help="Also write NAME_compare, before and after side by side.", rich_help_panel=LOOK),
    ] = False,
    report: Annotated[
        Path | None,
        typer.Option(
            "--report", help="Also write one HTML page with a before/after slider per photo.", rich_help_panel=LOOK
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
            "--tile",
            min=0,
            help="Side of a tile in pixels, 0 for the whole photo; by default what fits into the free memory.",
            rich_help_panel=options.NETWORK,
        ),
    ] = None,
    top_k: options.TopKOption = None,
    as_json: options.JsonOption = False,
) -> None:
    """Restore photos: find out what is wrong with each, pick the experts for it, repair it.

    Size, bit depth, transparency, colour profile and metadata stay. A bad photo is named and the others go on.
    Exit code: 0 all fine, 1 some failed, 2 wrong usage, 130 interrupted.

    Examples:

        lorair restore photo.jpg -o out.png

        lorair restore holiday/ -o restored/ --recursive --skip-existing

        lorair restore "scans/*.tif" -o restored/ --format png --report page.html

        find . -name "*.jpg" -print0 | lorair restore --from-file - -o restored/

        lorair restore - -o - < hazy.jpg > clear.jpg

        lorair restore dark.png --setting 5task --expert low-light=1 --strength 0.8

        lorair restore holiday/ -o restored/ --only-if 0.6 --json
    """
    from lorair_cli.data.pairing import first_names
    from lorair_cli.imaging.encode import WriteOptions
    from lorair_cli.restoration.choices import Choices, check_experts, parse_experts, parse_passes
    from lorair_cli.restoration.inputs import find_photos
    from lorair_cli.restoration.plan import Existing, passed_by, plan_jobs

    if overwrite and skip_existing:
        raise UsageError("--overwrite and --skip-existing exclude each other")
    compression = WriteOptions(quality, subsampling)
    get_setting(setting)
    choices = Choices(None if expert is None else parse_experts(expert), strength, only_if, parse_passes(passes))
    folder = Path(output) if output and is_folder(Path(output)) else None
    others: Counter[str] = Counter()
    words = options.all_photos(photos, from_file)
    found = find_photos(words, recursive=recursive, leave_out=folder, passed_by=others)
    options.tell_passed_by(others)
    existing: Existing = "replace" if overwrite else "skip" if skip_existing else "refuse"
    jobs = plan_jobs(found, output, existing=existing, format_=format_, compare=compare, page=report)
    if passed := passed_by(found, output):
        names = printable(first_names([path.name for path in passed]))
        talk.print(f"passed by, results of an earlier run by their names: {names}")
    _refuse_unused(jobs, format_, quality=quality, subsampling=subsampling)
    piped = jobs[0].target is None
    _refuse_terminals(jobs[0], as_json=as_json)
    if dry_run:
        if choices.experts is not None and weights is None:
            check_experts(choices.experts, get_setting(setting).degradations)
        if not _print_plan(jobs, report, as_json):
            raise typer.Exit(1)
        return

    if weights is None:
        from lorair_cli.weights.store import locate

        locate(setting, scale)  # before the sign of life: a download has a progress bar of its own
    with _loading():
        from lorair_cli.restoration.batch import Output, run_batch
        from lorair_cli.restoration.restorer import Restorer

        restorer = Restorer.from_pretrained(
            setting, scale=scale, weights=weights, device=device, precision=precision, tile=tile, top_k=top_k
        )
    from lorair_cli.cli.outcomes import Teller, batch_progress
    from lorair_cli.signals import stop_requested

    restorer.require_network()
    if choices.experts is not None:
        restorer.check_experts(choices.experts)
    talk.print(_introduction(restorer, automatic_tile=tile is None))
    teller = Teller(len(jobs), as_json=as_json, to_stderr=piped)
    with ExitStack() as stack:
        tell = _also_on_page(report, teller.tell, stack, overwrite)
        progress = stack.enter_context(batch_progress(len(jobs)))
        stop = stack.enter_context(stop_requested())
        written = Output(compression, format_, strip_metadata, overwrite, skip_existing)
        run_batch(jobs, restorer, tell, choices=choices, output=written, progress=progress, stop=stop)
        stopped = stop()
    teller.summary()
    if stopped:
        talk.print("Interrupted: results that were begun are whole, the others were not begun.")
        raise typer.Exit(INTERRUPTED)
    if teller.failed:
        raise typer.Exit(1)


def _refuse_unused(jobs: list[Job], format_: str | None, *, quality: int | None, subsampling: str | None) -> None:
    """``UsageError`` for a compression that no result has: it would be passed over in silence."""
    from lorair_cli.imaging.encode import SUFFIXES, WITH_QUALITY, WITH_SUBSAMPLING, format_for
    from lorair_cli.restoration.plan import FORMATS

    written = {format_for(job.target) for job in jobs if job.target is not None}
    if not written:  # to standard output
        if format_ is None:
            return  # the format is that of a photo that is yet to come
        written = {SUFFIXES[FORMATS[format_]]}
    for option, value, meant in (
        ("--quality", quality, WITH_QUALITY),
        ("--subsampling", subsampling, WITH_SUBSAMPLING),
    ):
        if value is not None and not written & meant:
            raise UsageError(f"{option} means nothing to {' and '.join(sorted(written))}", "leave it out")


def _refuse_terminals(job: Job, *, as_json: bool) -> None:
    """A picture is never typed in, nor drawn as characters; and stdout holds a picture or JSON, not both."""
    if job.source is None and sys.stdin.isatty():
        raise UsageError("- reads a photo from a pipe, and there is none", "lorair restore - -o out.png < photo.jpg")
    if job.target is None and as_json:
        raise UsageError("standard output cannot hold the photo and JSON", "name a file with -o")
    if job.target is None and "stdout" in closed_streams:
        raise UsageError("standard output is closed", "name a file with -o")
    if job.target is None and sys.stdout.isatty():
        raise UsageError("a photo on a terminal helps nobody", "use -o FILE, or send the output to a pipe")


def _print_plan(jobs: list[Job], page: Path | None, as_json: bool) -> bool:
    """What would be written where; False if a photo is not there."""
    whole = True
    for job in jobs:
        if job.source is not None and job.skip is None and not is_there(job.source):
            whole = False
            missing = ImageError(f"{printable(job.name)}: No such file or directory")
            print_error(missing)
            if as_json:
                print_json({"input": job.name, "output": None, **error_as_json(missing)})
        elif as_json:
            paths = {"output": job.target} | ({} if job.compare is None else {"compare": job.compare})
            named = {name: None if path is None else str(path) for name, path in paths.items()}
            status = {"status": "planned"} if job.skip is None else {"status": "skipped", "reason": job.skip}
            print_json({"input": job.name, **named, **status} | ({} if job.note is None else {"notes": [job.note]}))
        else:
            reason = "" if job.skip is None else f" (skipped, {job.skip})"
            lines = talk if job.target is None else data
            targets = ", ".join(map(str, job.outputs)) or "standard output"
            lines.print(printable(f"{job.name} -> {targets}{reason}"))
            if job.note is not None:
                talk.print(printable(f"  {job.note}"))
    if page is not None:
        talk.print(printable(f"and a page about them: {page}"))
    return whole


def _introduction(restorer: Restorer, *, automatic_tile: bool) -> str:
    from lorair_cli.cli.outcomes import introduction
    from lorair_cli.restoration.memory import LARGEST_TILE

    text = introduction(restorer)
    if automatic_tile and restorer.tile < LARGEST_TILE:
        text += f", tiles of {restorer.tile} pixels for want of memory"
    return text


def _also_on_page(
    path: Path | None, tell: Callable[[Outcome], None], stack: ExitStack, overwrite: bool
) -> Callable[[Outcome], None]:
    """``tell``, and a section on the page at ``path`` if one is wanted."""
    if path is None:
        return tell
    from lorair_cli.restoration.page import open_page

    page = stack.enter_context(open_page(path, overwrite))

    def tell_both(outcome: Outcome) -> None:
        tell(outcome)
        page.add(outcome)

    return tell_both


@contextmanager
def _loading() -> Iterator[None]:
    """A sign of life while torch and the weights are loaded, on a terminal only."""
    if not talk.is_terminal:
        yield
        return
    with talk.status("Loading the network ..."):
        yield
