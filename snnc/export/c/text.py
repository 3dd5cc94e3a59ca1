"""Pieces of text of C: templates with their places filled, arrays of numbers."""

from __future__ import annotations

import re
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from snnc.export.c.kernels import template

WIDTH = 120
_PLACE = re.compile(r"@(\w+?)@")
_INDENT = "    "


def filled(name: str, places: dict[str, Any]) -> str:
    """A file of `templates/` with `@place@` replaced."""
    return _PLACE.sub(lambda found: str(places[found[1]]), template(name))


def numbers(values: NDArray[Any]) -> str:
    """The numbers of an array in lines, as the initializer of an array of C; floating-point ones exactly."""
    words = [number(value) for value in values.reshape(-1).tolist()]
    longest = max(map(len, words), default=1) + 2
    each = max(1, (WIDTH - len(_INDENT)) // longest)
    lines = [_INDENT + ", ".join(words[first : first + each]) for first in range(0, len(words), each)]
    return "{\n" + ",\n".join(lines) + "\n}"


def number(value: float) -> str:
    """A number of C. The smallest ones of 32 and 64 bits have no literal of their own type."""
    if isinstance(value, int) and value in (-(2**31), -(2**63)):
        return f"({value + 1} - 1)"
    if isinstance(value, int) and abs(value) >= 2**31:
        return f"INT64_C({value})"
    return repr(value)


def float_number(value: float | np.floating[Any]) -> str:
    """A number of type float of C, exactly: the shortest digits that round to it."""
    text = str(np.float32(value))
    return f"{text}f" if any(letter in text for letter in ".en") else f"{text}.0f"


def text_literal(text: str) -> str:
    """A string of C: letters of ASCII, others as their bytes in octal."""
    return '"' + "".join(_letter(byte) for byte in text.encode("utf-8", "replace")) + '"'


def _letter(byte: int) -> str:
    plain = 0x20 <= byte < 0x7F and chr(byte) not in '"\\?'
    return chr(byte) if plain else f"\\{byte:03o}"


def lines(parts: Iterable[str]) -> str:
    """Each on a line of its own."""
    return "".join(f"{part}\n" for part in parts)
