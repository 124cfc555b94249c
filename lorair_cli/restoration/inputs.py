"""Which photos are meant: files, folders, patterns, lists of names, or a photo on standard input."""

from __future__ import annotations

import codecs
import glob
import os
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from lorair_cli.errors import UsageError
from lorair_cli.imaging.decode import READABLE
from lorair_cli.imaging.files import is_file, is_folder, printable
from lorair_cli.imaging.patterns import ALL_BELOW, matching
from lorair_cli.imaging.raw import SUFFIXES as RAW_SUFFIXES

STDIN = "-"
"""The word for a photo on standard input; a file of that name is ``./-``."""


@dataclass(frozen=True)
class Found:
    """A photo to restore."""

    path: Path | None
    """Its file; None is standard input."""
    below: Path | None = None
    """For a photo found in a folder: the folders between that one and the photo, so that a tree can be kept. None for
    any other."""
    named: bool = True
    """It was named itself, and not found in a folder or by a pattern."""


OTHER_PICTURES = frozenset(
    {
        *(".gif", ".jxl", ".jp2", ".j2k", ".jpf", ".psd", ".psb", ".xcf", ".svg", ".eps", ".ico", ".icns", ".tga"),
        *(".exr", ".hdr", ".pcx", ".ppm", ".pgm", ".pbm", ".pnm"),
    }
)
"""Suffixes of pictures that are not read: someone who looks for photos may take them for such."""


def find_photos(
    words: Sequence[str | Path],
    *,
    recursive: bool = False,
    leave_out: Path | None = None,
    passed_by: Counter[str] | None = None,
) -> list[Found]:
    """The photos that ``words`` stand for, in their order; those of a folder sorted by name.

    Args:
        words: as typed: a file, a folder, a pattern that the shell left alone (``*.jpg``, ``**/*.png``) or ``-``. A
            ``Path`` is taken as it is, pattern or not.
        recursive: also look into the folders of folders. Hidden ones and links to folders are passed by.
        leave_out: a folder whose photos are not wanted: the one for the results, which may lie inside.
        passed_by: counts what lies in folders and looks like a photo but cannot be read, by kind.

    Returns:
        Files, and folders below a named one that cannot be looked into: they fail by themselves, like a bad photo.

    Raises:
        UsageError: nothing was given, a folder holds no photo or cannot be read, or nothing fits a pattern.
    """
    passed_by = Counter() if passed_by is None else passed_by
    found: list[Found] = []
    for word in words:
        if not str(word):  # of a variable that is not set: Path("") would be all of this folder
            raise UsageError("an empty name is no photo", "perhaps a variable is not set")
        if word == STDIN:
            found.append(Found(None))
            continue
        for path in _matches(word, leave_out):
            if is_folder(path):
                found += _in_folder(path, recursive, leave_out, passed_by)
            else:
                found.append(Found(path, named=not _is_pattern(word)))
    if not found:
        raise UsageError("no photo given", "name photos or folders; --help shows examples")
    if len(found) > 1 and any(photo.path is None for photo in found):
        raise UsageError("- stands for one photo on standard input, and goes with no other")
    return found


def read_list(data: bytes) -> list[Path]:
    """Names of photos, one a line, or ended by zero bytes as ``find -print0`` writes them; empty lines do not count.

    UTF-16, which Windows' shell writes, is known by the mark it starts with. ``UsageError`` if it is broken.
    """
    if data.startswith((codecs.BOM_UTF16_LE, codecs.BOM_UTF16_BE)):
        try:
            data = os.fsencode(data.decode("utf-16"))
        except UnicodeError as error:
            raise UsageError(f"the list starts as UTF-16 and is none: {error}") from error
    data = data.removeprefix(codecs.BOM_UTF8)
    pieces = data.split(b"\0") if b"\0" in data else [line.rstrip(b"\r") for line in data.split(b"\n")]
    return [Path(os.fsdecode(piece)) for piece in pieces if piece]


def _matches(word: str | Path, leave_out: Path | None) -> list[Path]:
    """The paths that fit a pattern, sorted; the word itself if it is none, or names a file for all its brackets."""
    if not _is_pattern(word):
        return [Path(word)]
    word = str(word)
    paths = [Path(name) for name in matching(word)]
    if not paths:
        raise UsageError(f"{printable(word)}: nothing fits this pattern")
    if ALL_BELOW in word:  # follows links: of all ways to one file the shortest
        paths.sort(key=lambda path: len(path.parts), reverse=True)
        paths = list({os.path.realpath(path): path for path in paths}.values())
        if leave_out is not None:  # a pattern that reaches into all folders does not mean the results
            left_out = leave_out.resolve()
            others = [path for path in paths if left_out not in (path.resolve(), *path.resolve().parents)]
            paths = others or paths  # results alone: refused later, with a better message
    return sorted(paths)


def _is_pattern(word: str | Path) -> bool:
    return isinstance(word, str) and glob.has_magic(word) and not os.path.lexists(word)


def _in_folder(folder: Path, recursive: bool, leave_out: Path | None, passed_by: Counter[str]) -> list[Found]:
    left_out = None if leave_out is None else leave_out.resolve()
    if left_out == folder.resolve():
        left_out = None  # results beside their sources: refused later, with a better message
    try:
        paths = list(_walk(folder, recursive, left_out, passed_by))
    except OSError as error:
        raise UsageError(f"{printable(str(folder))}: the folder cannot be read: {error.strerror}") from error
    if not paths:
        looked_for = f"looked for {', '.join(sorted(READABLE - RAW_SUFFIXES))} and camera raw files"
        hint = looked_for if recursive else f"{looked_for}; --recursive looks into its folders too"
        raise UsageError(f"{printable(str(folder))}: the folder holds no photos", hint)
    return [Found(path, path.parent.relative_to(folder), named=False) for path in paths]


def _walk(folder: Path, recursive: bool, left_out: Path | None, passed_by: Counter[str]) -> Iterator[Path]:
    """The photos in ``folder``, then those in its folders; ``OSError`` if it cannot be looked into."""
    visible = [entry for entry in sorted(folder.iterdir()) if not entry.name.startswith(".")]
    for entry in visible:
        suffix = entry.suffix.lower()
        if suffix in READABLE and is_file(entry):
            yield entry
        elif suffix in OTHER_PICTURES and is_file(entry):
            passed_by[suffix] += 1
        elif suffix in READABLE and entry.is_symlink() and not entry.exists():
            passed_by["broken link"] += 1
    for entry in visible if recursive else ():
        if is_folder(entry) and not entry.is_symlink() and entry.resolve() != left_out:
            try:
                yield from _walk(entry, recursive, left_out, passed_by)
            except OSError:
                yield entry
