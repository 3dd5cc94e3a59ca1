"""What the commands say, and where: results on stdout; notes, warnings, errors and progress on stderr.

An output called `-` goes to stdout, which then has that and nothing else: results go to stderr. Files are written
together, when a command is done.
"""

from __future__ import annotations

import json
import logging
import os
import shutil
import sys
import textwrap
import time
from collections.abc import Iterable
from os import PathLike, fspath
from types import TracebackType
from typing import Any

import click

from snnc.diagnostics import Diagnostic

_BAR_WIDTH = 24
_SECONDS_BETWEEN_UPDATES = 0.1
_COLOURS = {"error": "red", "warning": "yellow"}


STDOUT = "-"


def as_json(document: Any) -> bytes:
    """The content of a JSON file."""
    text = json.dumps(document, indent=2, ensure_ascii=False) + "\n"
    return text.encode("utf-8", "backslashreplace")  # of names of files that are no UTF-8


class Interrupted(KeyboardInterrupt):
    """Ctrl-C, with what there is to say of it."""


class Console(logging.Handler):
    """Prints for one command, with the verbosity of its `-q` and `-v`, and writes its files.

    While it is open (`with`), it receives the warnings that the compiler logs; each is printed once. All diagnostics
    are kept for the JSON, printed or not.
    """

    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.quiet = False
        self.verbose = False
        self._found: dict[str, dict[str, str]] = {}
        self._json: str | None = None
        self._stdout_taken = False
        self._files: list[tuple[str, bytes]] = []
        self._progress_shown = False
        self._last_update = 0.0
        self._stage = ""
        self._started = time.monotonic()

    def __enter__(self) -> Console:
        log = logging.getLogger("snnc")
        log.addHandler(self)
        log.propagate = False
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        logging.getLogger("snnc").removeHandler(self)
        self.clear_progress()

    def result(self, text: str = "") -> None:
        """Print on stdout, unless quiet; on stderr where stdout has an output."""
        if not self.quiet:
            self.clear_progress()
            click.echo(text, file=sys.stderr if self._stdout_taken else sys.stdout)

    def lines(self, lines: Iterable[str]) -> None:
        """Print each of them on stdout, unless quiet."""
        for line in lines:
            self.result(line)

    def note(self, text: str) -> None:
        """Print on stderr, unless quiet."""
        if not self.quiet:
            self.plain(text)

    def error(self, message: str) -> None:
        """Print an error that has no rule."""
        nothing = dict.fromkeys(("node", "op", "shape", "hint", "module", "source"), "")
        self._found[message] = {"code": "", "severity": "error", "message": message, **nothing}
        self.plain(f"{self._coloured('error:', 'red')} {message}")

    def diagnostics(self, found: Iterable[Diagnostic]) -> None:
        """Print errors and warnings of rules, each once; a hint that several share stands behind the last of them."""
        fresh = [each for each in dict.fromkeys(found) if each.text not in self._found]
        shown = [each for each in fresh if not (self.quiet and each.severity == "warning")]
        self._found |= {each.text: each.to_json() for each in fresh}
        last = {(each.rule, each.hint): index for index, each in enumerate(shown)}
        for index, each in enumerate(shown):
            self._print(each, each.text if last[each.rule, each.hint] == index else each.finding)

    def _print(self, diagnostic: Diagnostic, text: str) -> None:
        if sys.stderr.isatty():
            text = _fill(text)
        head, bracket, rest = text.partition("]")
        self.plain(self._coloured(head + bracket, _COLOURS[diagnostic.severity]) + rest)

    def take_stdout(self) -> None:
        """Keep stdout for an output."""
        self._stdout_taken = True

    def report_to(self, target: str | None) -> None:
        """Where `report` writes: a file, `-` for stdout, or nowhere."""
        self._json = target

    def write(self, path: str | PathLike[str], content: bytes) -> None:
        """An output of the command, to be written when it is done (`report`)."""
        self._files.append((fspath(path), content))

    def report(self, document: dict[str, Any]) -> None:
        """The command is done: write all its files, and the document of `--json` with all `diagnostics` so far where
        that was asked for."""
        from snnc.places import write_together

        if self._json is not None:
            self.write(self._json, self._with_diagnostics(document))
        self.clear_progress()
        write_together([entry for entry in self._files if entry[0] != STDOUT])
        for path, content in self._files:
            if path == STDOUT:
                click.echo(content, nl=False)
            else:
                self.result(f"wrote {path}")

    def report_failure(self, document: dict[str, Any]) -> None:
        """The command has failed: print the document where `--json -` was asked for, and write no file."""
        if self._json == STDOUT:
            self.clear_progress()
            click.echo(self._with_diagnostics(document), nl=False)

    def _with_diagnostics(self, document: dict[str, Any]) -> bytes:
        return as_json({**document, "diagnostics": list(self._found.values())})

    def plain(self, text: str) -> None:
        """Print on stderr, also when quiet."""
        self.clear_progress()
        click.echo(text, file=sys.stderr)  # the stream itself: click would take UTF-8 for ASCII

    def emit(self, record: logging.LogRecord) -> None:
        """Print what the compiler logs."""
        first: Any = record.args[0] if isinstance(record.args, tuple) and record.args else None
        if isinstance(first, Diagnostic):
            self.diagnostics([first])
        elif not self.quiet:
            self.plain(record.getMessage())

    def progress(self, stage: str, share: float) -> None:
        """Show how far the work is, on a terminal; with `-v`, a line with the time where a stage begins."""
        if self.quiet:
            return
        if self.verbose and stage != self._stage:
            self.plain(f"{time.monotonic() - self._started:6.1f} s  {stage}")
        now = time.monotonic()
        if sys.stderr.isatty() and (stage != self._stage or now - self._last_update > _SECONDS_BETWEEN_UPDATES):
            self.clear_progress()
            full = round(_BAR_WIDTH * min(1.0, share))
            bar = "█" * full + "░" * (_BAR_WIDTH - full)
            click.echo(f"\r{bar} {min(1.0, share):4.0%} {stage[:48]}", file=sys.stderr, nl=False)
            self._progress_shown = True
            self._last_update = now
        self._stage = stage

    def clear_progress(self) -> None:
        """Wipe the progress bar, so that text can be printed in its place."""
        if self._progress_shown:
            click.echo("\r\033[K", file=sys.stderr, nl=False)
            self._progress_shown = False

    def _coloured(self, text: str, colour: str) -> str:
        if sys.stderr.isatty() and not os.environ.get("NO_COLOR"):
            return click.style(text, fg=colour, bold=True)
        return text


def _fill(text: str) -> str:
    """`text` in lines that fit the terminal; what is continued is indented."""
    width = shutil.get_terminal_size().columns
    lines = (
        textwrap.fill(line, width, subsequent_indent="    ", break_long_words=False, break_on_hyphens=False)
        for line in text.splitlines()
    )
    return "\n".join(lines)
