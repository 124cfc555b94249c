"""``lorair classify``: what is wrong with these photos?"""

from __future__ import annotations

import csv
import sys
from collections import Counter
from typing import Annotated

import typer

from lorair_cli.cli import options
from lorair_cli.cli.console import data, error_as_json, print_error, print_json, talk
from lorair_cli.errors import ImageError, UsageError
from lorair_cli.imaging.files import printable
from lorair_cli.settings import DEFAULT_SETTING, get_setting

BAR_WIDTH = 30


def classify(
    photos: options.PhotosArgument = None,
    recursive: options.RecursiveOption = False,
    from_file: options.FromFileOption = None,
    setting: options.SettingOption = DEFAULT_SETTING,
    scale: options.ScaleOption = "compact",
    weights: options.WeightsOption = None,
    device: options.DeviceOption = "auto",
    precision: options.PrecisionOption = "auto",
    as_json: options.JsonOption = False,
    as_csv: Annotated[bool, typer.Option("--csv", help="A table with a header on stdout, one row per photo.")] = False,
) -> None:
    """Print how probable each degradation is, with a bar for each.

    A photo in which nothing stands out has nothing that the router knows. A bad photo is named and the others go on.

    Examples:

        lorair classify photo.jpg

        lorair classify scans/ --recursive --csv > scans.csv

        find . -name "*.jpg" -print0 | lorair classify --from-file - --json

        lorair classify - < photo.jpg
    """
    from lorair_cli.restoration.inputs import find_photos

    if as_json and as_csv:
        raise UsageError("--json and --csv exclude each other")
    get_setting(setting)
    others: Counter[str] = Counter()
    found = find_photos(options.all_photos(photos, from_file), recursive=recursive, passed_by=others)
    options.tell_passed_by(others)
    sources = [photo.path for photo in found]
    from lorair_cli.cli.outcomes import introduction
    from lorair_cli.restoration.batch import read_source
    from lorair_cli.restoration.restorer import Restorer

    restorer = Restorer.from_pretrained(setting, scale=scale, weights=weights, device=device, precision=precision)
    talk.print(introduction(restorer))
    names = restorer.info.degradations
    table = csv.writer(sys.stdout, lineterminator="\n")
    if as_csv:
        table.writerow(["photo", *names])
    failed = 0
    for source in sources:
        name = "-" if source is None else str(source)
        try:
            probabilities = restorer.diagnose(read_source(source)[0]).probabilities
        except ImageError as error:
            failed += 1
            print_error(error)
            if as_json:
                print_json({"input": name, **error_as_json(error)})
            continue
        if as_json:
            rounded = {name: round(p, 6) for name, p in probabilities.items()}
            print_json({"input": name, "status": "ok", "probabilities": rounded})
        elif as_csv:
            table.writerow([name, *(f"{probabilities[name]:.6f}" for name in names)])
        else:
            data.print(printable(name))
            for name, p in sorted(probabilities.items(), key=lambda item: -item[1]):
                data.print(f"  {name:<12} {p:6.1%}  {_bar(p)}")
    if failed:
        if len(sources) > 1:
            talk.print(f"{failed} of {len(sources)} photos could not be read.", style="bold red")
        raise typer.Exit(1)


def _bar(share: float) -> str:
    """A bar of up to ``BAR_WIDTH`` characters, plain ASCII where the terminal cannot show blocks."""
    encoding = (getattr(sys.stdout, "encoding", None) or "ascii").lower()
    full = "█" if encoding.startswith("utf") else "#"
    return full * round(share * BAR_WIDTH)
