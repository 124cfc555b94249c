"""From a setting and a scale to checked files on this machine."""

from __future__ import annotations

from functools import lru_cache
from pathlib import Path

from lorair_cli.errors import WeightsError
from lorair_cli.settings import get_setting
from lorair_cli.weights.manifest import Entry, Manifest, WeightFile, describe_file, read_manifest

BUNDLED = Path(__file__).parent / "bundled"
"""Folder of the weights that come with the package."""


def locate(setting: str, scale: str, *, manifest: Manifest | None = None, bundled: Path = BUNDLED) -> list[Path]:
    """The files of a checkpoint, each of them checked against its SHA-256.

    Args:
        setting: name of one of the five settings.
        scale: ``compact`` or ``paper``.
        manifest: what exists; by default the project's ``weights.toml``.
        bundled: where bundled files lie.

    Returns:
        Paths in reading order, for ``load_checkpoint``.

    Raises:
        UsageError: there is no such setting.
        WeightsError: there are no such weights, or their files are missing or damaged; the hint says what to do.
    """
    get_setting(setting)
    entries = read_manifest() if manifest is None else manifest
    entry = next((e for e in entries.values() if (e.setting, e.scale) == (setting, scale)), None)
    if entry is None:
        raise _unavailable(setting, scale, entries)
    if entry.source.kind == "hub":
        raise WeightsError(
            f"the {scale} weights of setting {setting} are at {entry.source.repository} on the hub, "
            "and this version does not download yet",
            f"fetch {' and '.join(f.name for f in entry.files)}, join them with "
            "lorair_cli.weights.authors.convert_authors, and name the saved checkpoint with --weights",
        )
    return [_bundled_file(entry, file, bundled) for file in entry.files]


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
        status = path.stat()
        found = _described(path, status.st_size, status.st_mtime_ns)
    except OSError as error:
        raise WeightsError(f"{path}: cannot be read: {error.strerror}", "install lorair again") from None
    if found != file:
        reason = f"has {found.bytes} bytes instead of {file.bytes}" if found.bytes != file.bytes else "wrong SHA-256"
        raise WeightsError(f"{path}: damaged, {reason}", "install lorair again")
    return path


@lru_cache(maxsize=64)
def _described(path: Path, size: int, changed: int) -> WeightFile:
    """Hashed once per process, as long as size and time of change (ns) stay what they are."""
    return describe_file(path)
