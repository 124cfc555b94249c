"""``lorair eval``: measure restored photos of one's own folders by any protocol."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from lorair_cli.cli import measured, options
from lorair_cli.cli.console import data, error_as_json, print_error, print_json, talk
from lorair_cli.cli.measured import Form
from lorair_cli.errors import ImageError, UsageError
from lorair_cli.imaging.files import printable
from lorair_cli.settings import DEFAULT_SETTING

if TYPE_CHECKING:
    from lorair_cli.evaluation.journal import Record
    from lorair_cli.evaluation.subjects import Subject


def evaluate(
    ctx: typer.Context,
    inputs: Annotated[
        Path | None, typer.Option("--input", help="Folder of degraded photos (LQ).", show_default=False)
    ] = None,
    target: Annotated[
        Path | None, typer.Option("--target", help="Folder of ground truth (GT); without it only loe, niqe, ilniqe.")
    ] = None,
    restored: Annotated[
        Path | None, typer.Option("--restored", help="Folder of results of any tool, to measure instead of restoring.")
    ] = None,
    protocol: Annotated[
        list[str] | None,
        typer.Option("--protocol", help="How to measure, repeatable; `lorair bench --list` shows them."),
    ] = None,
    metrics: measured.MetricsOption = None,
    pairing: Annotated[
        str, typer.Option("--pair", help="same-name, sorted, or the naming rule of a data set, such as raindrop.")
    ] = "same-name",
    setting: options.SettingOption = DEFAULT_SETTING,
    scale: options.ScaleOption = "compact",
    weights: options.WeightsOption = None,
    device: options.DeviceOption = "auto",
    precision: options.PrecisionOption = "auto",
    tile: measured.TileOption = measured.TILE,
    top_k: options.TopKOption = None,
    passes: measured.PassesOption = "1",
    pooling_window: measured.PoolingOption = None,
    as_json: measured.TableJsonOption = False,
    as_csv: measured.CsvOption = False,
    as_markdown: measured.MarkdownOption = False,
) -> None:
    """Restore the photos of a folder and measure each against its ground truth.

    Examples:

    lorair eval --input hazy/ --target clear/

    lorair eval --input hazy/ --target clear/ --restored other_tool/ --protocol rgb --protocol diffuir-y

    lorair eval --input night/ --metrics loe,niqe --csv
    """
    form = measured.choose_form(as_json, as_csv, as_markdown)
    if restored is not None:
        measured.refuse_given(ctx, measured.OF_NETWORK, "--restored measures what is there")
    from lorair_cli.data.pairing import first_names
    from lorair_cli.evaluation.folders import folder_pairs, saved_results
    from lorair_cli.evaluation.journal import Store
    from lorair_cli.evaluation.measuring import measure
    from lorair_cli.evaluation.meter import Meter, parse_metrics
    from lorair_cli.evaluation.protocols import get_protocol
    from lorair_cli.evaluation.subjects import restorer_subject
    from lorair_cli.restoration.choices import parse_passes
    from lorair_cli.restoration.device import choose_device

    names = protocol or ["rgb" if target is not None else "no-reference"]
    default = ("psnr", "ssim") if target is not None else ("loe",)
    wanted = default if metrics is None else parse_metrics(metrics)
    most = parse_passes(passes)
    if target is None and "fid" in wanted:
        raise UsageError("fid compares with ground truth", "name --target")
    meter = Meter([get_protocol(name) for name in names], wanted, str(choose_device(device)))
    if not meter.expected(target is not None) and "fid" not in wanted:
        raise UsageError(
            f"{', '.join(wanted)} cannot be measured by {', '.join(names)}", "name --target, or metric loe"
        )
    pairs = folder_pairs(inputs, target, pairing, restored)
    if pairs.unused:
        named = printable(first_names(pairs.unused))
        talk.print(f"{len(pairs.unused)} pictures in {target} have no input, and are not in the means: {named}")
    if inputs is None and "loe" in wanted:
        raise UsageError("loe compares with the input", "name --input")
    if restored is not None:
        subject = saved_results(restored, pairs)
    else:
        restorer, identity = measured.load_restorer(
            setting,
            scale=scale,
            weights=weights,
            device=device,
            precision=precision,
            tile=tile,
            top_k=top_k,
            pooling_window=pooling_window,
        )
        subject = restorer_subject(restorer, identity, most)
    failures: dict[str, ImageError] = {}

    def failed(name: str, error: ImageError) -> None:
        failures[name] = error
        print_error(error)

    with measured.picture_progress() as started:
        advance = started("measuring", len(pairs))
        records, fid = measure("folder", pairs.read(failed), subject, meter, Store(None), advance, failed)
    networks = {name: metric.label for name, metric in meter.learned.items()}
    _print(records, failures, fid, networks, subject, names, form, with_input=inputs is not None)
    if failures:
        talk.print(f"{len(failures)} of {len(pairs)} pictures could not be measured.", style="bold red")
        raise typer.Exit(1)


def _print(
    records: list[Record],
    failures: dict[str, ImageError],
    fid: tuple[float, str] | None,
    networks: dict[str, str],
    subject: Subject,
    protocols: list[str],
    form: Form,
    with_input: bool,
) -> None:
    from lorair_cli.evaluation.measuring import mean_scores
    from lorair_cli.evaluation.report import decimals

    before, after = mean_scores([r.before for r in records]), mean_scores([r.after for r in records])
    if form == "json":
        print_json(
            {
                "made_by": {"weights": subject.weights, "options": subject.options},
                "protocols": protocols,
                "mean": after,
                "mean_of_input": before if with_input else None,
                "networks": networks,
                "fid": None if fid is None else {"value": fid[0], "network": fid[1]},
                "images": [
                    {
                        "image": r.image,
                        "input": r.before if with_input else None,
                        "result": r.after,
                        "recognised": r.recognised or None,
                    }
                    for r in records
                ],
                "failed": [{"image": name, **error_as_json(error)} for name, error in failures.items()],
            }
        )
        return
    shown = [("input", before), ("result", after)] if with_input else [("result", after)]
    header = ["image", *(f"{score} {what}" for score in after for what, _ in shown)]

    def line(name: str, scores: dict[str, dict[str, float]]) -> list[str]:
        found = ((score, scores[what].get(score)) for score in after for what, _ in shown)
        return [name, *("" if value is None else decimals(score, value) for score, value in found)]

    lines = [line(r.image, {"input": r.before, "result": r.after}) for r in records]
    # A mean over a part must not look like one over all.
    mean = f"mean of {len(records)} of {len(records) + len(failures)}" if failures else "mean"
    lines.append(line(mean, {"input": before, "result": after}))
    if form == "csv" and fid is not None:  # of all pictures together: it stands beside their mean
        header.append("fid result")
        lines = [[*cells, decimals("fid", fid[0]) if cells is lines[-1] else ""] for cells in lines]
    if form != "csv":
        data.print(measured.identity(subject) + ("\n" if form == "markdown" else ""))
    measured.print_table(header, lines, form)
    if form != "csv":
        for name, network in networks.items():
            data.print(f"{name}: {network}")
    if fid is not None and form != "csv":
        data.print(f"FID {fid[0]:.2f} ({fid[1]})")
