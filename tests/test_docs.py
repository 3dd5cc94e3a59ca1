"""What the documents say of the command line is true."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

import click
import numpy as np
import pytest
from click.testing import CliRunner

from snnc import convert
from snnc.cli.app import snnc
from snnc.data import load
from snnc.diagnostics.rules import RULES
from snnc.runtime import SpikingSession
from snnc.runtime.library import library_path

ROOT = Path(__file__).parent.parent
CLI = (ROOT / "docs" / "cli.md").read_text(encoding="utf-8")
DOCUMENTS = [ROOT / "README.md", *sorted((ROOT / "docs").rglob("*.md"))]
OPTION = re.compile(r"(?<![\w-])--?[a-z][a-z-]*")
RULE = re.compile(r"\bSNN\d{3}\b")
COMMAND = re.compile(r"^snnc .*$|`snnc [^`]*`", flags=re.MULTILINE)
LINK = re.compile(r"\]\((?!https?:)([^)#]*)[^)]*\)")
PICTURE = re.compile(r'(?:src|srcset)="(?!https?:)([^"]*)"')


def name_of(document: Path) -> str:
    """The document as a reader finds it."""
    return document.relative_to(ROOT).as_posix()


def sections() -> dict[str, str]:
    """Text of docs/cli.md by command."""
    parts = re.split(r"^## snnc (\w+)$", CLI, flags=re.MULTILINE)
    return dict(zip(parts[1::2], parts[2::2], strict=True))


def table_options(text: str) -> set[str]:
    """The options in the first column of a table."""
    cells = [line.split("|")[1] for line in text.splitlines() if line.startswith("| `-")]
    return {option for cell in cells for option in OPTION.findall(cell)}


def command_options(command: click.Command) -> list[list[str]]:
    """Spellings of each option."""
    return [parameter.opts for parameter in command.params if isinstance(parameter, click.Option)]


def test_every_command_has_a_section_in_the_order_of_the_help() -> None:
    assert list(sections()) == list(snnc.commands)


@pytest.mark.parametrize("name", snnc.commands)
def test_options_are_those_of_the_command(name: str) -> None:
    documented = table_options(sections()[name])
    real = command_options(snnc.commands[name])
    for spellings in real:
        assert documented & set(spellings), f"docs/cli.md does not tell of {spellings}"
    assert documented <= {option for spellings in real for option in spellings}
    help_text = CliRunner().invoke(snnc, [name, "--help"]).output
    assert documented <= set(OPTION.findall(help_text))


def test_bound_states_of_the_embedding_guide(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    images = load("digits:test", (1, 8, 8)).images[:7]
    files = {}
    for schedule in ("loop", "stream"):
        options: dict[str, Any] = {"schedule": schedule, "controls": "required", "steps": 128, "calib_steps": 64}
        files[schedule] = convert(ROOT / "snnc" / "demo" / "digits.onnx", calib=images, **options).model
    Path("net.snn.onnx").write_bytes(files["stream"].SerializeToString())
    text = (ROOT / "docs" / "embedding.md").read_text(encoding="utf-8")
    blocks = re.findall(r"^```python\n(.*?)^```$", text, flags=re.MULTILINE | re.DOTALL)
    (example,) = [block for block in blocks if "io_binding" in block]
    names: dict[str, Any] = {"images": images, "library_path": str(library_path())}
    exec(example, names)
    expected = SpikingSession(files["loop"].SerializeToString()).run(images, 128, seed=0)
    np.testing.assert_array_equal(names["logits"], expected.logits)
    np.testing.assert_array_equal(names["spike_totals"], expected.spike_totals)
    operations = names["results"]["synaptic_operations"].numpy()
    np.testing.assert_array_equal(operations, expected.synaptic_operations)


def test_the_documents_have_what_is_looked_for_in_them() -> None:
    """Rules, commands and links: an expression that finds none would let every document pass."""
    text = "\n".join(document.read_text(encoding="utf-8") for document in DOCUMENTS)
    for expression in (RULE, COMMAND, LINK):
        assert len(expression.findall(text)) > 5, expression


@pytest.mark.parametrize("document", DOCUMENTS, ids=name_of)
def test_rules_and_options_in_documents_exist(document: Path) -> None:
    text = document.read_text(encoding="utf-8")
    assert set(RULE.findall(text)) <= set(RULES)
    known = {
        name: {option for spellings in command_options(command) for option in spellings} | {"-h", "--help"}
        for name, command in snnc.commands.items()
    }
    for line in COMMAND.findall(text):
        words = line.strip("`").split("#")[0].split()
        if len(words) > 1 and words[1] in known:
            used = {word for word in words[2:] if OPTION.fullmatch(word)}
            assert used <= known[words[1]], line


@pytest.mark.parametrize("document", DOCUMENTS, ids=name_of)
def test_links_lead_somewhere(document: Path) -> None:
    text = document.read_text(encoding="utf-8")
    for target in LINK.findall(text) + PICTURE.findall(text):
        assert not target or (document.parent / target).exists(), target


@pytest.mark.parametrize("code", RULES)
def test_hints_name_options_that_exist(code: str) -> None:
    rule = RULES[code]
    options = {
        option for command in snnc.commands.values() for spellings in command_options(command) for option in spellings
    }
    # Words in backquotes that begin with a dash are options of snnc.
    mentioned = re.findall(r"`(--[a-z-]+)", f"{rule.hint} {rule.page}")
    assert set(mentioned) <= options


def test_explain_knows_every_rule() -> None:
    listed = CliRunner().invoke(snnc, ["explain"]).output
    for code, rule in RULES.items():
        assert f"{code}  {rule.title}" in listed
        page = CliRunner().invoke(snnc, ["explain", code])
        assert page.exit_code == 0
        assert page.output.startswith(code)
