"""``lorair data``: what training learns from, to look at."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import Annotated

import typer
from rich.progress import Progress

from lorair_cli.cli.console import data, print_json, talk
from lorair_cli.cli.options import OverwriteOption, SettingOption, refuse_existing
from lorair_cli.errors import TrainingError, UsageError
from lorair_cli.imaging.files import is_there
from lorair_cli.settings import DEFAULT_SETTING, SETTINGS, get_setting

FAILED = 1
"""Exit code of a check that found something wrong."""

app = typer.Typer(help="Look at training data, check it, make it.", no_args_is_help=True)


@app.callback()
def _group() -> None:
    """Look at training data, check it, make it."""


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
    overwrite: OverwriteOption = False,
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
    refuse_existing(output, overwrite)
    if any(is_there(path) and is_there(output) and path.samefile(output) for path in photos or []):
        raise UsageError(f"{output} is one of the photos", "choose another output")
    named = [(path.stem, to_eight_bits(read_photo(path).rgb)) for path in photos] if photos else sample_photos()
    sheet = contact_sheet(named, strength or [0.2, 0.5, 0.9], side, seed)
    write_photo(Photo(sheet), output)
    data.print(str(output))
    talk.print(f"{len(named)} photos under each degradation, {sheet.shape[1]} x {sheet.shape[0]} pixels")


@app.command("list")
def list_sets(
    setting: Annotated[str | None, typer.Option("--setting", help="Only this setting; all five if not given.")] = None,
) -> None:
    """List the training sets of the five settings: how they lie, how many pairs, where to get them.

    Examples:

        lorair data list

        lorair data list --setting 5task
    """
    from lorair_cli.data.catalogue import load_catalogue

    catalogue = load_catalogue()
    for name in SETTINGS if setting is None else [get_setting(setting).name]:
        data.print(f"{name} ({SETTINGS[name].paper})")
        for one in catalogue.of_setting(name):
            count = f"{one.pairs:,} pairs ({one.evidence})" if one.pairs else "count not known"
            data.print(f"  {one.name}: {one.degradation}, {count}")
            data.print(f"    input   {one.input[0]}/{one.files}")
            data.print(f"    truth   {one.target[0] if one.target else 'the same; noise is added while training'}")
            if one.note:
                data.print(f"    note    {one.note}")
        for key in dict.fromkeys(one.obtain for one in catalogue.of_setting(name)):
            data.print(f"  get it from {catalogue.sources[key]}")


@app.command("check")
def check(
    folder: Annotated[Path, typer.Argument(help="Folder that holds training sets; what --data takes.")],
    setting: Annotated[str | None, typer.Option("--setting", help="Only this setting; all five if not given.")] = None,
    test: Annotated[
        Path | None,
        typer.Option("--test", help="Folder of test data that training must not contain; FOLDER itself if not given."),
    ] = None,
    as_json: Annotated[
        bool,
        typer.Option(
            "--json", help="One JSON object per training set on stdout, and one for test data that cannot be read."
        ),
    ] = False,
) -> None:
    """Read all training sets in a folder: counts, files without a partner, broken files, test pictures among them.

    Exit code 0 if all is as it should be, 1 if anything is not.

    Examples:

        lorair data check DATASETS --setting 5task

        lorair data check train/ --test test/ --json
    """
    from lorair_cli.data.catalogue import load_catalogue, locate_set
    from lorair_cli.data.checking import check_sets
    from lorair_cli.data.degrading import made_of

    names = list(SETTINGS) if setting is None else [get_setting(setting).name]
    for given in [folder] if test is None else [folder, test]:
        if not given.is_dir():
            raise UsageError(f"{given} is no folder")
    found = [locate_set(one, folder) for name in names for one in load_catalogue().of_setting(name)]
    located = [one for one in found if one is not None]
    if not located:
        raise TrainingError(f"{folder}: holds no training set", "`lorair data list` shows how they lie")
    forbidden = _pictures(test) if test is not None else _benchmarks(folder)
    if test is not None and not forbidden:
        raise UsageError(f"{test} holds no pictures", "name the folder that holds the test data with --test")
    total = len(set(forbidden)) + sum(len({p for _, *both in one.pairs for p in both}) for one in located)
    with Progress(console=talk, disable=not talk.is_terminal) as bars:
        bar = bars.add_task("reading", total=total)
        checked = check_sets(located, forbidden, lambda: bars.advance(bar))
    made = made_of(folder)
    reports = [replace(report, made=made.get(report.located.set.name)) for report in checked.sets]
    for report in reports:
        one, problems = report.located, report.problems
        if as_json:
            told = {"set": one.set.name, "pairs": len(one.pairs), "expected": report.expected}
            print_json({**told, "problems": problems})
            continue
        data.print(f"{one.set.name}: {len(one.pairs)} pairs{'' if problems else ', all well'}")
        for problem in problems:
            data.print(f"  {problem}")
    if checked.unreadable and as_json:
        print_json({"test": checked.compared, "problems": list(checked.unreadable)})
    elif checked.unreadable:
        data.print(f"test data: {len(checked.unreadable)} pictures could not be compared")
        for problem in checked.unreadable:
            data.print(f"  {problem}")
    talk.print(f"compared with {checked.compared} test pictures")
    if checked.unreadable or any(report.problems for report in reports):
        raise typer.Exit(FAILED)


@app.command("degrade")
def degrade(
    clean: Annotated[list[Path], typer.Argument(help="Folders of clean photos.")],
    output: Annotated[Path, typer.Option("-o", "--output", help="Folder to write the training sets into.")],
    setting: SettingOption = DEFAULT_SETTING,
    copies: Annotated[int, typer.Option("--copies", min=1, help="Pairs of each photo and degradation.")] = 1,
    strength: Annotated[
        float | None, typer.Option("--strength", min=0, max=1, help="0 mild to 1 heavy; drawn if not given.")
    ] = None,
    side: Annotated[
        int | None, typer.Option("--side", min=32, help="Take the middle square of this side; whole if not given.")
    ] = None,
    seed: Annotated[int, typer.Option("--seed", min=0, help="Another seed is another draw.")] = 0,
) -> None:
    """Write paired training sets made from clean photos, laid out as the setting's own sets.

    What is there already is not made again; a photo is known by what it holds, whatever it is called.
    Photos that come later get numbers after the others.

    Examples:

        lorair data degrade photos/ -o pairs/ --setting 3task

        lorair data degrade photos/ -o heavy/ --strength 0.9 --copies 2
    """
    from lorair_cli.data.clean import CleanPhotos
    from lorair_cli.data.degrading import Degrading, write_pairs

    for folder in clean:
        if folder.resolve() in (output.resolve(), *output.resolve().parents):
            raise UsageError(f"{output} lies in {folder}", "pairs among the clean photos would be taken for such")
    chosen, photos = get_setting(setting), CleanPhotos.find(clean)
    with Progress(console=talk, disable=not talk.is_terminal) as bars:
        bar = bars.add_task("degrading", total=len(photos) * copies * len(chosen.degradations))
        options = Degrading(copies, strength, side, seed)
        written = write_pairs(photos, chosen, output, options, lambda: bars.advance(bar))
    for name, count in written.items():
        talk.print(f"{name}: {count} pairs")
    data.print(str(output))


def _pictures(folder: Path) -> list[Path]:
    from lorair_cli.imaging.decode import READABLE

    return sorted(
        path
        for path in folder.rglob("*")
        if path.suffix.lower() in READABLE and not path.name.startswith(".") and path.is_file()
    )


def _benchmarks(folder: Path) -> list[Path]:
    """The pictures of all benchmarks that lie in ``folder``, where the registry of `bench` expects them."""
    from lorair_cli.data.pairing import find_path
    from lorair_cli.evaluation.registry import load_registry

    places = {place for b in load_registry().benchmark for place in (*b.layout.input, *b.layout.target)}
    found = (find_path(folder, place) for place in sorted(places))
    return [path for place in found if place is not None and place.is_dir() for path in _pictures(place)]
