"""``lorair train``: a folder of clean photos in, a checkpoint out."""

from __future__ import annotations

import os
import shlex
from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal, get_args, get_type_hints

import typer

from lorair_cli.cli.console import data, only_if, talk
from lorair_cli.cli.options import ScaleOption, SettingOption
from lorair_cli.cli.process import refuse_half_a_team
from lorair_cli.cli.progress import training_progress
from lorair_cli.errors import UsageError
from lorair_cli.settings import DEFAULT_SETTING, get_setting

if TYPE_CHECKING:
    from accelerate import Accelerator

    from lorair_cli.data.catalogue import LocatedSet
    from lorair_cli.data.clean import CleanPhotos
    from lorair_cli.training.recipe import Recipe, Stage

STOPPED = 130
"""Exit code of a run that Ctrl-C or SIGTERM ended, so that what a script does next is not done."""
MOST_WORKERS = 16
SHORT: dict[str, Literal["bf16", "fp16", "no"]] = {"float32": "no", "bfloat16": "bf16", "float16": "fp16"}
"""What a recipe calls the precisions."""
OPTION_NAMES = {"changes": "--set", "pairs": "--data"}
"""Options that are called otherwise than their parameter."""


def train(
    ctx: typer.Context,
    clean: Annotated[
        list[Path] | None,
        typer.Option("--clean", help="Folder of clean photos to learn from; may be given several times."),
    ] = None,
    pairs: Annotated[
        list[Path] | None,
        typer.Option("--data", help="Folder with training sets of the setting; beside --clean, or instead of it."),
    ] = None,
    setting: SettingOption = DEFAULT_SETTING,
    scale: ScaleOption = "compact",
    stage: Annotated[
        str, typer.Option("--stage", help="router, pretrain (stage 1), finetune (stage 2), or all of them in order.")
    ] = "all",
    minutes: Annotated[
        float | None,
        typer.Option("--minutes", min=0.01, help="For the chosen stages together; the recipe's steps if not given."),
    ] = None,
    valid: Annotated[
        list[Path] | None,
        typer.Option("--valid", help="Folder of clean photos to validate on; training must not see them."),
    ] = None,
    out: Annotated[
        Path | None,
        typer.Option("--out", help="Folder of the run, which goes on if it is there; runs/SETTING-SCALE if not given."),
    ] = None,
    recipe: Annotated[
        Path | None, typer.Option("--recipe", help="A recipe of your own (TOML) in place of the scale's.")
    ] = None,
    changes: Annotated[
        list[str] | None,
        typer.Option("--set", metavar="KEY=VALUE", help="Change a field of the recipe; may be given several times."),
    ] = None,
    print_recipe: Annotated[
        bool, typer.Option("--print-recipe", help="Print the recipe with every field spelled out, and do nothing else.")
    ] = False,
    start_from: Annotated[
        Path | None,
        typer.Option("--start-from", help="A checkpoint (.safetensors) whose weights to begin with, where they fit."),
    ] = None,
    workers: Annotated[
        int | None, typer.Option("--workers", min=0, help="Processes that make samples; half the cores if not given.")
    ] = None,
    cache: Annotated[
        Path | None,
        typer.Option(
            "--cache", help="Folder to keep decoded photos in: decoding then costs once, disk space for good."
        ),
    ] = None,
    precision: Annotated[
        str,
        typer.Option("--precision", help="auto, float32, bfloat16 or float16. auto takes bfloat16 where it is fast."),
    ] = "auto",
    data_note: Annotated[
        str | None,
        typer.Option("--data-note", help="What the checkpoint is to say about the photos and their licences."),
    ] = None,
    licence: Annotated[
        str, typer.Option("--licence", help="Licence of the weights, for the checkpoint to say.")
    ] = "not stated",
) -> None:
    """Train router, network and experts on degraded copies of clean photos.

    Stops in time or on Ctrl-C with everything saved; the same command goes on from there.

    Examples:

        lorair train --setting 10task --scale compact --clean PHOTOS --minutes 120

        lorair restore hazy.png --weights runs/NAME/finetune.safetensors
    """
    from lorair_cli.data.clean import CleanPhotos
    from lorair_cli.data.real import find_sets
    from lorair_cli.training.run import TrainingRun
    from lorair_cli.weights.store import own_file

    if print_recipe:
        _print_recipe(setting, scale, recipe, changes or [])
        return
    stages = _stages(stage)
    chosen = get_setting(setting)
    if not clean and not pairs:
        raise UsageError("nothing to learn from", "name a folder of clean photos with --clean, or pairs with --data")
    resolved, accelerator = _resolve(scale, recipe, changes or [], precision)
    with only_if(accelerator.is_main_process):
        photos, sets = replace(CleanPhotos.find(clean), cache=cache) if clean else None, find_sets(pairs or [], chosen)
        validation = CleanPhotos.find(valid) if valid else None
        if validation is not None:
            _refuse_seen(photos, sets, validation)
        folder = out or Path("runs") / f"{setting}-{scale}"
        run = TrainingRun(
            setting=chosen,
            recipe=resolved,
            clean=photos,
            valid=validation,
            folder=folder,
            minutes=minutes,
            data_note=data_note or _what_is_learnt_from(photos, clean or [], sets),
            real=sets,
            cache=cache,
            command=_as_typed(ctx),
            workers=_default_workers() if workers is None else workers,
            start_from=None if start_from is None else own_file(start_from),
            licence=licence,
        )
        _tell_data(photos, sets)
        processes = f"{accelerator.num_processes} processes, " if accelerator.num_processes > 1 else ""
        talk.print(f"{processes}device {accelerator.device.type}, precision {resolved.precision}, folder {folder}")
        with training_progress(talk) as reporter:
            result = run.run(stages, accelerator, reporter)
        accelerator.end_training()
        if result is None:
            talk.print("Stopped. Run the same command again to go on.")
            raise typer.Exit(STOPPED)
        data.print(str(result))
        if stages[-1] == "router":
            talk.print(
                f"Next: lorair classify photo.jpg --weights {result}, or the same command with --stage pretrain."
            )
        else:
            talk.print(f"Next: lorair restore photo.jpg --weights {result}")


def _refuse_seen(photos: CleanPhotos | None, sets: list[LocatedSet], validation: CleanPhotos) -> None:
    """``UsageError`` if photos to validate by are among those to learn from: scores would praise what was seen."""
    from lorair_cli.data.pairing import first_names

    learnt = {"--clean": () if photos is None else photos.paths, "--data": [gt for one in sets for *_, gt in one.pairs]}
    for option, paths in learnt.items():
        known = {path.resolve() for path in paths}
        if seen := [path for path in validation.paths if path.resolve() in known]:
            raise UsageError(
                f"{len(seen)} photos of --valid are among those of {option}: {first_names(map(str, seen))}",
                "keep them in a folder of their own",
            )


def _tell_data(photos: CleanPhotos | None, sets: list[LocatedSet]) -> None:
    if photos is not None:
        talk.print(f"{len(photos)} clean photos")
    for one in sets:
        left = len(one.without_truth) + len(one.without_input) + len(one.leaked)
        more = f", {left} files left out: `lorair data check` names them" if left else ""
        talk.print(f"{one.set.name}: {len(one.pairs)} pairs of {one.set.degradation}{more}")


def _stages(stage: str) -> tuple[Stage, ...]:
    from lorair_cli.training.recipe import STAGES

    chosen = tuple(s for s in STAGES if stage in (s, "all"))
    if not chosen:
        raise UsageError(f"there is no stage {stage!r}", f"choose from all, {', '.join(STAGES)}")
    return chosen


def _print_recipe(setting: str, scale: str, file: Path | None, changes: list[str]) -> None:
    """The resolved recipe on stdout: a file for --recipe. Comments of fields that --set changed are no longer true."""
    from lorair_cli.training.recipe_file import as_toml, load_recipe, read_comments, recipe_path

    get_setting(setting)  # one recipe serves all settings; what differs is counted per degradation
    recipe = load_recipe(scale, file, changes)
    comments = read_comments(recipe_path(scale, file))
    for change in changes:
        comments.pop(change.partition("=")[0].strip(), None)
    data.print(as_toml(recipe, comments))


def _resolve(scale: str, file: Path | None, changes: list[str], precision: str) -> tuple[Recipe, Accelerator]:
    """The recipe with its precision settled, and the accelerator that goes with it."""
    from accelerate import Accelerator

    from lorair_cli.restoration.device import choose_device, choose_precision
    from lorair_cli.training.recipe_file import load_recipe

    recipe, device = load_recipe(scale, file, changes), choose_device("auto")
    if precision == "auto" and recipe.precision == "fp16":
        precision = "float16"
    if precision != "auto" or recipe.precision == "bf16":
        chosen = choose_precision(precision, device)
        recipe = replace(recipe, precision=SHORT[chosen])
    # Without being told, Accelerate looks for other processes on a GPU only.
    try:
        accelerator = Accelerator(mixed_precision=recipe.precision, cpu=device.type == "cpu")
    except ValueError as error:  # variables of a launcher that is not there
        reason = " ".join(str(error).split())
        raise UsageError(f"the processes of this run cannot find each other: {reason}", "unset WORLD_SIZE") from error
    # Each would train alone, all in one folder.
    refuse_half_a_team(accelerator.num_processes, "start them with `accelerate launch` or torchrun")
    return recipe, accelerator


def _what_is_learnt_from(photos: CleanPhotos | None, folders: list[Path], sets: list[LocatedSet]) -> str:
    parts = [f"{len(one.pairs)} pairs of {one.set.name}" for one in sets]
    if photos is not None:
        parts.insert(0, f"{len(photos)} photos, {', '.join(path.resolve().name for path in folders)}")
    return "; ".join(parts)


def _default_workers() -> int:
    return max(1, min((os.cpu_count() or 1) // 2, MOST_WORKERS))


def _as_typed(ctx: typer.Context) -> str:
    """The command for the metadata: what was given, with paths reduced to their last part."""
    words = ["lorair", "train"]
    # By what the option is declared as: some releases of typer give the context a path as a mere string.
    hints = get_type_hints(train)
    for name, value in ctx.params.items():
        source = ctx.get_parameter_source(name)
        if source is None or source.name != "COMMANDLINE":
            continue
        option = OPTION_NAMES.get(name, f"--{name.replace('_', '-')}")
        for one in value if isinstance(value, list | tuple) else [value]:
            words += [option, Path(one).resolve().name if _holds_paths(hints.get(name)) else str(one)]
    return shlex.join(words)


def _holds_paths(hint: object) -> bool:
    """Whether a type hint is of a path, of several, or of one that may be missing."""
    return hint is Path or any(_holds_paths(part) for part in get_args(hint))
