"""What ``lorair eval`` and ``lorair bench`` share: a restorer and its identity, progress, tables in several forms."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer

from lorair_cli.cli.console import data, talk
from lorair_cli.cli.process import refuse_half_a_team, started_processes
from lorair_cli.errors import UsageError
from lorair_cli.settings import get_setting

if TYPE_CHECKING:
    from lorair_cli.evaluation.subjects import Subject
    from lorair_cli.restoration.restorer import Restorer

Form = Literal["text", "json", "csv", "markdown"]

MetricsOption = Annotated[
    list[str] | None,
    typer.Option(
        "--metrics", help="psnr, ssim, loe; with the extra `metrics` also lpips, lpips-vgg, fid, niqe, ilniqe."
    ),
]
PoolingOption = Annotated[
    int | None,
    typer.Option("--pooling-window", min=1, help="Local pooling over so many pixels; 384 in the authors' code."),
]
PassesOption = Annotated[
    str, typer.Option("--passes", metavar="N|auto", help="As in `lorair restore`; one pass is the paper's way.")
]
ResultsOption = Annotated[
    Path, typer.Option("--results", help="Where each measured picture is noted, to go on after an interruption.")
]
TileOption = Annotated[
    int,
    typer.Option("--tile", min=0, help="Side of a tile in pixels, 0 for none; never chosen by free memory here."),
]
TILE = 1536
"""No picture of the paper's benchmarks is larger, so each is restored in one piece, as the paper did."""

TableJsonOption = Annotated[bool, typer.Option("--json", help="One JSON object on stdout.")]
CsvOption = Annotated[bool, typer.Option("--csv", help="Comma-separated values on stdout.")]
MarkdownOption = Annotated[bool, typer.Option("--markdown", help="A Markdown table on stdout.")]
RESULTS = Path("runs") / "bench.jsonl"

OF_NETWORK = frozenset({"setting", "scale", "weights", "precision", "tile", "top_k", "passes", "pooling_window"})
"""Parameters of both commands that say which network restores, and how."""


def choose_form(as_json: bool, as_csv: bool, as_markdown: bool = False) -> Form:
    """How to print; ``UsageError`` if two ways were asked for."""
    if sum((as_json, as_csv, as_markdown)) > 1:
        raise UsageError("--json, --csv and --markdown exclude each other")
    return "json" if as_json else "csv" if as_csv else "markdown" if as_markdown else "text"


def refuse_given(ctx: typer.Context, unused: Collection[str], what: str) -> None:
    """``UsageError`` if parameters named in ``unused`` were given: they would be passed over in silence."""
    options = {p.name: p.opts[0] for p in ctx.command.params if p.name in unused}
    sources = {option: ctx.get_parameter_source(name) for name, option in options.items()}
    if given := [option for option, source in sources.items() if source is not None and source.name == "COMMANDLINE"]:
        raise UsageError(f"{what}, and has no use for {', '.join(given)}", "leave that out")


def load_restorer(
    setting: str,
    *,
    scale: str,
    weights: Path | None,
    device: str,
    precision: str,
    tile: int,
    top_k: int | None,
    pooling_window: int | None,
) -> tuple[Restorer, str]:
    """A restorer and the identity of its weights; errors as ``Restorer`` has them."""
    from lorair_cli.restoration.restorer import Restorer
    from lorair_cli.weights.loading import load_weights
    from lorair_cli.weights.manifest import identity

    get_setting(setting)
    checkpoint = load_weights(setting, scale) if weights is None else load_weights(weights)
    restorer = Restorer(
        checkpoint,
        device=device,
        precision=precision,
        tile=tile,
        top_k=top_k,
        pooling_window=pooling_window,
    )
    restorer.require_network()
    return restorer, identity(checkpoint.files)


@dataclass(frozen=True)
class Team:
    """The processes that ``accelerate launch`` started for one command, or the single one there is."""

    rank: int
    size: int
    wait: Callable[[], None]
    """Comes back when all of them got here."""

    def journal(self, results: Path) -> Path:
        """The file of this process: no two write into one."""
        return self.journals(results)[self.rank]

    def journals(self, results: Path) -> list[Path]:
        """The files of all processes, the first one's first."""
        return [results, *(results.with_suffix(f".{rank}{results.suffix}") for rank in range(1, self.size))]


def find_team(device: str) -> Team:
    """Who works on this command, on the device called ``device``.

    Accelerate is asked only if it has started this process. Raises ``UsageError`` where the processes cannot share the
    work: each would do all of it.
    """
    if started_processes() == 1:
        return Team(0, 1, lambda: None)
    from accelerate import PartialState

    from lorair_cli.restoration.device import choose_device

    # Without being told, Accelerate looks for other processes on a GPU only. It also makes each its GPU.
    state = PartialState(cpu=choose_device(device).type == "cpu")
    refuse_half_a_team(state.num_processes, "start one, or choose --device cpu or cuda")
    return Team(state.process_index, state.num_processes, state.wait_for_everyone)


@contextmanager
def picture_progress(shown: bool = True) -> Iterator[Callable[[str, int], Callable[[str], None]]]:
    """Bars on a terminal, nothing elsewhere: call with a name and a count, then with each picture's name."""
    from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeRemainingColumn

    columns = (TextColumn("{task.description}"), BarColumn(), MofNCompleteColumn(), TimeRemainingColumn())
    with Progress(*columns, console=talk, transient=True, disable=not (shown and talk.is_terminal)) as bars:

        def started(name: str, count: int) -> Callable[[str], None]:
            task = bars.add_task(name, total=count)
            return lambda _: bars.advance(task)

        yield started


def identity(subject: Subject | None) -> str:
    """One line that says what made the numbers."""
    import lorair_cli

    if subject is None:
        return f"lorair {lorair_cli.__version__}: published numbers only"
    return f"lorair {lorair_cli.__version__}, weights {subject.weights}, {subject.options}"


def print_table(header: Sequence[str], rows: Sequence[Sequence[str]], form: Form) -> None:
    """A table on stdout in any form but JSON."""
    from lorair_cli.evaluation import report

    shape = {"text": report.as_text, "csv": report.as_csv, "markdown": report.as_markdown}[form]
    data.print(shape(header, rows))
