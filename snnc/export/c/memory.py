"""Where scratch memory lies: what is not needed at the same time of a step shares its place."""

from __future__ import annotations

from collections.abc import Sequence

from snnc.export.c.program import Scratch


def place(scratch: Sequence[Scratch]) -> None:
    """Give every piece its offset among those of its type: the largest first, each as low as it fits."""
    placed: list[Scratch] = []
    for piece in sorted(scratch, key=lambda each: -each.count):
        others = [
            each for each in placed if each.ctype == piece.ctype and each.born <= piece.dies and piece.born <= each.dies
        ]
        piece.offset = 0
        for other in sorted(others, key=lambda each: each.offset):
            if piece.offset + piece.count > other.offset:
                piece.offset = max(piece.offset, other.offset + other.count)
        placed.append(piece)
