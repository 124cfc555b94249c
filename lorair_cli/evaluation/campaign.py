"""Which benchmarks to run, with which of the paper's settings beside them, and running them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import islice
from pathlib import Path

from lorair_cli.data.pairing import first_names
from lorair_cli.errors import ImageError, LorairError, UsageError
from lorair_cli.evaluation.datasets import Located, locate, readable
from lorair_cli.evaluation.gallery import Gallery
from lorair_cli.evaluation.journal import Store
from lorair_cli.evaluation.measuring import measure
from lorair_cli.evaluation.meter import Meter
from lorair_cli.evaluation.published import Table, get_table
from lorair_cli.evaluation.registry import Benchmark, Group, load_registry, paper_setting
from lorair_cli.evaluation.report import Row, benchmark_rows, beside_another_model, group_rows
from lorair_cli.evaluation.subjects import Subject
from lorair_cli.settings import DEFAULT_SETTING, SETTINGS

DEFAULT_METRICS = ("psnr", "ssim", "loe")


@dataclass(frozen=True)
class Selection:
    """What a run of ``lorair bench`` is about."""

    benchmarks: tuple[Benchmark, ...]
    groups: tuple[Group, ...]
    setting: str
    """The paper's setting (I to V, or mixed) whose protocols and numbers count where a benchmark is in several."""
    weights_setting: str
    """The project's setting whose weights restore."""
    table: Table | None = None
    """The table of the paper to print; None prints all rows."""


def select(datasets: Sequence[str], setting: str | None, table: int | None) -> Selection:
    """Benchmarks by name, or all of a setting or of a table of the paper.

    Args:
        datasets: names or aliases of benchmarks and groups; may be empty.
        setting: one of the project's five settings; None takes the table's, else the default one.
        table: number of a table of the paper.

    Raises:
        UsageError: nothing or too much was named, or a name is unknown.
    """
    registry = load_registry()
    if datasets and table is not None:
        raise UsageError("--dataset and --table exclude each other")
    if not datasets and setting is None and table is None:
        raise UsageError("nothing to measure", "name --dataset, --setting or --table; `lorair bench --list` names all")
    printed = None if table is None else get_table(table)
    roman = paper_setting(setting) if setting else printed.setting if printed else paper_setting(DEFAULT_SETTING)
    romans = {paper_setting(name): name for name in SETTINGS}
    weights_setting = setting or romans.get(roman, DEFAULT_SETTING)
    if printed is not None:
        datasets = [c.benchmark for c in printed.cells if c.benchmark != "router"]
        roman = printed.setting
    elif not datasets:
        datasets = [b.name for b in registry.of_setting(roman)] + [g.name for g in registry.group if g.setting == roman]
    found = [registry.find(name, roman) for name in datasets]
    if setting is None and printed is None and isinstance(found[0], Group):
        roman = found[0].setting  # a mean of sets is meant by the protocols of its own setting
    members = [b for entry in found for b in registry.members(entry.name)]
    groups = dict.fromkeys(entry for entry in found if isinstance(entry, Group))
    unique = {b.name: b for b in members}
    return Selection(tuple(unique.values()), tuple(groups), roman, weights_setting, printed)


@dataclass(frozen=True)
class Outcome:
    """What came of a run."""

    rows: tuple[Row, ...]
    """Benchmark by benchmark, then groups."""
    missing: tuple[Benchmark, ...] = ()
    failed: tuple[tuple[Benchmark, LorairError], ...] = ()
    unmeasured: tuple[tuple[Benchmark, Mapping[str, ImageError]], ...] = ()
    """Benchmarks whose rows lack pictures, which could not be read or measured, by name."""


Started = Callable[[str, int], Callable[[str], None]]
"""Called with a benchmark's name and its number of pictures; gives what to call after each picture."""


def run(
    selection: Selection,
    root: Path,
    subject: Subject,
    store: Store,
    started: Started,
    *,
    metrics: Sequence[str] | None = None,
    limit: int | None = None,
    device: str = "cpu",
    gallery: Gallery | None = None,
    share: tuple[int, int] = (0, 1),
) -> Outcome:
    """Measure every benchmark of ``selection`` that is under ``root``; one that fails does not stop the others.

    Nor does a picture that cannot be read or measured: the rows say that it is missing from their means.

    Args:
        selection: what to measure.
        root: where data sets lie.
        subject: what restores.
        store: what is known already.
        started: for progress.
        metrics: None takes PSNR and SSIM, and LOE where there is no ground truth.
        limit: at most so many pictures of each benchmark; the mean is then not called the paper's.
        device: where pyiqa's networks run.
        gallery: gets the pictures that gained least and most.
        share: ``(i, n)`` takes pictures i, i + n, ... only, for one of n processes: what comes back is then no mean.

    Raises:
        LorairError: a metric cannot be loaded at all.
    """
    rows: dict[str, list[Row]] = {}
    trained = paper_setting(subject.setting) if subject.setting in SETTINGS else ""
    others = {paper_setting(name) for name in SETTINGS} - {trained} if trained else set()
    missing, failed, unmeasured = [], [], []
    for benchmark in selection.benchmarks:
        setting = benchmark.setting_for(selection.setting)
        with_truth = benchmark.layout.rule != "no-truth"
        wanted = metrics if metrics is not None else DEFAULT_METRICS[:2] if with_truth else DEFAULT_METRICS[2:]
        meter = Meter(benchmark.protocols_for(setting), wanted, device)
        lost: dict[str, ImageError] = {}
        try:
            located = locate(benchmark, root)
            if located is None:
                missing.append(benchmark)
                continue
            located, count = _limited(located, limit)
            pairs = readable(islice(located.read(), share[0], count, share[1]), lost.__setitem__)
            advance = started(benchmark.name, count)
            records, fid = measure(benchmark.name, pairs, subject, meter, store, advance, lost.__setitem__)
            if gallery is not None:
                again = readable(islice(located.read(), count), lambda *_: None)  # they are among the lost already
                gallery.add(benchmark.name, again, records, subject, meter)
        except LorairError as error:
            failed.append((benchmark, error))
            continue
        problems = list(located.problems)
        if lost:
            problems.append(f"{len(lost)} pictures could not be measured: {first_names(lost)}")
            unmeasured.append((benchmark, lost))
        networks = {name: metric.label for name, metric in meter.learned.items()}
        rows[benchmark.name] = benchmark_rows(
            benchmark, setting, records, problems, subject.degradations, networks, fid
        )
        if setting in others:
            rows[benchmark.name] = beside_another_model(rows[benchmark.name], setting)
    listed = [row for part in rows.values() for row in part]
    for group in selection.groups:
        members = [b for b in selection.benchmarks if b.name in group.members]
        same = all(b.setting_for(selection.setting) == group.setting for b in members)
        means = group_rows(group, rows, group.setting if same else "")
        listed += beside_another_model(means, group.setting) if group.setting in others else means
    return Outcome(tuple(listed), tuple(missing), tuple(failed), tuple(unmeasured))


def _limited(located: Located, limit: int | None) -> tuple[Located, int]:
    if limit is None or limit >= located.count:
        return located, located.count
    problem = f"only the first {limit} of {located.count} pictures"
    return replace(located, problems=(problem, *located.problems)), limit
