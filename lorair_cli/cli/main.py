"""The command line: ``lorair restore``, ``classify``, ``train``, ``data``."""

from __future__ import annotations

import sys
from contextlib import suppress
from typing import Annotated

import typer

import lorair_cli
from lorair_cli.cli import bench, classify, data, doctor, eval, restore, train, weights
from lorair_cli.cli.console import data as out
from lorair_cli.cli.console import error_as_json, print_error, print_json, talk, write_any_name
from lorair_cli.cli.process import prepare_process
from lorair_cli.errors import LorairError

app = typer.Typer(
    name="lorair",
    help="Restore hazy, rainy, snowy, noisy, blurred, dark, blocky or scratched photos.",
    no_args_is_help=True,
    pretty_exceptions_show_locals=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
app.command("restore")(restore.restore)
app.command("classify")(classify.classify)
app.command("doctor")(doctor.doctor)
app.command("train")(train.train)
app.command("eval")(eval.evaluate)
app.command("bench")(bench.bench)
app.add_typer(data.app, name="data")
app.add_typer(weights.app, name="weights")


def _print_version(wanted: bool) -> None:
    if wanted:
        out.print(f"lorair {lorair_cli.__version__}")
        raise typer.Exit


@app.callback()
def _main(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and exit.", callback=_print_version, is_eager=True)
    ] = False,
) -> None:
    """Restore hazy, rainy, snowy, noisy, blurred, dark, blocky or scratched photos."""


def run() -> None:
    """Entry point of the ``lorair`` script: a user's error is one line and an exit code, never a traceback."""
    prepare_process()
    write_any_name()
    try:
        app()
    except LorairError as error:
        _tell(error)
        sys.exit(error.exit_code)
    except KeyboardInterrupt:
        talk.print("Interrupted.")
        sys.exit(130)
    except BrokenPipeError:
        sys.stderr.close()  # the reader left; there is nobody to tell
        sys.exit(1)
    except OSError as error:  # what no command took for its own: a full disk behind stdout, a folder that was closed
        where = "" if error.filename is None else f"{error.filename}: "
        _tell(LorairError(f"{where}{error.strerror or error}"))
        sys.exit(1)


def _tell(error: LorairError) -> None:
    """What ended a command: a line for people, and for programs that read JSON an object in place of the answer."""
    print_error(error)
    if "--json" in sys.argv[1:]:
        with suppress(OSError):  # what ended it may be stdout itself
            print_json(error_as_json(error))
