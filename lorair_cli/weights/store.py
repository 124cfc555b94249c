"""From what a user calls weights to checked files on this machine."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path
from typing import get_args

from lorair_cli.errors import UsageError, WeightsError
from lorair_cli.settings import SETTINGS, get_setting
from lorair_cli.weights.hub import fetch, find_cached, is_good, notes_folder, read_note, write_note
from lorair_cli.weights.integrity import damage
from lorair_cli.weights.manifest import Entry, Manifest, Scale, WeightFile, describe_file, read_manifest

BUNDLED = Path(__file__).parent / "bundled"
"""Folder of the weights that come with the package."""
MODEL_FILE = "model.safetensors"
"""Name of the checkpoint in a repository or folder of somebody's own training: huggingface_hub's convention."""


@dataclass(frozen=True)
class Conversion:
    """What is noted beside a checkpoint made from the authors' files."""

    sources: tuple[str, ...]
    """SHA-256 of each of the authors' files."""
    result: WeightFile


def find_weights(name: str | Path, scale: str = "compact", revision: str = "main") -> list[Path]:
    """The files of a checkpoint, whatever it is called.

    Args:
        name: a setting such as ``10task``; a local file; a local folder written by ``save_pretrained``; or a hub
            repository ``owner/name`` that holds a ``model.safetensors`` of this project. A ``Path`` is always local.
        scale: ``compact`` or ``paper``; for a setting only.
        revision: branch, tag or commit; for a repository only.

    Returns:
        Paths in reading order, for ``load_checkpoint``. Files of settings and repositories are checked.

    Raises:
        UsageError: there is no such setting, and ``name`` cannot be anything else.
        WeightsError: there are no such weights, or they cannot be had, or they are damaged.
    """
    if isinstance(name, str) and name in SETTINGS:
        return locate(name, scale)
    path = Path(name)
    if isinstance(name, Path) or path.exists() or path.suffix == ".safetensors":
        return [own_file(path)]
    if re.fullmatch(r"[\w.-]+/[\w.-]+", name):
        return [fetch(name, revision, WeightFile(MODEL_FILE, "", 0), newest=True)]
    raise UsageError(
        f"{name!r} is no setting, file or hub repository", f"choose from {', '.join(SETTINGS)}, or write owner/name"
    )


def own_file(path: Path) -> Path:
    """The file of a checkpoint of one's own: ``path``, or the one in it where ``save_pretrained`` made it a folder."""
    return path / MODEL_FILE if path.is_dir() else path


def locate(setting: str, scale: str, *, manifest: Manifest | None = None, bundled: Path | None = None) -> list[Path]:
    """The files of a setting's checkpoint, downloaded and converted if need be, each checked against its SHA-256.

    Args:
        setting: name of one of the five settings.
        scale: ``compact`` or ``paper``.
        manifest: what exists; by default the project's ``weights.toml``.
        bundled: where bundled files lie; by default in the package.

    Returns:
        Paths in reading order, for ``load_checkpoint``.

    Raises:
        UsageError: there is no such setting, or no such scale.
        WeightsError: there are no such weights, or their files are missing or damaged; the hint says what to do.
    """
    get_setting(setting)
    if scale not in get_args(Scale):
        raise UsageError(f"there is no scale {scale!r}", f"choose from {', '.join(get_args(Scale))}")
    entries = read_manifest() if manifest is None else manifest
    entry = next((e for e in entries.values() if (e.setting, e.scale) == (setting, scale)), None)
    if entry is None:
        raise _unavailable(setting, scale, entries)
    return obtain(entry, bundled=bundled)


def obtain(entry: Entry, *, bundled: Path | None = None) -> list[Path]:
    """As :func:`locate`, for an entry of the manifest."""
    if entry.source.kind == "bundled":
        return [_bundled_file(entry, file, bundled or BUNDLED) for file in entry.files]
    if entry.format == "authors":
        return [_converted(entry)]
    return [fetch(entry.source.repository, entry.source.revision, file) for file in entry.files]


def files_here(entry: Entry, *, bundled: Path | None = None) -> list[tuple[Path, WeightFile]]:
    """The files of an entry that ``load_checkpoint`` would read and what they should be, without any check or download.

    Empty if one of them is not on this machine.
    """
    found: list[tuple[Path, WeightFile] | None]
    if entry.source.kind == "bundled":
        found = [((bundled or BUNDLED) / file.name, file) if file.published else None for file in entry.files]
    elif entry.format == "authors":
        found = [_conversion_here(entry)]
    else:
        found = [find_cached(entry.source.repository, entry.source.revision, file) for file in entry.files]
    here = [file for file in found if file is not None and file[0].is_file()]
    return here if len(here) == len(found) else []


def _unavailable(setting: str, scale: str, entries: Manifest) -> WeightsError:
    ways = [f"train them: `lorair train --setting {setting} --scale {scale}`"]
    if any((e.setting, e.scale) == (setting, "compact") for e in entries.values()):
        ways.insert(0, "use `--scale compact`")
    elif ready := sorted({e.setting for e in entries.values() if e.scale == "compact"}):
        ways.insert(0, f"use `--setting {ready[0]} --scale compact`")
    reason = "were never published" if scale == "paper" else "are not part of this version"
    return WeightsError(f"{scale} weights of setting {setting} {reason}", ", or ".join(ways))


def _bundled_file(entry: Entry, file: WeightFile, folder: Path) -> Path:
    path = folder / file.name
    if not file.published:
        raise WeightsError(
            f"the {entry.scale} weights of setting {entry.setting} are not in this build ({file.name} is not pinned)",
            "install a released version of lorair, or name your own with `--weights FILE`",
        )
    try:
        reason = damage(path, file)
    except OSError as error:
        raise WeightsError(f"{path}: cannot be read: {error.strerror}", "install lorair again") from None
    if reason is not None:
        raise WeightsError(f"{path}: damaged, {reason}", "install lorair again")
    return path


def _conversion_path(entry: Entry) -> Path:
    folder = notes_folder(entry.source.repository, entry.source.revision)
    return folder / f"{entry.scale}-{entry.setting}.safetensors"


def _conversion_here(entry: Entry) -> tuple[Path, WeightFile] | None:
    """An earlier conversion of the very files that the entry asks for, and what it should be."""
    path = _conversion_path(entry)
    note = read_note(path.with_suffix(".json"), Conversion)
    if note is None or len(note.sources) != len(entry.files):
        return None
    fits = all(file.sha256 in ("", source) for file, source in zip(entry.files, note.sources, strict=True))
    return (path, note.result) if fits else None


def _converted(entry: Entry) -> Path:
    """The authors' files as one checkpoint of ours: made once, then only checked."""
    here = _conversion_here(entry)
    if here is not None and is_good(*here):
        return here[0]
    sources = [fetch(entry.source.repository, entry.source.revision, file) for file in entry.files]

    # Imported here: listing weights needs no torch.
    from lorair_cli.weights.authors import convert_authors
    from lorair_cli.weights.checkpoint import save_checkpoint

    checkpoint = convert_authors(sources[0], sources[1], get_setting(entry.setting))
    provenance = checkpoint.info.provenance | {
        "source": "weights released by LoRA-IR's authors",
        "repository": entry.source.repository,
        "trained_on": entry.trained_on,
    }
    info = replace(checkpoint.info, licence=entry.licence, provenance=provenance)
    path = _conversion_path(entry)
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        # Two processes write the same bytes, each under its own name first: whoever is last changes nothing.
        save_checkpoint(path, replace(checkpoint, info=info))
        hashes = tuple(file["sha256"] for file in provenance["files"])
        write_note(path.with_suffix(".json"), Conversion(hashes, describe_file(path)))
    except (OSError, WeightsError) as error:
        message = error.message if isinstance(error, WeightsError) else f"{path}: cannot be written: {error.strerror}"
        raise WeightsError(message, "set HF_HOME to a folder with room that you may write to") from None
    return path
