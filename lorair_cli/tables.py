"""Parsed TOML or JSON into dataclasses, every field checked, with errors that name the field."""

from __future__ import annotations

import reprlib
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import MISSING, fields, is_dataclass
from types import UnionType
from typing import Any, Literal, TypeVar, Union, get_args, get_origin, get_type_hints

T = TypeVar("T")


class FieldError(ValueError):
    """A table that does not fit its dataclass; ``field`` is the path of what is wrong, such as ``files[0].bytes``."""

    def __init__(self, message: str, field: str) -> None:
        super().__init__(message)
        self.field = field


def build(kind: type[T], table: object, where: str = "") -> T:
    """A dataclass from a table; nested dataclasses from nested tables, tuples from lists.

    Args:
        kind: the dataclass. Its annotations say what is allowed: str, int, float, bool, dict, tuple, Literal, unions,
            dataclasses. A value that already is an instance of the annotated dataclass is taken as it is.
        table: names and values. Fields with a default may be left out.
        where: what to call the table in an error, such as the name of the table around it.

    Raises:
        FieldError: one line: a field is unknown, missing or of the wrong type, or ``kind`` itself refuses its values.
            A refusal of ``kind`` that begins with the name of a field is about that field.
    """
    prefix = f"{where}." if where else ""
    if not isinstance(table, Mapping):
        raise FieldError(f"{where or 'the description'} is not a table", where)
    known = {field.name: field for field in fields(kind)}  # type: ignore[arg-type]
    for name in table:
        if name not in known:
            raise FieldError(f"{prefix}{reprlib.repr(name)} is not a known field", f"{prefix}{name}")
    for name, field in known.items():
        if name not in table and field.default is MISSING and field.default_factory is MISSING:
            raise FieldError(f"{prefix}{name} is missing", where)
    hints = get_type_hints(kind)
    values = {name: _value(hints[name], value, f"{prefix}{name}") for name, value in table.items()}
    try:
        return kind(**values)
    except ValueError as error:
        first = str(error).partition(" ")[0]
        raise FieldError(str(error), f"{prefix}{first}" if first in known else where) from None


def _value(hint: Any, value: object, where: str) -> Any:  # noqa: ANN401  (annotations are of any kind)
    arguments = get_args(hint)
    origin = get_origin(hint) or hint
    if origin in (Union, UnionType):
        return _first_that_fits(arguments, value, where)
    if origin is Literal:
        if value in arguments:
            return value
        raise FieldError(f"{where} is {reprlib.repr(value)}, expected one of {', '.join(map(str, arguments))}", where)
    if origin is tuple and isinstance(value, list):
        kinds = (arguments[0],) * len(value) if arguments[-1] is ... else arguments
        if len(kinds) == len(value):
            return tuple(_value(k, v, f"{where}[{i}]") for i, (k, v) in enumerate(zip(kinds, value, strict=True)))
    elif isinstance(origin, type) and is_dataclass(origin):
        return value if isinstance(value, origin) else build(origin, value, where)
    elif origin is float and type(value) is int:
        return float(value)
    elif type(value) is origin:  # exactly: True is no integer here
        return value
    raise FieldError(f"{where} is {reprlib.repr(value)}, expected {getattr(hint, '__name__', hint)}", where)


def _first_that_fits(hints: tuple[Any, ...], value: object, where: str) -> object:
    for hint in hints[:-1]:
        with suppress(ValueError):
            return _value(hint, value, where)
    return _value(hints[-1], value, where)
