"""``lorair weights convert``, ``combine`` and ``export``: new checkpoints made of others."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer

from lorair_cli.cli import options
from lorair_cli.cli.console import data, talk
from lorair_cli.errors import UsageError
from lorair_cli.settings import DEFAULT_SETTING, get_setting


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
    options.check_output(output, overwrite)
    _refuse_other_than_safetensors(output)
    from lorair_cli.weights.authors import convert_authors
    from lorair_cli.weights.checkpoint import save_checkpoint

    checkpoint = convert_authors(network, router or _published_router(setting), chosen)
    save_checkpoint(output, checkpoint)
    data.print(str(output))


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
    if not experts and share != 1:
        raise UsageError("--share is of experts, and a router is taken whole", "leave it out, or say --experts")
    setting = None if alone is None else get_setting(alone)
    options.check_output(output, overwrite)
    _refuse_other_than_safetensors(output)
    wanted = [_names_and_file(text) for text in experts or []]
    import torch

    from lorair_cli.weights.checkpoint import load_checkpoint, save_checkpoint
    from lorair_cli.weights.combine import combine as combined
    from lorair_cli.weights.combine import experts_alone, with_router
    from lorair_cli.weights.store import own_file

    result = before = load_checkpoint(own_file(base))
    if router is not None:
        result = with_router(result, load_checkpoint(own_file(router)), any_router)
    for names, file in wanted:
        result = combined(result, load_checkpoint(own_file(file)), names, share, any_router)
    if setting is not None:
        taken = tuple(dict.fromkeys(name for names, _ in wanted for name in names))
        result = experts_alone(result, before, taken, setting)
    info = result.info if licence is None else replace(result.info, licence=licence)
    if data_note is not None:
        info = replace(info, provenance=info.provenance | {"data": data_note})
    save_checkpoint(output, replace(result, info=info), torch.float16 if half else None)
    data.print(str(output))


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
    options.check_output(output, overwrite)
    from lorair_cli.weights.export import export as write
    from lorair_cli.weights.loading import load_weights

    get_setting(setting)
    checkpoint = load_weights(setting, scale) if weights is None else load_weights(weights)
    difference = write(checkpoint, shares, output)
    data.print(str(output))
    talk.print(f"largest difference to the network with experts: {difference:.1e}")


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
