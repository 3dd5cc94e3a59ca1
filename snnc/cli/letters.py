"""Output for terminals and files that have only some letters (`PYTHONIOENCODING=ascii`, the locale C): what they have
not is written in others, and never an error."""

from __future__ import annotations

import codecs
import io
import sys

_HANDLER = "snnc.letters"
_FIRST_BYTE, _LAST_BYTE = 0xDC80, 0xDCFF
_PLAIN = {
    "─": "-", "━": "-", "│": "|", "█": "#", "░": ".", "…": "...", "→": "->", "←": "<-", "·": "*", "×": "x", "±": "+-",
    "≤": "<=", "≥": ">=", "≈": "~", "≠": "!=", "∞": "inf", "−": "-", "–": "-", "‖": "|", "√": "sqrt", "∑": "sum",
    "α": "alpha", "β": "beta", "γ": "gamma", "θ": "theta", "λ": "lambda", "μ": "u", "µ": "u", "σ": "sigma", "Σ": "sum",
    "ε": "epsilon", "π": "pi", "₀": "_0", "₁": "_1", "₂": "_2", "²": "^2", "³": "^3", "ŷ": "y^", "ȳ": "y_mean",
}  # fmt: skip


def _plain(error: UnicodeError) -> tuple[str | bytes, int]:
    if not isinstance(error, UnicodeEncodeError):
        raise error
    letter = error.object[error.start]
    if _FIRST_BYTE <= ord(letter) <= _LAST_BYTE:  # a byte of a file's name that is no text
        return bytes([ord(letter) & 0xFF]), error.start + 1
    return _PLAIN.get(letter, "?"), error.start + 1


def allow_any_encoding() -> None:
    """Let stdout and stderr take any text, whatever their encoding."""
    codecs.register_error(_HANDLER, _plain)
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors=_HANDLER)
