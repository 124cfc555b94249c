"""``lorair weights``: what there is, what is here, and what is in a file."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import asdict, replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from lorair_cli.cli import options
from lorair_cli.cli.console import data, error_as_json, print_error, print_json, talk
from lorair_cli.errors import UsageError, WeightsError
from lorair_cli.imaging.files import printable
from lorair_cli.settings import DEFAULT_SETTING, get_setting

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

    for file in _paths_here(checkpoint) if checkpoint in read_manifest() else [Path(checkpoint)]:
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


@app.command("convert")
def convert(
    network: Annotated[Path, typer.Argument(help="The authors' restoration network, such as setting1_ir.pth.")],
    router: Annotated[
        Path | None, typer.Argument(help="The authors' router; the published one of the setting if not given.")
    ] = None,
    output: Annotated[Path, typer.Option("-o", "--output", help="The .safetensors file to write.")] = Path(
        "converted.safetensors"
    ),
    setting: options.SettingOption = "4task",
    overwrite: options.OverwriteOption = False,
) -> None:
    """Make a checkpoint of the authors' .pth files. Nothing in them is run.

    Examples:

        lorair weights convert setting1_ir.pth setting1_router.pth -o own.safetensors

        lorair restore rainy.png --weights own.safetensors
    """
    chosen = get_setting(setting)
    options.refuse_existing(output, overwrite)
    _refuse_other_than_safetensors(output)
    from lorair_cli.weights.authors import convert_authors
    from lorair_cli.weights.checkpoint import save_checkpoint

    checkpoint = convert_authors(network, router or _published_router(setting), chosen)
    save_checkpoint(output, checkpoint)
    data.print(str(output))


@app.command("combine")
def combine(
    base: Annotated[Path, typer.Argument(help="The checkpoint that keeps everything else.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="The .safetensors file to write.", show_default=False)],
    experts: Annotated[
        list[str] | None,
        typer.Option(
            "--experts",
            metavar="NAMES=FILE",
            help="Degradations, and the checkpoint whose experts of them to take, at the rank of BASE; repeatable.",
            show_default=False,
        ),
    ] = None,
    router: Annotated[
        Path | None,
        typer.Option(
            "--router",
            metavar="FILE",
            help="A checkpoint whose router to take: of the same prior, with a head that learnt further.",
            show_default=False,
        ),
    ] = None,
    share: Annotated[
        float,
        typer.Option(
            help="Of the taken experts, in the mean with the base's own, from which they must have grown; 1 takes all."
        ),
    ] = 1.0,
    any_router: Annotated[
        bool, typer.Option("--any-router", help="Let routers differ in more than the head: one kept the other's prior.")
    ] = False,
    alone: Annotated[
        str | None,
        typer.Option(
            "--alone",
            metavar="SETTING",
            help="Write the taken experts alone, as what SETTING has of its own beside the checkpoint.",
            show_default=False,
        ),
    ] = None,
    licence: Annotated[
        str | None,
        typer.Option(
            help="Licence of the result, for its metadata; what all its parts ask for if not given.", show_default=False
        ),
    ] = None,
    data_note: Annotated[
        str | None,
        typer.Option(
            help="What the result is to say about the photos and their licences; what its parts say if not given.",
            show_default=False,
        ),
    ] = None,
    half: Annotated[bool, typer.Option("--half", help="Write 16-bit floats.")] = False,
    overwrite: options.OverwriteOption = False,
) -> None:
    """Make one checkpoint of experts, and a router, that were trained apart on the same network and prior.

    Examples:

        lorair weights combine base.safetensors --experts rain,snow=runs/weather/finetune.safetensors -o all.safetensors

        lorair weights combine base.safetensors --experts shadow=longer.safetensors --share 0.6 -o mean.safetensors

        lorair weights combine base.safetensors --router runs/head/router.safetensors -o better.safetensors

        lorair weights combine base.safetensors --experts rain=light.safetensors --alone 3task -o own.safetensors
    """
    if not experts and router is None:
        raise UsageError("nothing to take is named", "say --experts NAMES=FILE, or --router FILE, or both")
    if alone is not None and router is not None:
        raise UsageError("--alone writes experts and no router", "say --experts NAMES=FILE, and no --router")
    setting = None if alone is None else get_setting(alone)
    options.refuse_existing(output, overwrite)
    _refuse_other_than_safetensors(output)
    wanted = [_names_and_file(text) for text in experts or []]
    import torch

    from lorair_cli.weights.checkpoint import load_checkpoint, save_checkpoint
    from lorair_cli.weights.combine import combine as combined
    from lorair_cli.weights.combine import experts_alone, with_router

    result = before = load_checkpoint(base)
    if router is not None:
        result = with_router(result, load_checkpoint(router), any_router)
    for names, file in wanted:
        result = combined(result, load_checkpoint(file), names, share, any_router)
    if setting is not None:
        taken = tuple(dict.fromkeys(name for names, _ in wanted for name in names))
        result = experts_alone(result, before, taken, setting)
    info = result.info if licence is None else replace(result.info, licence=licence)
    if data_note is not None:
        info = replace(info, provenance=info.provenance | {"data": data_note})
    save_checkpoint(output, replace(result, info=info), torch.float16 if half else None)
    data.print(str(output))


@app.command("export")
def export(
    output: Annotated[
        Path, typer.Option("-o", "--output", help="The .safetensors or .onnx file to write.", show_default=False)
    ],
    mixture: Annotated[
        str,
        typer.Option("--mixture", help="Degradations and their shares, such as rain=0.7,haze=0.3.", show_default=False),
    ],
    setting: options.SettingOption = DEFAULT_SETTING,
    scale: options.ScaleOption = "compact",
    weights: options.WeightsOption = None,
    overwrite: options.OverwriteOption = False,
) -> None:
    """Fold one mixture of experts into a plain network and write it, checked against the one with experts.

    A .safetensors file works like any other with --weights. An .onnx file holds the network alone: inputs `lq`
    (1, 3, height, width), RGB in [0, 1], and `prior` of the router; output `restored`.

    Examples:

        lorair weights export --mixture rain=0.7,haze=0.3 -o rain.onnx

        lorair weights export --mixture noise -o noise.safetensors
    """
    from lorair_cli.restoration.choices import parse_experts

    shares = parse_experts(mixture)
    options.refuse_existing(output, overwrite)
    from lorair_cli.weights.export import export as write
    from lorair_cli.weights.loading import load_weights

    get_setting(setting)
    checkpoint = load_weights(setting, scale) if weights is None else load_weights(weights)
    difference = write(checkpoint, shares, output)
    data.print(str(output))
    talk.print(f"largest difference to the network with experts: {difference:.1e}")


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


def _published_router(setting: str) -> Path:
    from lorair_cli.weights.hub import fetch
    from lorair_cli.weights.manifest import read_manifest

    for entry in read_manifest().values():
        if entry.setting == setting and entry.format == "authors":
            return fetch(entry.source.repository, entry.source.revision, entry.files[1])
    raise UsageError(f"no router of setting {setting} was published", "name the router's file, too")


def _refuse_other_than_safetensors(output: Path) -> None:
    if output.suffix != ".safetensors":
        raise UsageError(f"{output}: checkpoints are .safetensors files", "choose another name")


def _names_and_file(text: str) -> tuple[tuple[str, ...], Path]:
    """``rain,snow=FILE`` apart."""
    names, equals, file = text.partition("=")
    if not names or not equals or not file:
        raise UsageError(f"{text!r} is not NAMES=FILE", "write --experts rain,snow=FILE")
    return tuple(name.strip() for name in names.split(",")), Path(file)


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
