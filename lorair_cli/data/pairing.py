"""Which ground truth belongs to which input: by name, and by position only where a protocol itself does so."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from pathlib import Path

from lorair_cli.errors import UsageError
from lorair_cli.imaging.decode import READABLE
from lorair_cli.imaging.patterns import matching


@dataclass(frozen=True)
class PairedFiles:
    """Files that belong together, and what did not fit."""

    pairs: tuple[tuple[str, Path, Path], ...]
    """Name (path from the input folder, without suffix), input, ground truth; sorted by name."""
    without_truth: tuple[str, ...] = ()
    without_input: tuple[str, ...] = ()
    """Only where each truth has one input."""


def picture_files(folder: Path, pattern: str = "*") -> dict[str, Path]:
    """The pictures in ``folder`` that match ``pattern``, by their path from it without suffix, sorted.

    Files of other kinds (``Thumbs.db``) and hidden ones are no pictures. Raises ``UsageError`` if two pictures share a
    name but for the suffix, as it would be unclear which one is meant.
    """
    found: dict[str, Path] = {}
    # Not Path.glob, whose ** enters no linked folder before Python 3.13: the inputs would be found, their truths not.
    for path in sorted(folder / name for name in set(matching(pattern, folder))):
        if path.suffix.lower() in READABLE and not path.name.startswith(".") and path.is_file():
            key = path.relative_to(folder).with_suffix("").as_posix()
            if key in found:
                raise UsageError(f"{found[key]} and {path.name} have one name", "keep one of them")
            found[key] = path
    return found


def find_path(root: Path, relative: str) -> Path | None:
    """``root / relative``, upper and lower case alike; None if it is not there."""
    path = root
    for part in relative.split("/"):
        if not (path / part).exists():
            same = (p.name for p in path.iterdir() if p.name.casefold() == part.casefold()) if path.is_dir() else ()
            part = min(same, default="")
            if not part:
                return None
        path = path / part
    return path


def _outdoor_rain(key: str) -> tuple[str, ...]:
    scene = re.fullmatch(r"(im_\d+)_s\d+_a\d+", key)  # 15 inputs share a truth, unless it was copied for each
    return (key, scene[1]) if scene else (key,)


def _raindrop(key: str) -> tuple[str, ...]:
    return (key.removesuffix("_rain") + "_clean", key)


def _before_underscore(key: str) -> tuple[str, ...]:
    return (key.rpartition("/")[2].split("_")[0],)  # the truths lie in one folder, the inputs perhaps in parts


def _weatherstream(key: str) -> tuple[str, ...]:
    scene = key.rpartition("/")[0]
    return tuple(f"{scene}/{weather}_gt" for weather in ("rain", "fog", "snow"))


def _realblur(key: str) -> tuple[str, ...]:
    official = re.fullmatch(r"(.+)/blur/blur_(\w+)", key)
    if official:
        return (f"{official[1]}/gt/gt_{official[2]}",)
    return (key,)


def _weatherstream_train(key: str) -> tuple[str, ...]:
    return (key.rpartition("/")[0] + "/gt",)


def _norain(key: str) -> tuple[str, ...]:
    return (re.sub(r"(^|/)rain(?=-?\d)", r"\1norain", key),)


def _any_known(key: str) -> tuple[str, ...]:
    """For collections that kept the names of their sources: shadows of SRD, drops, rain."""
    return (key, *_norain(key), _raindrop(key)[0], f"{key}_no_shadow", f"{key}_free")


RULES: dict[str, Callable[[str], tuple[str, ...]]] = {
    "same-name": lambda key: (key,),
    "outdoor-rain": _outdoor_rain,
    "raindrop": _raindrop,
    "before-underscore": _before_underscore,
    "weatherstream": _weatherstream,
    "realblur": _realblur,
    "weatherstream-train": _weatherstream_train,
    "norain": _norain,
    "any-known": _any_known,
}
"""From an input's name to the names its truth may have, the likeliest first."""


def pair_by_name(inputs: dict[str, Path], targets: dict[str, Path], rule: str = "same-name") -> PairedFiles:
    """Pairs by one of ``RULES``; files are given by name as :func:`picture_files` does."""
    pairs, lost = [], []
    for key, path in inputs.items():
        truth = next((targets[name] for name in RULES[rule](key) if name in targets), None)
        if truth is None:
            lost.append(key)
        elif truth != path:
            pairs.append((key, path, truth))
    used = {truth for _, _, truth in pairs}
    unused = [key for key, path in targets.items() if path not in used] if rule in ("same-name", "raindrop") else []
    return PairedFiles(tuple(pairs), tuple(lost), tuple(unused))


def pair_by_position(inputs: dict[str, Path], targets: dict[str, Path]) -> PairedFiles:
    """The i-th input with the i-th truth, both sorted by name.

    Raises ``UsageError`` if there are more of one than of the other: everything after the gap would be mispaired.
    """
    if len(inputs) != len(targets):
        raise UsageError(
            f"{len(inputs)} inputs and {len(targets)} ground truths cannot be paired by position",
            "complete the folders, so that both hold as many pictures",
        )
    return PairedFiles(tuple((k, i, t) for (k, i), t in zip(inputs.items(), targets.values(), strict=True)))


def first_names(names: Iterable[str], count: int = 3) -> str:
    """The first of these names, for a message."""
    listed = list(names)
    return ", ".join(listed[:count]) + (", ..." if len(listed) > count else "")
