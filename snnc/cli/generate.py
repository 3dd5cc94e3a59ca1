"""Writes the parts of the documents that follow from declarations: `python -m snnc.cli.generate [--check]`.

A generated part stands between `<!-- generated: NAME -->` and `<!-- end -->`: the table of a command's options, of the
threshold rules, of the methods, and the pages of the rules of findings. What plug-ins add is left out. The types of the
options in `snnc/api/options.py` are written too. `--check` writes nothing and exits with 1 where a file is not what it
would be.
"""

from __future__ import annotations

import re
from pathlib import Path

import click

from snnc.cli.app import snnc
from snnc.cli.options import RegisteredName
from snnc.cli.typed_options import TYPED_OPTIONS, typed_options
from snnc.diagnostics import RULES as FINDINGS
from snnc.files import write_atomically
from snnc.ir.options import OPTIONS
from snnc.methods import METHODS
from snnc.thresholds import RULES

_PART = re.compile(r"(<!-- generated: (.+?) -->\n).*?(<!-- end -->)", re.DOTALL)
_BRACKET = re.compile(r"\.?\s*\[(.*)\]$")
_FLAG = re.compile(r"(?<![\w`-])--([a-z][a-z-]*)(?: ([a-z]+))?")


def option_table(command: click.Command) -> str:
    """One row for each option of a command, in the order of its help."""
    rows = ["| option | meaning |", "|---|---|"]
    for parameter in command.params:
        if isinstance(parameter, click.Option):
            rows.append(f"| {_spelling(parameter)} | {_meaning(parameter)} |")
    return "\n".join(rows) + "\n"


def rule_table() -> str:
    """One row for each threshold rule."""
    rows = ["| rule | V_th | from |", "|---|---|---|"]
    rows += [f"| `{rule.name}` | {rule.summary} | {rule.source} |" for rule in RULES.own.values()]
    return "\n".join(rows) + "\n"


def method_table() -> str:
    """One row for each method; defaults are those without any option."""
    rows = ["| method | what it does | input coding | defaults | from |", "|---|---|---|---|---|"]
    for method in METHODS.own.values():
        chosen = {name: value for name, value in method.defaults({}).items() if name not in method.without}
        defaults = ", ".join(f"{name.replace('_', '-')} {value}" for name, value in chosen.items())
        rows.append(f"| `{method.name}` | {method.summary} | {method.coding} | {defaults} | {method.source} |")
    return "\n".join(rows) + "\n"


def rule_pages() -> str:
    """A section for each rule of findings."""
    pages = []
    for rule in FINDINGS.values():
        hint = f"\n**Hint:** {rule.hint}.\n" if rule.hint else ""
        text = " ".join(rule.page.split())
        pages.append(f"## {rule.code}: {rule.title}\n*{rule.severity}*\n\n{text}\n{hint}")
    return "\n" + "\n".join(pages) + "\n"


def generated(page: str) -> str:
    """`page` with all its generated parts as they should be; KeyError where there is no such part."""
    parts = {f"options of snnc {name}": option_table(command) for name, command in snnc.commands.items()}
    parts |= {"threshold rules": rule_table(), "methods": method_table(), "rules": rule_pages()}
    return _PART.sub(lambda found: found[1] + parts[found[2]] + found[3], page)


def _spelling(option: click.Option) -> str:
    *short, long = option.opts
    kind = option.type
    values = list(kind.registry.own) if isinstance(kind, RegisteredName) else getattr(kind, "choices", ())
    first, *others = [f"{long} {value}" if index == 0 else value for index, value in enumerate(values)] or [long]
    if not values and option.metavar:
        first = f"{long} {option.metavar}"
    words = [f"`{word}`" for word in (*short, first, *others)]
    return ", ".join(words) if len(words) < 2 or not others else f"{', '.join(words[:-1])} or {words[-1]}"


def _meaning(option: click.Option) -> str:
    text = _BRACKET.sub(r"; \1", option.help or "").removeprefix("; ").removesuffix(".").replace("|", r"\|")
    if option.show_default:
        text += f"; default: {option.default}"
    sentence = text[1:2].islower() or text[1:2] == " "
    return _FLAG.sub(_quoted, text[:1].lower() + text[1:] if sentence else text)


def _quoted(flag: re.Match[str]) -> str:
    """An option in backquotes, with the word behind it if that is one of its choices."""
    declared = OPTIONS.get(flag[1].replace("-", "_"))
    if flag[2] and (declared is None or flag[2] not in declared.choices):
        return f"`--{flag[1]}` {flag[2]}"
    return f"`{flag[0]}`"


@click.command()
@click.option("--check", is_flag=True, help="Write nothing; exit with 1 if a page is stale.")
@click.argument("folder", type=click.Path(exists=True, file_okay=False), default="docs")
def main(check: bool, folder: str) -> None:
    """Write the generated parts of the documents in FOLDER."""
    stale = False
    pages = {path: generated(path.read_text(encoding="utf-8")) for path in sorted(Path(folder).rglob("*.md"))}
    for path, wanted in {**pages, TYPED_OPTIONS: typed_options()}.items():
        if path.exists() and wanted == path.read_text(encoding="utf-8"):
            continue
        stale = True
        click.echo(f"{path} is stale, run python -m snnc.cli.generate" if check else f"wrote {path}")
        if not check:
            write_atomically(path, wanted.encode())
    raise SystemExit(1 if check and stale else 0)


if __name__ == "__main__":
    main()
