"""One's own folders: inputs, ground truth, and perhaps results that another tool made."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from lorair_cli.data.pairing import RULES, first_names, pair_by_name, pair_by_position, picture_files
from lorair_cli.errors import UsageError
from lorair_cli.evaluation.datasets import Failed, Pair, read_bytes, read_pair, readable
from lorair_cli.evaluation.subjects import Restored, Subject
from lorair_cli.imaging.files import is_folder


@dataclass(frozen=True)
class FolderPairs:
    """Files to measure, in the order of their names."""

    files: tuple[tuple[str, Path, Path | None], ...]
    """Name, input, ground truth."""
    unused: tuple[str, ...] = ()
    """Ground truths that no input belongs to, by name."""

    def __len__(self) -> int:
        return len(self.files)

    def read(self, failed: Failed | None = None) -> Iterator[Pair]:
        """The pictures, one after the other.

        Args:
            failed: called for each file that is none, whose pair is left out then; None raises ``ImageError``.
        """
        return readable((read_pair(*file) for file in self.files), failed)


def folder_pairs(inputs: Path | None, target: Path | None, pairing: str, restored: Path | None = None) -> FolderPairs:
    """Inputs and ground truths of two folders.

    Args:
        inputs: folder of inputs; None takes the results in ``restored`` for them, where inputs do not matter.
        target: folder of ground truth, or None.
        pairing: ``sorted`` or one of ``RULES``.
        restored: folder of results.

    Raises:
        UsageError: a folder is missing or empty, the rule is unknown, or pictures are left without a partner: means
            over a part of a folder would look like means over all of it.
    """
    source = inputs or restored
    if source is None:
        raise UsageError("nothing to measure", "name --input, a folder of photos")
    files = _pictures(source)
    if target is None:
        if inputs is None:
            raise UsageError("results alone cannot be measured", "name --input or --target beside --restored")
        return FolderPairs(tuple((name, path, None) for name, path in files.items()))
    truths = _pictures(target)
    if pairing == "sorted":
        # As a person would count: 2 before 10, however many zeros the other folder writes in front.
        return FolderPairs(pair_by_position(_in_order(files), _in_order(truths)).pairs)
    if pairing not in RULES:
        raise UsageError(f"there is no way to pair called {pairing!r}", f"choose sorted, {', '.join(RULES)}")
    paired = pair_by_name(files, truths, pairing)
    if paired.without_truth:
        lost = f"{len(paired.without_truth)} pictures in {source} have no ground truth in {target}"
        raise UsageError(
            f"{lost}: {first_names(paired.without_truth)}", "complete the folders, or choose another --pair"
        )
    if not paired.pairs:
        raise UsageError(f"no picture in {source} has a ground truth other than itself", "name another --target")
    return FolderPairs(paired.pairs, tuple(paired.without_input))


def _in_order(files: dict[str, Path]) -> dict[str, Path]:
    """The same files, sorted with the numbers in their names taken for numbers."""
    keys = {name: [(int(p), "") if p.isdecimal() else (-1, p) for p in re.split(r"(\d+)", name)] for name in files}
    return {name: files[name] for name in sorted(files, key=keys.__getitem__)}


def saved_results(restored: Path, pairs: FolderPairs) -> Subject:
    """Results from a folder, found by the input's name, in place of a restorer.

    Raises ``UsageError`` if one of them is missing.
    """
    found = _pictures(restored)
    if lost := [name for name, _, _ in pairs.files if name not in found]:
        raise UsageError(f"{len(lost)} results are not in {restored}: {first_names(lost)}")

    def read(pair: Pair) -> Restored:
        return Restored(read_bytes(found[pair.name]) / np.float32(255))

    return Subject(read, f"none (pictures in {restored.name or restored})", "measured as they are", saved=True)


def _pictures(folder: Path) -> dict[str, Path]:
    if not is_folder(folder):
        raise UsageError(f"{folder} is no folder")
    files = picture_files(folder)
    if not files:
        raise UsageError(f"{folder}: the folder holds no photos")
    return files
