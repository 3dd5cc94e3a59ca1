"""`snnc explain`: the pages of the rules."""

from __future__ import annotations

import difflib
import textwrap

import click

from snnc.cli.console import Console
from snnc.diagnostics import RULES, Rule


@click.command(short_help="Explain a rule, or list all rules.")
@click.argument("code", metavar="[RULE]", required=False)
@click.pass_obj
def explain(console: Console, code: str | None) -> None:
    """Explain RULE (as in SNN203), or list all rules."""
    if code is None:
        for rule in RULES.values():
            console.result(f"{rule.code}  {rule.title}")
        return
    found = RULES.get(code.upper())
    if found is None:
        near = difflib.get_close_matches(code.upper(), RULES, n=4, cutoff=0.5)
        advice = f"did you mean {', '.join(near)}?" if near else "`snnc explain` lists all rules"
        raise click.BadParameter(f"there is no rule {code!r}; {advice}", param_hint="RULE")
    console.result(page(found))


def page(rule: Rule) -> str:
    """Title, explanation and hint of a rule, in 80 columns."""
    severity = "warning" if rule.warning else "error"
    paragraphs = [
        textwrap.fill(f"{rule.code} ({severity}): {rule.title}", 80),
        textwrap.fill(" ".join(rule.page.split()), 80),
    ]
    if rule.hint:
        hint = textwrap.fill(rule.hint, 80, initial_indent="hint: ", subsequent_indent="      ")
        paragraphs.append(hint)
    return "\n\n".join(paragraphs)
