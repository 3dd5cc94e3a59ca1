"""Changes of the bytes of a file."""

from __future__ import annotations

import random


def changed(content: bytes, draw: random.Random) -> bytes:
    """`content` with some bytes flipped, cut out, put in or repeated."""
    found = bytearray(content)
    for _ in range(draw.choice([1, 1, 1, 2, 4, 16])):
        draw.choice(_CHANGES)(found, draw)
    return bytes(found)


def _place(found: bytearray, draw: random.Random) -> int:
    """Rather at the beginning, or at the end, than inside of weights."""
    size = max(1, len(found))
    kind = draw.randrange(3)
    if kind == 0:
        return draw.randrange(min(size, 400))
    return draw.randrange(size) if kind == 1 else size - 1 - draw.randrange(min(size, 400))


def _flip(found: bytearray, draw: random.Random) -> None:
    if found:
        found[_place(found, draw)] ^= 1 << draw.randrange(8)


def _set(found: bytearray, draw: random.Random) -> None:
    if found:
        found[_place(found, draw)] = draw.choice([0, 1, 0x7F, 0x80, 0xFF, draw.randrange(256)])


def _cut(found: bytearray, draw: random.Random) -> None:
    start = _place(found, draw)
    del found[start : start + draw.choice([1, 2, 8, 100])]


def _truncate(found: bytearray, draw: random.Random) -> None:
    del found[_place(found, draw) :]


def _insert(found: bytearray, draw: random.Random) -> None:
    place = _place(found, draw)
    found[place:place] = draw.choice([draw.randbytes(4), b"\xff" * 10, bytes(8), b"\x80" * 9 + b"\x01"])


def _repeat(found: bytearray, draw: random.Random) -> None:
    """The whole file once more: protobuf merges both."""
    start = draw.choice([0, _place(found, draw)])
    found += found[start : start + draw.choice([100, 2**20])]


def _nest(found: bytearray, draw: random.Random) -> None:
    """Fields inside of fields: number 7 is the graph."""
    for _ in range(draw.choice([1, 50, 2000])):
        size, length = len(found), bytearray()
        while size > 127:
            length.append(size & 127 | 128)
            size >>= 7
        found[:0] = bytes([draw.choice([0x3A, 0x0A])]) + length + bytes([size])


_CHANGES = (_flip, _flip, _flip, _set, _set, _cut, _truncate, _insert, _repeat, _nest)
