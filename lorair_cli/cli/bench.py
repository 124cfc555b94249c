"""``lorair bench``: the benchmarks of the paper by their own protocols, ours beside the paper's."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lorair_cli.cli import measured, options
from lorair_cli.cli.console import data, error_as_json, print_error, print_json, talk
from lorair_cli.cli.measured import Form
from lorair_cli.errors import LorairError, UsageError
from lorair_cli.settings import DEFAULT_SETTING, SETTINGS

if TYPE_CHECKING:
    from lorair_cli.evaluation.campaign import Outcome, Selection
    from lorair_cli.evaluation.gallery import Gallery
    from lorair_cli.evaluation.subjects import Subject
    from lorair_cli.restoration.restorer import Restorer


OF_LIST = frozenset({"show_list", "as_json", "as_csv", "as_markdown"})
"""Parameters of ``bench`` that mean something to ``--list``."""
OF_SPEED = (OF_LIST - {"show_list"}) | measured.OF_NETWORK | {"device", "speed", "size"}
"""Those that mean something to ``--speed``."""
OF_TABLE = (OF_LIST - {"show_list"}) | {"table", "setting"}
"""Those that mean something to ``--table`` where nothing is measured."""


def bench(
    ctx: typer.Context,
    dataset: Annotated[
        list[str] | None, typer.Option("--dataset", help="A benchmark, a group of them, or builtin; repeatable.")
    ] = None,
    setting: Annotated[
        str | None,
        typer.Option("--setting", help=f"Weights, and without --dataset all benchmarks, of {', '.join(SETTINGS)}."),
    ] = None,
    table: Annotated[int | None, typer.Option("--table", help="A table of the paper, 1 to 10.")] = None,
    root: Annotated[Path | None, typer.Option("--data", help="Folder in which the data sets lie.")] = None,
    show_list: Annotated[bool, typer.Option("--list", help="List all benchmarks and their protocols.")] = False,
    speed: Annotated[bool, typer.Option("--speed", help="Measure time and memory instead of quality.")] = False,
    size: Annotated[
        list[str] | None, typer.Option("--size", help="For --speed: WIDTHxHEIGHT, repeatable; else 1024x1024.")
    ] = None,
    metrics: measured.MetricsOption = None,
    limit: Annotated[int | None, typer.Option("--limit", min=1, help="Only so many pictures of each.")] = None,
    results: measured.ResultsOption = measured.RESULTS,
    html: Annotated[
        Path | None, typer.Option("--html", help="A page with sliders over the pictures that gained least and most.")
    ] = None,
    overwrite: options.OverwriteOption = False,
    scale: options.ScaleOption = "compact",
    weights: options.WeightsOption = None,
    device: Annotated[
        str, typer.Option("--device", help="auto, cpu, cuda, cuda:N or mps; for --speed several with commas.")
    ] = "auto",
    precision: Annotated[
        str, typer.Option("--precision", help="auto, float32, bfloat16 or float16; for --speed several with commas.")
    ] = "auto",
    tile: measured.TileOption = measured.TILE,
    top_k: options.TopKOption = None,
    passes: measured.PassesOption = "1",
    pooling_window: measured.PoolingOption = None,
    as_json: measured.TableJsonOption = False,
    as_csv: measured.CsvOption = False,
    as_markdown: measured.MarkdownOption = False,
) -> None:
    """Measure weights on the benchmarks of the paper, each by its own protocol.

    Examples:

    lorair bench --list

    lorair bench --dataset builtin

    lorair bench --setting 3task --dataset Rain100L --dataset bsd68 --data DATASETS

    lorair bench --table 1 --data DATASETS --markdown

    lorair bench --speed --size 512x512 --size 1920x1080
    """
    form = measured.choose_form(as_json, as_csv, as_markdown)
    if show_list:
        measured.refuse_given(ctx, ctx.params.keys() - OF_LIST, "--list lists all benchmarks")
        _print_list(form)
        return
    from lorair_cli.evaluation.campaign import Outcome, run, select
    from lorair_cli.evaluation.gallery import Gallery, check_page
    from lorair_cli.evaluation.journal import Store
    from lorair_cli.evaluation.meter import parse_metrics
    from lorair_cli.evaluation.subjects import restorer_subject
    from lorair_cli.restoration.choices import parse_passes

    def load(setting: str, device: str, precision: str) -> tuple[Restorer, str]:
        return measured.load_restorer(
            setting,
            scale=scale,
            weights=weights,
            device=device,
            precision=precision,
            tile=tile,
            top_k=top_k,
            pooling_window=pooling_window,
        )

    if speed:
        measured.refuse_given(ctx, ctx.params.keys() - OF_SPEED, "--speed measures no data sets")
        combinations = [(d.strip(), p.strip()) for d in device.split(",") for p in precision.split(",")]
        _measure_speed(
            lambda d, p: load(setting or DEFAULT_SETTING, d, p),
            combinations,
            size or ["1024x1024"],
            parse_passes(passes),
            form,
        )
        return
    if size:
        raise UsageError("--size is for --speed alone", "leave it out: benchmarks have pictures of their own")
    if html is not None:
        options.refuse_existing(html, overwrite)
    selection = select(dataset or [], setting, table)
    wanted = None if metrics is None else parse_metrics(metrics)
    most = parse_passes(passes)
    if root is None and any(b.obtain for b in selection.benchmarks):
        if selection.table is None:
            raise UsageError("no folder with data sets was named", "use --data, or measure `--dataset builtin`")
        measured.refuse_given(ctx, ctx.params.keys() - OF_TABLE, "--table without --data prints the paper's numbers")
        _print_outcome(selection, Outcome(()), None, form)
        return
    if root is not None and not root.is_dir():
        raise UsageError(f"{root} is no folder", "--data names the folder in which the data sets lie")
    team = measured.find_team(device)
    if team.size > 1 and wanted is not None and "fid" in wanted:
        raise UsageError("fid needs all results in one process", "start without accelerate, or leave it out")
    if html is not None:
        check_page(html)
    store = Store(team.journal(results), team.journals(results))
    restorer, identity = load(selection.weights_setting, device, precision)
    subject = restorer_subject(restorer, identity, most)
    gallery = None if html is None else Gallery()

    def measure(store: Store, share: tuple[int, int], gallery: Gallery | None) -> Outcome:
        with measured.picture_progress(shown=team.rank == 0) as started:
            return run(
                selection,
                root or Path(),
                subject,
                store,
                started,
                metrics=wanted,
                limit=limit,
                device=str(restorer.device),
                gallery=gallery,
                share=share,
            )

    if team.size > 1:
        measure(store, (team.rank, team.size), None)
        team.wait()
        if team.rank:
            return
        for journal in team.journals(results)[1:]:
            store.take(journal)
    outcome = measure(store, (0, 1), gallery)
    _print_outcome(selection, outcome, subject, form)
    written = gallery is None or html is None or _write_page(gallery, html, measured.identity(subject))
    _report_troubles(selection, outcome, root or Path(), bool(dataset))
    if not written:
        raise typer.Exit(1)


def _write_page(gallery: Gallery, path: Path, made_by: str) -> bool:
    """Whether the page could be written. By then the table or the JSON is on stdout: an error is only said."""
    try:
        gallery.write(path, made_by)
    except LorairError as error:
        print_error(error)
        return False
    return True


def _print_outcome(selection: Selection, outcome: Outcome, subject: Subject | None, form: Form) -> None:
    from lorair_cli.evaluation.report import COLUMNS, as_json, cells, table_rows

    table = selection.table
    rows = outcome.rows if table is None else table_rows(table, outcome.rows)
    if form == "json":
        failed = [{"benchmark": b.name, "image": None, **error_as_json(e)} for b, e in outcome.failed]
        for benchmark, lost in outcome.unmeasured:
            failed += [{"benchmark": benchmark.name, "image": name, **error_as_json(e)} for name, e in lost.items()]
        made_by = None if subject is None else {"weights": subject.weights, "options": subject.options}
        print_json(
            {
                "made_by": made_by,
                "table": None if table is None else table.number,
                "rows": [as_json(row) for row in rows],
                "missing": [b.name for b in outcome.missing],
                "failed": failed,
            }
        )
        return
    if form != "csv":
        if table is not None:
            data.print(f"Table {table.number}. {table.title}")
        data.print(measured.identity(subject) + ("\n" if form == "markdown" else ""))
    if rows:
        measured.print_table(COLUMNS, [cells(row) for row in rows], form)


def _report_troubles(selection: Selection, outcome: Outcome, root: Path, named: bool) -> None:
    """What could not be measured, on stderr. It fails the command if it was asked for by name, or is broken."""
    from lorair_cli.evaluation.datasets import how_to_get
    from lorair_cli.evaluation.registry import load_registry

    for benchmark, error in outcome.failed:
        talk.print(f"{benchmark.name} could not be measured:")
        print_error(error)
    for benchmark, lost in outcome.unmeasured:
        talk.print(f"{benchmark.name} is incomplete, {len(lost)} pictures could not be measured:")
        for reason in lost.values():
            print_error(reason)
    if named:
        for benchmark in outcome.missing:
            talk.print(how_to_get(benchmark, load_registry(), root))
    elif outcome.missing:
        talk.print(f"Not in {root}: {', '.join(b.name for b in outcome.missing)}")
        talk.print("`lorair bench --dataset NAME --data FOLDER` says where one can be had.")
    nothing = len(outcome.missing) == len(selection.benchmarks)
    if outcome.failed or outcome.unmeasured or nothing or (named and outcome.missing):
        raise typer.Exit(1)


def _print_list(form: Form) -> None:
    from lorair_cli.evaluation.registry import load_registry
    from lorair_cli.evaluation.report import listing

    header, rows = listing(load_registry())
    if form == "json":
        print_json({"benchmarks": [dict(zip(header, row, strict=True)) for row in rows]})
    else:
        measured.print_table(header, rows, form)


def _measure_speed(
    load: Callable[[str, str], tuple[Restorer, str]],
    combinations: list[tuple[str, str]],
    sizes: list[str],
    passes: int | None,
    form: Form,
) -> None:
    from lorair_cli.evaluation.speed import measure_speed, parse_size
    from lorair_cli.evaluation.subjects import restorer_subject
    from lorair_cli.restoration.device import choose_device, choose_precision

    parsed = sorted(parse_size(text) for text in sizes)
    for device, precision in combinations:  # before the first is measured, which takes minutes
        choose_precision(precision, choose_device(device))
    rows = []
    for device, precision in combinations:
        restorer, identity = load(device, precision)
        subject = restorer_subject(restorer, identity, passes)
        rows += [(measure_speed(restorer, size, passes), subject) for size in parsed]
    if form == "json":
        print_json({"rows": [asdict(row) | {"weights": s.weights, "options": s.options} for row, s in rows]})
        return
    header = ("size", "device", "precision", "seconds", "s/MP", "router", "tiles", "peak MiB", "weights")
    lines = [
        [
            f"{r.width}x{r.height}",
            r.device,
            r.precision,
            f"{r.seconds:.2f}",
            f"{r.seconds_per_megapixel:.2f}",
            f"{r.router_share:.0%}",
            str(r.tiles),
            "" if r.peak_mb is None else f"{r.peak_mb:.0f}",
            s.weights,
        ]
        for r, s in rows
    ]
    measured.print_table(header, lines, form)
