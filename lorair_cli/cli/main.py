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
    except SystemExit as leaving:  # Typer's way out, wrong usage included, which it has shown by then
        _tell_what_typer_caught(leaving.__context__)
        raise
    except KeyboardInterrupt:  # where Typer does not catch it
        _tell_interruption()
        sys.exit(restore.INTERRUPTED)
    except BrokenPipeError:
        sys.stderr.close()  # the reader left; there is nobody to tell
        sys.exit(1)
    except MemoryError:
        _tell(LorairError("not enough memory", "close other programs"))
        sys.exit(1)
    except ImportError as error:  # a library that is damaged, or that memory does not suffice to load
        reason = next(iter(str(error).splitlines()), "")
        _tell(LorairError(f"a library cannot be loaded: {reason}", "is there enough memory for it?"))
        sys.exit(1)
    except OSError as error:  # what no command took for its own: a full disk behind stdout, a folder that was closed
        where = f"{error.filename}: " if error.filename else ""
        _tell(LorairError(f"{where}{error.strerror or error}"))
        sys.exit(1)


def _tell(error: LorairError) -> None:
    """What ended a command: a line for people, and for programs that read JSON an object in place of the answer."""
    print_error(error)
    _answer_in_json(error)


def _tell_what_typer_caught(caught: BaseException | None) -> None:
    """What is left to tell when Typer has ended a command because of ``caught``: people have mostly been told."""
    if isinstance(caught, typer.Exit):
        if isinstance(caught.__cause__, KeyboardInterrupt):
            _tell_interruption()
        elif caught.exit_code == restore.INTERRUPTED:  # the command has said so, and how far it came
            _answer_in_json(LorairError("Interrupted"))
    elif isinstance(caught, typer.Abort):
        _answer_in_json(LorairError("Aborted"))
    elif caught is not None and hasattr(caught, "format_message"):  # Click's errors: their class is not Typer's to name
        _answer_in_json(LorairError(caught.format_message()))


def _tell_interruption() -> None:
    talk.print("Interrupted.")
    _answer_in_json(LorairError("Interrupted"))


def _answer_in_json(error: LorairError) -> None:
    if "--json" in sys.argv[1:]:
        with suppress(OSError):  # what ended it may be stdout itself
            print_json(error_as_json(error))
