"""Recipes as TOML: read, changed from the command line, compared and written."""

from __future__ import annotations

import difflib
import json
import re
import sys
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import asdict
from pathlib import Path
from typing import Any

from lorair_cli.data.pairs import SHARES
from lorair_cli.errors import UsageError
from lorair_cli.tables import build
from lorair_cli.training.recipe import Recipe
from lorair_cli.weights.checkpoint import ENCODERS

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

RECIPES = Path(__file__).parent / "recipes"

_OF_A_DEGRADATION = re.compile(rf"\w+\.sampling\.(ratios|strengths|{'|'.join(SHARES)})\.[\w-]+")
"""Fields of a sampling that have a value for each degradation."""


def load_recipe(scale: str, file: Path | None = None, changes: Sequence[str] = ()) -> Recipe:
    """The recipe of a scale shipped with the package, or one's own file, with some fields changed.

    Args:
        scale: ``compact`` or ``paper``.
        file: one's own recipe in place of the shipped one.
        changes: ``key=value``, such as ``finetune.steps=2000``; the value in TOML's spelling, a bare word is text.

    Raises:
        UsageError: there is no such recipe, the file is not TOML, a field is unknown, missing, of the wrong type or
            out of range, or the recipe is of another scale. One line that names the file and the field.
    """
    path = recipe_path(scale, file)
    recipe = read_recipe(path, changes)
    if recipe.scale != scale:
        raise UsageError(f"{path.name} is a recipe of scale {recipe.scale}, not {scale}", f"say --scale {recipe.scale}")
    return recipe


def recipe_path(scale: str, file: Path | None = None) -> Path:
    """Where the recipe lies; ``UsageError`` if there is none."""
    path = file or RECIPES / f"{scale}.toml"
    if path.is_file():
        return path
    if file is not None:
        raise UsageError(f"{path}: no such recipe")
    shipped = ", ".join(sorted(p.stem for p in RECIPES.glob("*.toml")))
    raise UsageError(f"no recipe for scale {scale!r}", f"shipped: {shipped}; or bring one with --recipe")


def read_recipe(path: Path, changes: Sequence[str] = ()) -> Recipe:
    """The recipe in a TOML file; raises as :func:`load_recipe` does."""
    try:
        raw = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise UsageError(f"{path}: cannot be read: {error.strerror}") from error
    except ValueError as error:  # not TOML, or not even text
        raise UsageError(f"{path.name}: not a valid recipe: {error}") from error
    recipe = _build(raw, path.name)
    if not changes:
        return recipe
    known = [name for name, _ in _flat(_as_table(recipe), "")]
    for change in changes:
        _put(raw, change, known)
    return _build(raw, "--set")  # all together: some fields must change with each other


def as_toml(recipe: Recipe, comments: Mapping[str, str] | None = None) -> str:
    """A recipe as a file that :func:`read_recipe` reads back to an equal one, every field spelled out.

    ``comments`` are put behind the fields that they name, as :func:`read_comments` gives them.
    """
    return "\n".join(_toml_lines(_as_table(recipe), "", comments or {}))


def read_comments(path: Path) -> dict[str, str]:
    """The comments behind a recipe's fields, by the field's name such as ``network.width``."""
    comments, table = {}, ""
    for line in path.read_text(encoding="utf-8").splitlines():
        if heading := re.match(r"\[([\w.]+)\]", line):
            table = heading[1] + "."
        elif field := re.fullmatch(r"(\w+) *=[^#]*(#.*)", line):
            comments[table + field[1]] = field[2]
    return comments


def differences(one: Recipe, other: Recipe) -> list[str]:
    """Names of the fields in which two recipes differ, such as ``network.width``."""
    left, right = dict(_flat(_as_table(one), "")), dict(_flat(_as_table(other), ""))
    return [name for name in left | right if left.get(name) != right.get(name)]


def _build(raw: Mapping[str, Any], where: str) -> Recipe:
    table = raw.get("encoder")
    encoder = dict(table) if isinstance(table, Mapping) else {}
    kind = encoder.pop("kind", None)
    if not isinstance(kind, str) or kind not in ENCODERS:
        raise UsageError(f"{where}: encoder.kind must be {' or '.join(ENCODERS)}")
    try:
        return build(Recipe, {**raw, "encoder": build(ENCODERS[kind], encoder, "encoder")})
    except ValueError as error:
        raise UsageError(f"{where}: {error}") from error


def _put(raw: dict[str, Any], change: str, known: Sequence[str]) -> None:
    """Write one ``key=value`` into the tables."""
    key, equals, text = (part.strip() for part in change.partition("="))
    if not equals or not text or not re.fullmatch(r"[\w-]+(\.[\w-]+)*", key):
        raise UsageError(f"--set {change}: expected key=value", "for example --set pretrain.steps=2000")
    if key not in known and not _OF_A_DEGRADATION.fullmatch(key):
        near = difflib.get_close_matches(key, known, n=1, cutoff=0.5)
        hint = f"did you mean {near[0]}?" if near else "--print-recipe shows all fields"
        raise UsageError(f"--set {key}: no recipe has such a field", hint)
    *tables, name = key.split(".")
    table = raw
    for part in tables:
        table[part] = dict(table.get(part, {}))
        table = table[part]
    try:
        table[name] = tomllib.loads(f"value = {text}")["value"]
    except ValueError:
        table[name] = text  # precision=bf16: quotes would have to get through a shell


def _as_table(recipe: Recipe) -> dict[str, Any]:
    kind = next(name for name, config in ENCODERS.items() if isinstance(recipe.encoder, config))
    return asdict(recipe) | {"encoder": {"kind": kind, **asdict(recipe.encoder)}}


def _toml_lines(table: Mapping[str, Any], name: str, comments: Mapping[str, str]) -> Iterator[str]:
    """A table's own values first, then the tables in it, as TOML wants it."""
    if name:
        yield f"\n[{name}]"
    prefix = f"{name}." if name else ""
    for key, value in table.items():
        if not isinstance(value, Mapping):
            # TOML writes strings, numbers and lists as JSON does.
            line = f"{key} = {json.dumps(value, ensure_ascii=False)}"
            comment = comments.get(prefix + key)
            yield f"{line} {comment}" if comment else line
    for key, value in table.items():
        if isinstance(value, Mapping):
            yield from _toml_lines(value, f"{prefix}{key}", comments)


def _flat(table: Mapping[str, Any], prefix: str) -> Iterator[tuple[str, Any]]:
    for key, value in table.items():
        if isinstance(value, Mapping):
            yield from _flat(value, f"{prefix}{key}.")
        else:
            yield f"{prefix}{key}", value
