"""``lorair weights``: what there is, what is here, and what is in a file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lorair_cli.cli import making
from lorair_cli.cli.console import data, error_as_json, print_error, print_json
from lorair_cli.errors import UsageError, WeightsError
from lorair_cli.imaging.files import printable

if TYPE_CHECKING:
    from lorair_cli.weights.manifest import Entry

app = typer.Typer(help="List, download, check, convert, combine and export weights.", no_args_is_help=True)

NamesArgument = Annotated[
    list[str] | None, typer.Argument(help="Names as `lorair weights list` shows them.", show_default=False)
]
JsonOption = Annotated[bool, typer.Option("--json", help="JSON on stdout, one object per line.")]


@app.command("list")
def list_weights(as_json: JsonOption = False) -> None:
    """List all weights of this version: what is here, size, licence, degradations, the paper's numbers.

    Examples:

        lorair weights list

        lorair weights list --json
    """
    from lorair_cli.weights.manifest import read_manifest

    for name, entry in read_manifest().items():
        state, size = _state(entry)
        if as_json:
            print_json(_entry_as_json(name, entry, state, size))
            continue
        shown = "size unknown" if size is None else _megabytes(size)
        data.print(f"{name}: {state}, {shown}, {entry.licence}")
        data.print(f"  {', '.join(entry.degradations)}")
        data.print(f"  trained on {entry.trained_on}")
        data.print(f"  stands for the paper's {entry.paper}")
        if entry.note:
            data.print(f"  {entry.note}")


@app.command("download")
def download(names: NamesArgument = None) -> None:
    """Fetch weights, all that are on the hub or the ones named, check them and print where they lie.

    What is here and good is not fetched again. Another cache or hub: HF_HOME, HF_ENDPOINT, HF_TOKEN, HTTPS_PROXY.

    Examples:

        lorair weights download

        lorair weights download paper-4task
    """
    from lorair_cli.weights.store import obtain

    for _, entry in _chosen(names):
        if names or entry.source.kind == "hub":
            for file in obtain(entry):
                data.print(str(file))


@app.command("verify")
def verify(names: NamesArgument = None, as_json: JsonOption = False) -> None:
    """Check the files that are here, all or the ones named, against their SHA-256; nothing is downloaded.

    Examples:

        lorair weights verify

        lorair weights verify compact-10task
    """
    failed = False
    for name, entry in _chosen(names):
        try:
            paths = _verified(name, entry)
        except WeightsError as error:
            failed = True
            print_error(error)
            if as_json:
                print_json({"name": name, **error_as_json(error)})
            continue
        if not paths:
            # Nothing to check is a failure only for what was asked for by name.
            failed = failed or bool(names)
            status = "not here"
        else:
            status = "ok"
        if as_json:
            print_json({"name": name, "status": status, "files": [str(path) for path in paths]})
        else:
            data.print(f"{name}: {status}")
    if failed:
        raise typer.Exit(1)


@app.command("path")
def path(name: Annotated[str, typer.Argument(help="Name as `lorair weights list` shows it.")]) -> None:
    """Print where the files of some weights lie, one per line.

    Examples:

        lorair weights path compact-10task

        cp $(lorair weights path compact-10task) backup/
    """
    for file in _paths_here(name):
        data.print(str(file))


@app.command("info")
def info(
    checkpoint: Annotated[
        str, typer.Argument(help="A name as `lorair weights list` shows it, a .safetensors file, or an authors' .pth.")
    ],
    as_json: JsonOption = False,
) -> None:
    """Print what a checkpoint says about itself: sizes, degradations, where it comes from, its tensors.

    Examples:

        lorair weights info compact-10task

        lorair weights info runs/mine/finetune.safetensors --json
    """
    from lorair_cli.weights.inspection import inspect
    from lorair_cli.weights.manifest import read_manifest
    from lorair_cli.weights.store import own_file

    for file in _paths_here(checkpoint) if checkpoint in read_manifest() else [own_file(Path(checkpoint))]:
        found = inspect(file)
        if as_json:
            print_json(found)
            continue
        size = f"{_megabytes(found['bytes'])}, {found['parameters']:,} numbers"
        data.print(f"{printable(found['file'])}: {found['format']}, {size}")
        data.print(f"  sha256 {found['sha256']}")
        for line in _lines(found["description"]):
            data.print(printable(f"  {line}"))
        for tensor, shape in found["tensors"].items():
            data.print(printable(f"  {tensor} {'x'.join(map(str, shape)) or 'scalar'}"))


app.command("convert")(making.convert)
app.command("combine")(making.combine)
app.command("export")(making.export)


def _chosen(names: Sequence[str] | None) -> list[tuple[str, Entry]]:
    """The named entries of the manifest, or all; ``UsageError`` for a name that is none."""
    from lorair_cli.weights.manifest import read_manifest

    entries = read_manifest()
    for name in names or ():
        if name not in entries:
            raise UsageError(f"there are no weights {name!r}", f"choose from {', '.join(entries)}")
    return [(name, entries[name]) for name in names or entries]


def _state(entry: Entry) -> tuple[str, int | None]:
    """In a word where the weights are, and their size in bytes if it is known."""
    from lorair_cli.weights.store import files_here

    if here := files_here(entry):
        return ("bundled" if entry.source.kind == "bundled" else "here"), sum(file.bytes for _, file in here)
    size = sum(file.bytes for file in entry.files) if all(file.published for file in entry.files) else None
    return ("not in this build" if entry.source.kind == "bundled" else "not downloaded"), size


def _verified(name: str, entry: Entry) -> list[Path]:
    """The files that are here, all of them good; ``WeightsError`` for the first that is not."""
    from lorair_cli.weights.integrity import damage
    from lorair_cli.weights.store import files_here

    here = files_here(entry)
    remedy = "install lorair again" if entry.source.kind == "bundled" else f"lorair weights download {name}"
    if not here and entry.source.kind == "bundled" and all(file.published for file in entry.files):
        raise WeightsError(f"{name}: {' or '.join(file.name for file in entry.files)} is missing", remedy)
    for file, expected in here:
        try:
            reason = damage(file, expected)
        except OSError as error:
            reason = f"cannot be read, {error.strerror}"
        if reason is not None:
            raise WeightsError(f"{file}: damaged, {reason}", remedy)
    return [file for file, _ in here]


def _paths_here(name: str) -> list[Path]:
    """Where the files of an entry of the manifest lie; ``WeightsError`` if they are not here."""
    from lorair_cli.weights.store import files_here

    [(_, entry)] = _chosen([name])
    here = files_here(entry)
    if not here:
        raise WeightsError(f"{name}: not on this machine", f"lorair weights download {name}")
    return [file for file, _ in here]


def _entry_as_json(name: str, entry: Entry, state: str, size: int | None) -> dict[str, Any]:
    return {"name": name, "state": state, "total_bytes": size, **asdict(entry)}


def _lines(table: dict[str, Any], indent: str = "") -> list[str]:
    """A nested table as text."""
    lines = []
    for key, value in table.items():
        if isinstance(value, dict):
            lines += [f"{indent}{key}:", *_lines(value, indent + "  ")]
        else:
            shown = ", ".join(map(str, value)) if isinstance(value, list | tuple) else value
            lines.append(f"{indent}{key}: {shown}")
    return lines


def _megabytes(size: int) -> str:
    return f"{size / 1e6:.1f} MB"
