"""The declaration of an option: its checks, its place in `--help` and its row in the documents come from it."""

from __future__ import annotations

import operator
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from snnc.diagnostics import fail

#: The name that stands for all layers that are not named.
EVERY_LAYER = "*"
# Limits beyond this are those of a number format.
_LARGE = 2**30


@dataclass(frozen=True)
class Option:
    """One option, declared once.

    Attributes:
        name: as in Python; `--name-with-dashes` on the command line.
        kind: `int`, `float`, `bool`, `str`, or `tuple` for a range (two floats, the lower one first).
        default: the value where none is given; None leaves it to the conversion.
        help: a sentence, with units.
        default_text: what `--help` says of the default, where that depends on something or is None.
        group: where commands list it (`snnc.cli.options`).
        metavar: what stands for a value, such as `N`.
        choices: all values that it can have; empty where there are more.
        registry: the name of the registry (group of entry points) that knows the choices.
        low, high: the smallest and the largest value; `low` itself is excluded where `above` is set.
        word: a word that may stand in place of a value, or "": it leaves the value to the conversion.
        percent: a share that may be written with a percent sign, as text: `0.5%` is 0.005.
        by_layer: layers may have values of their own: a mapping from their names, `*` being all others, or text:
            `16,conv1=32`.
    """

    name: str
    kind: type
    default: Any
    help: str
    default_text: str = ""
    group: str = ""
    metavar: str = ""
    choices: tuple[Any, ...] = ()
    registry: str = ""
    low: float | None = None
    high: float | None = None
    above: bool = False
    word: str = ""
    percent: bool = False
    by_layer: bool = False

    def plain(self, value: Any) -> Any:
        """`value` in the type of this option: numpy's scalars count as numbers, a list of two numbers as a range.

        SNN405 where it is of another type: a float or a boolean is no integer, text no number.
        """
        if self._is_word(value):
            return self.word
        if self.percent and isinstance(value, str):
            return self.parse(value)
        if self.by_layer and isinstance(value, str | Mapping):
            return self._of_layers(value)
        try:
            return _READERS[self.kind](value)
        except (TypeError, ValueError):
            fail("SNN405", f"{self.name} is {value!r}, of the wrong type")

    def _of_layers(self, value: str | Mapping[Any, Any]) -> dict[str, Any]:
        """The values by the names of layers."""
        example = f"must be of the form {self.default},LAYER={2 * self.default}"
        if not isinstance(value, str):
            try:
                return {_text(name): _READERS[self.kind](number) for name, number in value.items()}
            except (TypeError, ValueError):
                fail("SNN405", f"{self.name} is {dict(value)!r}, must map names of layers to numbers")
        found: dict[str, Any] = {}
        for part in value.split(","):
            name, named, number = part.rpartition("=")
            name = name.strip() if named else EVERY_LAYER
            try:
                read = _PARSERS[self.kind](number)
            except ValueError:
                name, read = "", None
            if not name:
                fail("SNN405", f"{self.name} is {value!r}, {example}")
            if name in found:
                what = "all layers" if name == EVERY_LAYER else repr(name)
                fail("SNN405", f"{self.name} is {value!r}, with two values for {what}")
            found[name] = read
        return found

    def parse(self, text: str) -> Any:
        """The value that `text` stands for, as on the command line; SNN405 if it stands for none."""
        if self._is_word(text):
            return self.word
        try:
            if self.percent and text.endswith("%"):
                return float(text[:-1]) / 100
            return _PARSERS[self.kind](text)
        except (KeyError, ValueError):
            fail("SNN405", f"{self.name} is {text!r}, of the wrong type")

    def check(self, value: Any) -> None:
        """SNN405 where a value of the right type is none that the option can have."""
        if (value is None and self.default is None) or self._is_word(value):
            return
        if self.by_layer and isinstance(value, Mapping):
            for number in value.values():
                self.check(number)
            return
        if self.choices and value not in self.choices:
            fail("SNN405", f"{self.name} is {value!r}, must be one of {', '.join(map(str, self.choices))}")
        if self.kind is tuple:
            if not (len(value) == 2 and value[0] < value[1] and all(map(self._within, value))):
                fail("SNN405", f"{self.name} is {value}, must be two numbers {self.limits}, the lower one first")
        elif not self._within(value):
            fail("SNN405", f"{self.name} is {value}, must be {self.limits}{self._or_word}")

    @property
    def limits(self) -> str:
        """`from 0 to 1`, `at least 1`, `above 0 and at most 1`; empty where there are none."""
        low, high = (None if limit is None else _shown(limit) for limit in (self.low, self.high))
        if self.above:
            return f"above {low}" if high is None else f"above {low} and at most {high}"
        if low is not None and high is not None:
            return f"from {low} to {high}"
        return f"at least {low}" if low is not None else "" if high is None else f"at most {high}"

    @property
    def help_text(self) -> str:
        """The help with default and, where a user could run into them, limits in brackets."""
        shown = self.default_text or (f"{self.default:g}" if self.kind is float else str(self.default))
        narrow = self.low is not None and self.high is not None and self.high <= _LARGE
        limits = f"{self.limits}{self._or_word}; " if narrow else ""
        return f"{self.help}  [{limits}default: {shown}]"

    @property
    def _or_word(self) -> str:
        return f", or {self.word}" if self.word else ""

    def _is_word(self, value: Any) -> bool:
        return bool(self.word) and isinstance(value, str) and value == self.word

    def _within(self, value: Any) -> bool:
        # NaN lies nowhere.
        high_enough = self.low is None or (value > self.low if self.above else value >= self.low)
        return bool(high_enough and (self.high is None or value <= self.high))


def whole(name: str, value: Any) -> int:
    """`value` as an int: numpy's integers count, floats and booleans do not (SNN405)."""
    try:
        return _integer(value)
    except TypeError:
        fail("SNN405", f"{name} is {value!r}, must be an integer")


def by_layer(value: Any, default: Any) -> tuple[Any, tuple[tuple[str, Any], ...]]:
    """A value of an option that layers may have their own of: that of all layers, and those of the named ones."""
    if not isinstance(value, Mapping):
        return value, ()
    named = {name: number for name, number in value.items() if name != EVERY_LAYER}
    return value.get(EVERY_LAYER, default), tuple(named.items())


def _shown(limit: float) -> str:
    """`0.9`, `1e+30`; large integers as powers of two: `2^25`, `-2^63`, `2^63 - 1`."""
    for near, rest in ((limit, ""), (limit + 1, " - 1")):
        exponent = abs(near).bit_length() - 1 if isinstance(near, int) else 0
        if exponent > 20 and abs(near) == 2**exponent:
            return f"{'-' if near < 0 else ''}2^{exponent}{rest}"
    return f"{limit:g}"


def _is_boolean(value: Any) -> bool:
    return isinstance(value, bool) or str(getattr(value, "dtype", "")) == "bool"


def _integer(value: Any) -> int:
    if _is_boolean(value):
        raise TypeError
    return operator.index(value)


def _number(value: Any) -> float:
    if isinstance(value, str) or _is_boolean(value):  # float() would read it
        raise TypeError
    return float(value)


def _boolean(value: Any) -> bool:
    if not _is_boolean(value):
        raise TypeError
    return bool(value)


def _text(value: Any) -> str:
    if not isinstance(value, str):
        raise TypeError
    return value


def _range(value: Any) -> tuple[float, ...]:
    return tuple(map(_number, value))


_READERS: Mapping[type, Callable[[Any], Any]] = {
    int: _integer,
    float: _number,
    bool: _boolean,
    str: _text,
    tuple: _range,
}
_PARSERS: Mapping[type, Callable[[str], Any]] = {
    int: int,
    float: float,
    bool: {"true": True, "false": False}.__getitem__,
    str: str,
    tuple: lambda text: tuple(float(part) for part in text.split(",")),
}
