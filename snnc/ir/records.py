"""Dataclasses from the JSON of a file, checked field by field against their types."""

from __future__ import annotations

import dataclasses
import types
import typing
from typing import Any, TypeVar

Record = TypeVar("Record")


def read_record(kind: type[Record], values: Any) -> Record:
    """A dataclass `kind` from the JSON object `values`.

    Fields that are missing keep their default; keys that `kind` does not have are ignored, since files of a later
    version of the same format may have more. ValueError where a value is not of its field's type, TypeError where a
    field without default is missing, and whatever `kind` itself checks.
    """
    if not isinstance(values, dict):
        raise ValueError(f"{kind.__name__} is {_shown(values)}, must be an object")
    hints = typing.get_type_hints(kind)
    known = [field.name for field in dataclasses.fields(kind)]  # type: ignore[arg-type]
    return kind(**{name: _read(hints[name], values[name], name) for name in known if name in values})


def _read(hint: Any, value: Any, place: str) -> Any:
    """`value` as the type `hint`."""
    origin, inner = typing.get_origin(hint), typing.get_args(hint)
    if hint is Any:
        return value
    if origin in (types.UnionType, typing.Union):
        return _read_first(inner, value, place)
    if origin is typing.Literal:
        fits = any(type(value) is type(choice) and value == choice for choice in inner)
    elif dataclasses.is_dataclass(hint) and isinstance(hint, type):
        return read_record(hint, value)
    elif origin is list and isinstance(value, list):
        if inner[0] is float and all(type(item) is float for item in value):  # scales by channel, which may be millions
            return value
        return [_read(inner[0], item, place) for item in value]
    elif origin is tuple and isinstance(value, list):
        if inner[-1] is Ellipsis:
            return tuple(_read(inner[0], item, place) for item in value)
        if len(inner) == len(value):
            return tuple(_read(part, item, place) for part, item in zip(inner, value, strict=True))
        fits = False
    elif origin is dict and isinstance(value, dict):
        return {str(key): _read(inner[1], item, f"{place}[{key!r}]") for key, item in value.items()}
    elif hint is float:
        fits = isinstance(value, (int, float)) and not isinstance(value, bool)
        value = float(value) if fits else value
    elif hint is int:
        fits = isinstance(value, int) and not isinstance(value, bool)
    else:
        fits = isinstance(hint, type) and isinstance(value, hint)
    if not fits:
        raise ValueError(f"{place} is {_shown(value)}, must be {getattr(hint, '__name__', None) or hint}")
    return value


def _read_first(hints: tuple[Any, ...], value: Any, place: str) -> Any:
    """`value` as the first of `hints` that it fits."""
    failure: ValueError | None = None
    for hint in hints:
        try:
            return _read(hint, value, place)
        except ValueError as error:
            failure = failure or error
    assert failure is not None
    raise failure


def _shown(value: Any) -> str:
    text = repr(value[:40] if isinstance(value, list) else value)  # which is too long to be shown already
    return text if len(text) <= 40 else f"{text[:37]}..."
