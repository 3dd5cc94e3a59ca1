"""`snnc explain`: the pages of the rules."""

from __future__ import annotations

import difflib
import textwrap

import click

from snnc.cli import reports
from snnc.cli.console import Console
from snnc.diagnostics import RULES, Rule


@click.command(short_help="Explain a rule, or list all rules.")
@click.argument("code", metavar="[RULE]", required=False)
@reports.json_report
@click.pass_obj
def explain(console: Console, code: str | None, json_file: str | None) -> None:
    """Explain RULE (as in SNN203), or list all rules."""
    reports.check_outputs(console, json_file)
    if code is None:
        for rule in RULES.values():
            console.result(f"{rule.code}  {rule.title}")
        console.report({"rules": [rule_entry(rule) for rule in RULES.values()]})
        return
    found = RULES.get(code.upper())
    if found is None:
        near = difflib.get_close_matches(code.upper(), RULES, n=4, cutoff=0.5)
        advice = f"did you mean {', '.join(near)}?" if near else "`snnc explain` lists all rules"
        raise click.BadParameter(f"there is no rule {code!r}; {advice}", param_hint="RULE")
    console.result(page(found))
    console.report({"rules": [rule_entry(found)]})


def rule_entry(rule: Rule) -> dict[str, str]:
    """What `--json` writes of a rule (docs/cli.md)."""
    return {
        "code": rule.code,
        "severity": rule.severity,
        "title": rule.title,
        "page": " ".join(rule.page.split()),
        "hint": rule.hint,
    }


def page(rule: Rule) -> str:
    """Title, explanation and hint of a rule, in 80 columns."""
    paragraphs = [
        textwrap.fill(f"{rule.code} ({rule.severity}): {rule.title}", 80),
        textwrap.fill(" ".join(rule.page.split()), 80),
    ]
    if rule.hint:
        hint = textwrap.fill(rule.hint, 80, initial_indent="hint: ", subsequent_indent="      ")
        paragraphs.append(hint)
    return "\n\n".join(paragraphs)
