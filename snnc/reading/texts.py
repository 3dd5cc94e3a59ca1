"""Whether all text in a model is text.

Of what is not UTF-8, as in a damaged file, protobuf gives the bytes, and refuses to write them anywhere.
"""

from __future__ import annotations

import functools
from collections.abc import Iterator
from typing import Any

import onnx

from snnc.diagnostics import fail


def check_texts(model: onnx.ModelProto) -> None:
    """SNN103 where a name, or another text of the model, is not UTF-8."""
    pending: list[Any] = [model]
    while pending:
        message = pending.pop()
        texts, inner = _fields(message.DESCRIPTOR)
        for name in texts:
            value = getattr(message, name)
            if any(isinstance(each, bytes) for each in ([value] if isinstance(value, (str, bytes)) else value)):
                fail("SNN103", f"it is damaged: a text in it ({name}) is not valid UTF-8")
        for name in inner:
            pending += _messages(message, name)


@functools.cache
def _fields(kind: Any) -> tuple[list[str], list[str]]:
    """The names of the fields of a kind of message that are text, and of those that are messages."""
    texts = [field.name for field in kind.fields if field.type == field.TYPE_STRING]
    return texts, [field.name for field in kind.fields if field.message_type is not None]


def _messages(message: Any, name: str) -> Iterator[Any]:
    value = getattr(message, name)
    if not hasattr(value, "DESCRIPTOR"):
        yield from value
    elif message.HasField(name):
        yield value
