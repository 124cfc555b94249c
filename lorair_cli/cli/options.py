"""Options that several commands share, with one help text each."""

from __future__ import annotations

import sys
from collections import Counter
from pathlib import Path
from typing import Annotated

import typer

from lorair_cli.cli.console import talk
from lorair_cli.errors import UsageError
from lorair_cli.imaging.files import is_folder, is_there
from lorair_cli.settings import SETTINGS

NETWORK = "Network"
"""Panel of the help that holds what is said about the network."""

PhotosArgument = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="PHOTOS", help="Photos, folders, patterns such as '*.jpg', or - for a pipe.", show_default=False
    ),
]
RecursiveOption = Annotated[
    bool, typer.Option("-r", "--recursive", help="Also look into the folders of folders; their tree is kept.")
]
FromFileOption = Annotated[
    str | None,
    typer.Option("--from-file", metavar="LIST", help="Read names of photos from a file, one a line; - is stdin."),
]
SettingOption = Annotated[
    str,
    typer.Option(
        "--setting",
        help=f"Which degradations to expect: {', '.join(SETTINGS)}.",
        show_default=True,
        autocompletion=lambda: list(SETTINGS),
        rich_help_panel=NETWORK,
    ),
]
ScaleOption = Annotated[
    str,
    typer.Option(
        "--scale",
        help="compact (bundled, fast on a laptop) or paper (the full-size network).",
        autocompletion=lambda: ["compact", "paper"],
        rich_help_panel=NETWORK,
    ),
]
WeightsOption = Annotated[
    Path | None,
    typer.Option(
        "--weights",
        help="A checkpoint of your own (.safetensors), instead of --setting.",
        rich_help_panel=NETWORK,
    ),
]
DeviceOption = Annotated[
    str,
    typer.Option(
        "--device",
        help="auto, cpu, cuda, cuda:N or mps.",
        autocompletion=lambda: ["auto", "cpu", "cuda", "mps"],
        rich_help_panel=NETWORK,
    ),
]
PrecisionOption = Annotated[
    str,
    typer.Option(
        "--precision",
        help="auto, float32, bfloat16 or float16. auto takes bfloat16 where it is fast.",
        autocompletion=lambda: ["auto", "float32", "bfloat16", "float16"],
        rich_help_panel=NETWORK,
    ),
]
TopKOption = Annotated[
    int | None,
    typer.Option(
        "--top-k",
        min=1,
        help="How many experts to mix; the number the weights were trained with if not given.",
        rich_help_panel=NETWORK,
    ),
]
OverwriteOption = Annotated[bool, typer.Option("--overwrite", help="Replace a file that exists already.")]
JsonOption = Annotated[bool, typer.Option("--json", help="One JSON object per photo on stdout.")]


def refuse_existing(output: Path, overwrite: bool) -> None:
    """``UsageError`` if there is something at ``output`` that the user did not allow to be replaced."""
    if is_there(output) and not overwrite:
        raise UsageError(f"{output} exists already", "use --overwrite to replace it")


def check_output(output: Path, overwrite: bool) -> None:
    """As :func:`refuse_existing`, and ``UsageError`` if there is no folder for ``output``: told before long work."""
    if not is_folder(output.parent):
        raise UsageError(f"{output.parent}: there is no such folder", "make it first, or choose another output")
    refuse_existing(output, overwrite)


def all_photos(photos: list[str] | None, from_file: str | None) -> list[str | Path]:
    """The words of the command line, then the names in the list; the latter are no patterns.

    Raises ``UsageError`` if the list cannot be read, or stdin would have to be a list and a photo at once.
    """
    from lorair_cli.restoration.inputs import STDIN, read_list

    words: list[str | Path] = list(photos or [])
    if from_file is None:
        return words
    if from_file == STDIN and STDIN in words:
        raise UsageError("standard input cannot be a photo and a list of photos")
    try:
        listed = sys.stdin.buffer.read() if from_file == STDIN else Path(from_file).read_bytes()
    except OSError as error:
        raise UsageError(f"{from_file}: the list cannot be read: {error.strerror}") from error
    return [*words, *read_list(listed)]


def tell_passed_by(kinds: Counter[str]) -> None:
    """A line about files in folders that look like photos and cannot be read, if there are any."""
    if kinds:
        talk.print("passed by, as no photos that can be read: " + ", ".join(f"{n} {kind}" for kind, n in kinds.items()))
