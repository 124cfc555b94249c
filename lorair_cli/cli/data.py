"""``lorair data``: what training learns from, to look at."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from lorair_cli.cli.console import data, talk

app = typer.Typer(help="Look at training data.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    """Look at training data."""  # a group of its own, even while it holds one command


@app.command("preview")
def preview(
    photos: Annotated[
        list[Path] | None, typer.Argument(help="Clean photos to degrade; four sample photos if not given.")
    ] = None,
    output: Annotated[Path, typer.Option("-o", "--output", help="The picture to write.")] = Path("sheet.png"),
    seed: Annotated[int, typer.Option("--seed", min=0, help="Another seed is another draw.")] = 0,
    strength: Annotated[
        list[float] | None,
        typer.Option(
            "--strength",
            min=0,
            max=1,
            help="0 mild to 1 heavy; may be given several times. 0.2, 0.5, 0.9 if not given.",
        ),
    ] = None,
    side: Annotated[int, typer.Option("--side", min=32, max=1024, help="Side of a square in pixels.")] = 256,
) -> None:
    """Draw a contact sheet: photos under each of the ten degradations, a row for each photo and strength.

    Examples:

        lorair data preview -o sheet.png

        lorair data preview --strength 0.9 -o heavy.png
    """
    from lorair_cli.data.contact_sheet import contact_sheet, sample_photos
    from lorair_cli.imaging.arrays import to_eight_bits
    from lorair_cli.imaging.decode import read_photo
    from lorair_cli.imaging.encode import format_for, write_photo
    from lorair_cli.imaging.photo import Photo

    format_for(output)  # a wrong suffix is said before the work
    named = [(path.stem, to_eight_bits(read_photo(path).rgb)) for path in photos] if photos else sample_photos()
    sheet = contact_sheet(named, strength or [0.2, 0.5, 0.9], side, seed)
    write_photo(Photo(sheet), output)
    data.print(str(output))
    talk.print(f"{len(named)} photos under each degradation, {sheet.shape[1]} x {sheet.shape[0]} pixels")
