"""Rows of result tables: ours beside the paper's, the gap, the protocol, and why two numbers must not be compared."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, replace
from types import MappingProxyType
from typing import Any

import numpy as np

from lorair_cli.evaluation.journal import Record
from lorair_cli.evaluation.measuring import mean_scores
from lorair_cli.evaluation.protocols import PROTOCOLS
from lorair_cli.evaluation.published import RISING, Cell, Table, find_cell
from lorair_cli.evaluation.registry import Benchmark, Group, Registry

NOT_MEASURED = "not measured"
DECIMALS = {"psnr": 2, "ssim": 4, "lpips-alex": 4, "lpips-vgg": 4, "lpips": 3, "accuracy": 1}
COLUMNS = ("benchmark", "metric", "protocol", "pictures", "input", "ours", "paper", "gap", "best other", "remark")


@dataclass(frozen=True)
class Row:
    """One metric of one benchmark by one protocol."""

    benchmark: str
    metric: str
    protocol: str = ""
    pictures: int = 0
    before: float | None = None
    """Of the untouched inputs."""
    ours: float | None = None
    paper: float | None = None
    """What the paper prints for LoRA-IR."""
    gap: float | None = None
    """``ours - paper``; None where the two must not be compared."""
    best: float | None = None
    """The best other method's number in the paper."""
    method: str = ""
    remark: str = ""
    network: str = ""
    """Network and version of a metric that has one."""
    complete: bool = False
    """The mean is over exactly the pictures that the benchmark should have."""

    @property
    def better(self) -> bool | None:
        """Whether ours is at least as good as the paper's; None if they are not compared."""
        return None if self.gap is None else (self.gap >= 0 if self.metric in RISING else self.gap <= 0)


def benchmark_rows(
    benchmark: Benchmark,
    setting: str,
    records: Sequence[Record],
    problems: Sequence[str],
    degradations: Sequence[str] = (),
    networks: Mapping[str, str] = MappingProxyType({}),
    fid: tuple[float, str] | None = None,
) -> list[Row]:
    """Rows of one benchmark, its first protocol's first.

    Args:
        benchmark: what was measured.
        setting: the paper's setting whose numbers stand beside ours.
        records: of all its pictures that could be measured.
        problems: why the mean is not the paper's, as ``Located`` has it.
        degradations: what the router can tell, for its accuracy.
        networks: network and version of the metrics that have one.
        fid: FID and its network.
    """
    if not records:
        return [_row(benchmark, setting, "psnr", "", [], None, None, [NOT_MEASURED, *problems])]
    before, after = (mean_scores(scores) for scores in ([r.before for r in records], [r.after for r in records]))
    protocols = [p.name for p in benchmark.protocols_for(setting)]
    rows = []
    for name in sorted(after, key=lambda n: (protocols.index(_protocol(n)) if _protocol(n) else 99, n)):
        metric, protocol = name.split("@")[0], _protocol(name) or protocols[0]
        # The paper's number stands beside the first protocol only, the one it was probably measured by.
        beside = setting if protocol == protocols[0] else ""
        network = networks.get(metric, "")
        row = _row(benchmark, beside, metric, protocol, records, before.get(name), after[name], problems, network)
        rows.append(row)
        if protocol == "ldr-rgb":
            rows.append(_by_scene(row, records, name))
    if benchmark.degradation in degradations:
        hits = 100 * float(np.mean([r.recognised == benchmark.degradation for r in records]))
        rows.append(_row(benchmark, setting, "accuracy", "", records, None, hits, problems))
    if fid is not None:
        row = _row(benchmark, setting, "fid", protocols[0], records, None, fid[0], problems, fid[1])
        rows.append(replace(row, gap=None))  # nobody knows which FID the paper means
    return rows


def _protocol(name: str) -> str:
    return name.partition("@")[2]


def _printed_as(metric: str, protocol: str) -> str:
    """The paper says LPIPS without a network: the one that the protocol is known for."""
    return "lpips" if protocol and metric == PROTOCOLS[protocol].lpips else metric


def _row(
    benchmark: Benchmark,
    setting: str,
    metric: str,
    protocol: str,
    records: Sequence[Record],
    before: float | None,
    ours: float | None,
    problems: Sequence[str],
    network: str = "",
) -> Row:
    complete, remarks = ours is not None and not problems, list(problems)
    cell = find_cell(benchmark.name, _printed_as(metric, protocol), setting)
    comparable = cell is not None and complete
    if cell is not None and remarks and ours is not None:
        remarks = [f"not the paper's mean: {remarks[0]}", *remarks[1:]]
    if comparable and protocol and not PROTOCOLS[protocol].certain:
        remarks.append("protocol inferred")
    if comparable and not benchmark.pairs:
        remarks.append("number of pictures unknown")
    return Row(
        benchmark=benchmark.name,
        metric=metric,
        protocol=protocol,
        pictures=len(records),
        before=before,
        ours=ours,
        paper=cell.paper if cell else None,
        gap=ours - cell.paper if comparable and cell and ours is not None else None,
        best=cell.best if cell else None,
        method=cell.method if cell else "",
        remark="; ".join(remarks),
        network=network,
        complete=complete,
    )


def _by_scene(row: Row, records: Sequence[Record], name: str) -> Row:
    """The mean of the means of each scene: which of the two the paper printed is unknown."""
    scenes: dict[str, list[Record]] = {}
    for record in records:
        scenes.setdefault(record.image.rpartition("/")[0], []).append(record)
    means = [[np.mean([getattr(r, when)[name] for r in rs]) for rs in scenes.values()] for when in ("before", "after")]
    before, after = (float(np.mean(m)) for m in means)
    gap = None if row.gap is None or row.paper is None else after - row.paper
    remark = "; ".join(filter(None, [f"mean of {len(scenes)} scenes", row.remark]))
    return Row(**{**asdict(row), "before": before, "ours": after, "gap": gap, "remark": remark})


def group_rows(group: Group, rows: Mapping[str, Sequence[Row]], setting: str) -> list[Row]:
    """The unweighted mean over a group's members, for each metric that all of them have.

    Args:
        group: what to average.
        rows: of each benchmark that was measured, by its name.
        setting: the paper's setting by whose protocols the members were measured.
    """
    missing = [m for m in group.members if not any(r.ours is not None for r in rows.get(m, ()))]
    if missing:
        return [Row(group.name, "psnr", remark=f"{NOT_MEASURED}: {', '.join(missing)} missing")]
    first: dict[str, dict[str, Row]] = {}
    for member in group.members:
        for row in rows[member]:
            first.setdefault(row.metric, {}).setdefault(member, row)
    result = []
    for metric, members in first.items():
        if len(members) < len(group.members):
            continue
        parts = list(members.values())
        cell = find_cell(group.name, _printed_as(metric, parts[0].protocol), setting)
        partial = [r.benchmark for r in parts if not r.complete]
        befores = [r.before for r in parts if r.before is not None]
        ours = float(np.mean([r.ours for r in parts if r.ours is not None]))
        comparable = cell is not None and not partial and metric != "fid"
        remark = f"{', '.join(partial)} incomplete" if partial else ""
        if partial and cell is not None:
            remark = f"not the paper's mean: {remark}"
        if comparable and not all(PROTOCOLS[r.protocol].certain for r in parts if r.protocol):
            remark = "protocol inferred"
        result.append(
            Row(
                benchmark=group.name,
                metric=metric,
                protocol="+".join(dict.fromkeys(r.protocol for r in parts if r.protocol)),
                pictures=sum(r.pictures for r in parts),
                before=float(np.mean(befores)) if len(befores) == len(parts) else None,
                ours=ours,
                paper=cell.paper if cell else None,
                gap=ours - cell.paper if cell is not None and comparable else None,
                best=cell.best if cell else None,
                method=cell.method if cell else "",
                remark=remark,
                network=parts[0].network,
                complete=not partial,
            )
        )
    return result


def beside_another_model(rows: Sequence[Row], setting: str) -> list[Row]:
    """``rows`` that say of the paper's numbers that its model for ``setting`` made them: for weights of another one."""
    words = f"the paper's is its model for Setting {setting}"
    return [
        row if row.paper is None else replace(row, remark="; ".join(filter(None, [row.remark, words]))) for row in rows
    ]


def table_rows(table: Table, measured: Sequence[Row]) -> list[Row]:
    """A table of the paper, cell by cell; cells that were never measured say so."""
    return [_cell_row(cell, measured) for cell in table.cells]


def _cell_row(cell: Cell, measured: Sequence[Row]) -> Row:
    for row in measured:
        same = row.metric == cell.metric or (cell.metric == "lpips" and row.metric.startswith("lpips"))
        if row.benchmark == cell.benchmark and same and row.paper is not None and not cell.variant:
            return row
    remark = "; ".join(filter(None, [cell.variant, NOT_MEASURED]))
    if cell.all_in_one is not None:
        remark += f"; best all-in-one {cell.all_in_one:g} ({cell.all_in_one_method})"
    return Row(cell.benchmark, cell.metric, paper=cell.paper, best=cell.best, method=cell.method, remark=remark)


def listing(registry: Registry) -> tuple[tuple[str, ...], list[list[str]]]:
    """Header and lines of ``lorair bench --list``: a line per benchmark and setting, then the groups."""
    lines = []
    for b in registry.benchmark:
        for setting in b.protocols:
            pictures = f"{b.pairs} ({b.evidence})" if b.pairs else "?"
            protocols = ", ".join(p.name for p in b.protocols_for(setting))
            lines.append([b.name, setting, pictures, protocols, *_printed(b.name, setting), ", ".join(b.aliases)])
    for g in registry.group:
        content = f"mean of {len(g.members)} sets"
        lines.append([g.name, g.setting, content, "", *_printed(g.name, g.setting), ", ".join(g.aliases)])
    return ("benchmark", "setting", "pictures", "protocols", "paper", "best other", "also called"), lines


def _printed(name: str, setting: str) -> tuple[str, str]:
    found = [c for m in ("psnr", "ssim", "niqe", "loe") if (c := find_cell(name, m, setting)) is not None]
    paper = " / ".join(f"{c.paper:g}" for c in found)
    return paper, " / ".join(f"{c.best:g} {c.method}" for c in found if c.best is not None)


def decimals(score: str, value: float) -> str:
    """A value with as many digits as its metric deserves; ``score`` may end in ``@protocol``."""
    return f"{value:.{DECIMALS.get(score.split('@')[0], 2)}f}"


def cells(row: Row) -> list[str]:
    """A row as text, in the order of ``COLUMNS``."""
    digits = DECIMALS.get(row.metric, 2)
    gap = "" if row.gap is None else f"{row.gap:+.{digits}f}"
    best = "" if row.best is None else f"{row.best:g} {row.method}"
    paper = "" if row.paper is None else f"{row.paper:g}"
    before, ours = ("" if v is None else f"{v:.{digits}f}" for v in (row.before, row.ours))
    pictures = str(row.pictures or "")
    remark = "; ".join(filter(None, [row.remark, row.network]))
    return [row.benchmark, row.metric, row.protocol, pictures, before, ours, paper, gap, best, remark]


def as_text(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Aligned columns."""
    widths = [max(len(line[i]) for line in (header, *rows)) for i in range(len(header))]
    lines = ("  ".join(text.ljust(width) for text, width in zip(line, widths, strict=True)) for line in (header, *rows))
    return "\n".join(line.rstrip() for line in lines)


def as_markdown(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table for documents."""
    lines = [list(header), ["---"] * len(header), *([text.replace("|", "\\|") for text in row] for row in rows)]
    return "\n".join("| " + " | ".join(line) + " |" for line in lines)


def as_csv(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """Comma-separated values with a header."""
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([header, *rows])
    return text.getvalue().rstrip("\n")


def as_json(row: Row) -> dict[str, Any]:
    """A row as plain values, unrounded."""
    return asdict(row) | {"better": row.better}
