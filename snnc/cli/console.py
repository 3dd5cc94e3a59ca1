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
from collections import Counter
from collections.abc import Iterable, Mapping
from contextlib import AbstractContextManager, ExitStack, suppress
from dataclasses import replace
from os import PathLike, fspath
from types import TracebackType
from typing import TYPE_CHECKING, Any, TypeVar

import click

from snnc.cli.progress import Bar
from snnc.diagnostics import Alike, Diagnostic

if TYPE_CHECKING:
    from rich.console import Console as Terminal

_COLOURS = {"error": "bold red", "warning": "bold yellow"}
_CONTINUED = 4
# Of the warnings of one rule, layer by layer.
_MOST_ALIKE = 3

STDOUT = "-"
_Kept = TypeVar("_Kept")


def as_json(document: Any) -> bytes:
    """The content of a JSON file."""
    text = json.dumps(document, indent=2, ensure_ascii=False) + "\n"
    return text.encode("utf-8", "backslashreplace")  # of names of files that are no UTF-8


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
        self._folders: dict[str, int] = {}
        self._kept = ExitStack()
        self._goes_on_from: list[str | PathLike[str]] = []
        self._introduction = ""
        self._bar: Bar | None = None
        self._hints: set[tuple[str, str]] = set()
        self._alike: Counter[str] = Counter()
        self._stage = ""
        self._subject = ""
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
        self._kept.__exit__(kind, error, trace)
        self._sum_up()
        self.clear_progress()

    def result(self, text: str = "") -> None:
        """Print on stdout, unless quiet; on stderr where stdout has an output."""
        if not self.quiet:
            self._sum_up()
            self._introduce()
            self.clear_progress()
            if sys.stdout.isatty():
                text = wrapped(text)
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
        self._styled("error:", "error", f" {message}")

    def diagnostics(self, found: Iterable[Diagnostic]) -> None:
        """Print errors and warnings of rules, each once; a hint that several share stands behind the last of them."""
        fresh = [each for each in dict.fromkeys(found) if each.text not in self._found]
        shown = [each for each in fresh if not (self.quiet and each.severity == "warning")]
        self._found |= {each.text: each.to_json() for each in fresh}
        last = {(each.rule, each.hint): index for index, each in enumerate(shown)}
        for index, each in enumerate(shown):
            self._print(each, each.text if last[each.rule, each.hint] == index else each.finding)

    def _print(self, diagnostic: Diagnostic, text: str) -> None:
        head, bracket, rest = text.partition("]")
        self._styled(head + bracket, diagnostic.severity, rest)

    def introduce(self, text: str) -> None:
        """A note that stands in front of whatever else is printed."""
        self._introduction = text

    def _introduce(self) -> None:
        text, self._introduction = self._introduction, ""
        if text:
            self.note(text)

    def take_stdout(self) -> None:
        """Keep stdout for an output."""
        self._stdout_taken = True

    def report_to(self, target: str | None) -> None:
        """Where `report` writes: a file, `-` for stdout, or nowhere."""
        self._json = target

    def write(self, path: str | PathLike[str], content: bytes) -> None:
        """An output of the command, to be written when it is done (`report`)."""
        self._files.append((fspath(path), content))

    def write_folder(self, folder: str | PathLike[str], files: Mapping[str, bytes]) -> None:
        """Files of a folder, which is made where it does not exist, to be written when the command is done."""
        self._folders[fspath(folder)] = len(files)
        self._files += [(os.path.join(folder, name), content) for name, content in files.items()]

    def kept_until_done(self, kept: AbstractContextManager[_Kept], *paths: str | PathLike[str] | None) -> _Kept:
        """What the command goes on from after an interruption, in these files. It ends, and what is kept goes, once all
        outputs of the command are written and not before; or with what the command fails with."""
        self._goes_on_from = [path for path in paths if path is not None]
        return self._kept.enter_context(kept)

    def interrupted(self) -> None:
        """Print that the command was interrupted, and whether it can go on."""
        what = "nothing was written"
        if any(map(os.path.exists, self._goes_on_from)):
            what = f"the same command goes on where it was, from {self._goes_on_from[0]}"
        self.error(f"interrupted; {what}")

    def report(self, document: dict[str, Any]) -> None:
        """The command is done: write all its files, and the document of `--json` with all `diagnostics` so far where
        that was asked for."""
        from snnc.places import made_folder, write_together

        if self._json is not None:
            self.write(self._json, self._with_diagnostics(document))
        self.clear_progress()
        with ExitStack() as folders:
            for folder in self._folders:
                folders.enter_context(made_folder(folder))
            write_together([entry for entry in self._files if entry[0] != STDOUT])
        for folder, files in self._folders.items():
            self.result(f"wrote {files} files in {folder}")
        for path, content in self._files:
            if path == STDOUT:
                click.echo(content, nl=False)
            elif os.path.dirname(path) not in self._folders:
                self.result(f"wrote {path}")
        sys.stdout.flush()
        self._kept.close()  # what the command could go on from

    def report_failure(self, document: dict[str, Any]) -> None:
        """The command has failed: print the document where `--json -` was asked for, and write no file."""
        if self._json == STDOUT:
            self.clear_progress()
            with suppress(OSError):  # stdout may be what failed
                click.echo(self._with_diagnostics(document), nl=False)

    def _with_diagnostics(self, document: dict[str, Any]) -> bytes:
        return as_json({**document, "diagnostics": list(self._found.values())})

    def plain(self, text: str) -> None:
        """Print on stderr, also when quiet."""
        self._styled("", "", text)

    def _styled(self, head: str, severity: str, text: str) -> None:
        """Print on stderr, `head` in the colour of a severity where it is a terminal that has colours."""
        if not self.quiet:
            self._introduce()
        self.clear_progress()
        text = wrapped(head + text) if sys.stderr.isatty() else head + text
        if not head or not _may_have_colours():
            click.echo(text, file=sys.stderr)  # the stream itself: click would take UTF-8 for ASCII
            return
        from rich.text import Text

        terminal = _terminal()
        style = "" if terminal.no_color else _COLOURS[severity]
        terminal.print(Text.assemble((head, style), text[len(head) :]), soft_wrap=True)

    def emit(self, record: logging.LogRecord) -> None:
        """Print what the compiler logs. Of many warnings of one rule the first are told, and how many follow; a hint
        that they share is told once."""
        logged: Any = record.args[0] if isinstance(record.args, tuple) and record.args else None
        if not isinstance(logged, Alike):
            self.note(record.getMessage())
            return
        for each in logged.found:
            self._warn(each)

    def tell_of(self, subject: str) -> None:
        """What warnings are about from now on, where a command does the same several times; "" for all of it. What was
        told of all of it is not told again."""
        self._subject = subject

    def _warn(self, diagnostic: Diagnostic) -> None:
        if diagnostic.text in self._found:
            return
        if self._subject:
            diagnostic = replace(diagnostic, message=f"{self._subject}: {diagnostic.message}")
        if diagnostic.text in self._found:
            return
        self._found[diagnostic.text] = diagnostic.to_json()
        self._alike[diagnostic.rule.code] += 1
        if self.quiet or (self._alike[diagnostic.rule.code] > _MOST_ALIKE and not self.verbose):
            return
        hint = (diagnostic.rule.code, diagnostic.hint)
        self._print(diagnostic, diagnostic.finding if hint in self._hints else diagnostic.text)
        self._hints.add(hint)

    def _sum_up(self) -> None:
        """Tell how many warnings were not printed."""
        alike, self._alike = self._alike, Counter()
        for code, count in alike.items():
            if count > _MOST_ALIKE and not (self.quiet or self.verbose):
                self._styled(f"warning[{code}]", "warning", f" {count - _MOST_ALIKE} more like these: -v lists them")

    def progress(self, stage: str, share: float) -> None:
        """Show how far all work is, on a terminal; with `-v`, a line with the time where a stage begins."""
        if self.quiet:
            return
        if self.verbose and stage != self._stage:
            self.plain(f"{time.monotonic() - self._started:6.1f} s  {stage}")
        self._stage = stage
        if sys.stderr.isatty():
            if self._bar is None:
                self._bar = Bar(_terminal())
            self._bar.show(stage, share)

    def clear_progress(self) -> None:
        """Wipe the progress bar, so that text can be printed in its place."""
        if self._bar is not None:
            self._bar.hide()


def _may_have_colours() -> bool:
    """Whether it is worth to ask rich, which takes a moment to load."""
    return sys.stderr.isatty() or bool(os.environ.get("FORCE_COLOR"))


def _terminal() -> Terminal:
    """stderr as rich sees it: NO_COLOR, FORCE_COLOR, TERM and COLUMNS are its business."""
    from rich.console import Console as Terminal

    return Terminal(file=sys.stderr, highlight=False, markup=False, emoji=False)


def wrapped(text: str) -> str:
    """`text` in lines that fit the terminal; what is continued is indented."""
    width = shutil.get_terminal_size().columns
    return "\n".join(line if len(line) <= width else _filled(line, width) for line in text.split("\n"))


def _filled(line: str, width: int) -> str:
    indent = " " * (len(line) - len(line.lstrip()) + _CONTINUED)
    return textwrap.fill(line, width, subsequent_indent=indent, break_long_words=False, break_on_hyphens=False)
