"""Files that fit a pattern with ``**``, through linked folders, too, but never in circles."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Iterator
from pathlib import Path

ALL_BELOW = "**"
_ALL_BELOW = re.compile(rf"(?:(?<=[/{re.escape(os.sep)}])|^)\*\*(?:[/{re.escape(os.sep)}]+|$)")
"""Two stars that are a whole part of a path, with what separates them from the next."""


def matching(pattern: str, root: Path | None = None) -> Iterator[str]:
    """Paths that fit ``pattern``, as ``glob.iglob(pattern, root_dir=root, recursive=True)`` has them, in no order.

    Python follows links back into the folders that they lie in until a path is too long: of two such links all of the
    2^40 ways. Here none leads into a folder again that the path has come through.
    """
    split = _ALL_BELOW.search(pattern)
    if split is None:
        yield from glob.iglob(pattern, root_dir=root)  # noqa: PTH207 - the pattern may be absolute
        return
    head, tail = pattern[: split.start()], pattern[split.end() :]
    for base in matching(head, root) if head else ("",):
        for folder in _folders(base, root):
            if tail:
                yield from matching(glob.escape(folder) + tail, root)
            else:
                yield from filter(None, [folder])  # what is not named is no path
                yield from (f"{folder}{name}" for name in _names(Path(root or "") / folder) if not name.startswith("."))


def _folders(base: str, root: Path | None, above: tuple[str, ...] = ()) -> Iterator[str]:
    """``base``, empty or ending in a separator, and all folders below it that are not hidden, each ending so, too."""
    here = os.path.realpath(Path(root or "") / base)
    if here in above:
        return
    yield base
    for name in _names(Path(here)):
        if not name.startswith(".") and (Path(here) / name).is_dir():
            yield from _folders(f"{base}{name}{os.sep}", root, (*above, here))


def _names(folder: Path) -> list[str]:
    """What lies in a folder; nothing if it cannot be looked into."""
    try:
        return os.listdir(folder)  # noqa: PTH208 - names, which need not be paths
    except OSError:
        return []
