"""The files around the code agree with each other: packaging, workflows, versions, what a source package holds."""

from __future__ import annotations

import importlib
import importlib.util
import re
import shutil
import subprocess
import sys
import tarfile
from pathlib import Path
from typing import Any

import pytest

import snnc

# Python 3.10 has no tomllib; pytest brings tomli there.
tomllib = importlib.import_module("tomllib" if sys.version_info >= (3, 11) else "tomli")
ROOT = Path(__file__).parent.parent
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
YAML = [*WORKFLOWS, *sorted((ROOT / ".github" / "ISSUE_TEMPLATE").glob("*.yml")), ROOT / ".pre-commit-config.yaml"]
PYPROJECT: dict[str, Any] = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))


def name_of(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


# YAML

_ENTRY = re.compile(r"(- )*((?P<key>[\w.-]+|\"[^\"]+\"):(?P<value> .*)?|(?P<item>[^:]+|\".*\"|\[.*\]))")
_BLOCK = re.compile(r"[|>][+-]?")


def faults(text: str) -> list[str]:
    """What is wrong with the YAML that this repository uses: entries by two spaces, block texts, values in a line.

    A parser sees more (`test_yaml_is_parsed`), but is not everywhere.
    """
    found: list[str] = []
    block: int | None = None
    for number, line in enumerate(text.split("\n"), start=1):
        entry = line.strip()
        indent = len(line) - len(line.lstrip())
        if not entry or (block is not None and indent > block):
            continue
        block = None
        if entry.startswith("#"):
            continue
        match = _ENTRY.fullmatch(entry)
        value = (match["value"] or "").strip() if match else ""
        if (
            "\t" in line
            or indent % 2
            or match is None
            or any(value.count(a) != value.count(b) for a, b in ("[]", "{}"))
            or value.count('"') % 2
        ):
            found.append(f"line {number}: {line}")
        elif _BLOCK.fullmatch(value):
            block = indent
    return found


@pytest.mark.parametrize("path", YAML, ids=name_of)
def test_yaml_is_well_formed(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    assert faults(text) == []
    assert text.endswith("\n")


@pytest.mark.parametrize(
    "text",
    ["a: [1, 2\n", "a:\n\tb: 1\n", "a:\n   b: 1\n", 'a: "b\n', "a: {b: 1\n", "a: 1\nb c: d: e\n", "a: 1\n!!: [\n"],
)
def test_faults_of_yaml_are_found(text: str) -> None:
    assert faults(text)


@pytest.mark.skipif(importlib.util.find_spec("yaml") is None, reason="PyYAML is not installed")
@pytest.mark.parametrize("path", YAML, ids=name_of)
def test_yaml_is_parsed(path: Path) -> None:
    yaml = importlib.import_module("yaml")
    assert isinstance(yaml.safe_load(path.read_text(encoding="utf-8")), dict)


def test_there_are_workflows_and_forms() -> None:
    names = {name_of(path) for path in YAML}
    assert names >= {
        ".github/workflows/ci.yml",
        ".github/workflows/wheels.yml",
        ".github/ISSUE_TEMPLATE/bug.yml",
        ".github/ISSUE_TEMPLATE/feature.yml",
    }
    assert (ROOT / ".github" / "pull_request_template.md").exists()


# What files refer to


def make_targets() -> set[str]:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    return set(re.findall(r"^([a-z][a-z-]*):", makefile, flags=re.MULTILINE))


@pytest.mark.parametrize("path", WORKFLOWS, ids=name_of)
def test_workflows_run_what_is_there(path: Path) -> None:
    text = path.read_text(encoding="utf-8")
    commands = re.findall(r"^\s*(?:- )?run: (.*)$", text, flags=re.MULTILINE)
    assert commands
    for command in commands:
        program, *arguments = command.split()
        if program == "make":
            assert arguments[0] in make_targets(), command
        else:
            assert (ROOT / program).is_file(), command
    assert "\non:\n" in text
    jobs = re.findall(r"^  ([a-z][a-z0-9-]*):$", text.partition("\njobs:\n")[2], flags=re.MULTILINE)
    assert len(jobs) == text.count("    runs-on: ") > 0


def test_variables_given_to_make_exist() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    known = set(re.findall(r"^([A-Z]+) *\?=", makefile, flags=re.MULTILINE))
    given = {name for path in WORKFLOWS for name in re.findall(r"\b([A-Z]+)=", path.read_text(encoding="utf-8"))}
    assert given
    assert given <= known


def test_targets_are_phony_and_described() -> None:
    makefile = (ROOT / "Makefile").read_text(encoding="utf-8")
    (phony,) = re.findall(r"^\.PHONY: (.*)$", makefile, flags=re.MULTILINE)
    assert set(phony.split()) == make_targets()
    head = makefile[: makefile.index("PYTHON ?=")]
    assert set(re.findall(r"\bmake ([a-z-]+)", head)) == make_targets()


def test_nothing_is_published_without_a_tag() -> None:
    text = (ROOT / ".github" / "workflows" / "wheels.yml").read_text(encoding="utf-8")
    publish = text[text.index("\n  publish:\n") :]
    assert "    if: startsWith(github.ref, 'refs/tags/v')\n" in publish
    assert text.count("gh-action-pypi-publish") == publish.count("gh-action-pypi-publish") == 1
    assert text.count("id-token: write") == publish.count("id-token: write") == 1
    assert "branches" not in text


def test_files_that_wheels_are_tested_with_exist() -> None:
    command = PYPROJECT["tool"]["cibuildwheel"]["test-command"]
    (model,) = re.findall(r"\{project\}/(\S+)", command)
    assert (ROOT / model).is_file()


def test_supported_versions_are_those_that_are_tested() -> None:
    ci = (ROOT / ".github" / "workflows" / "ci.yml").read_text(encoding="utf-8")
    (tested,) = re.findall(r"python: \[(.*)\]", ci)
    prefix = "Programming Language :: Python :: 3."
    classifiers = PYPROJECT["project"]["classifiers"]
    supported = [f"3.{name.removeprefix(prefix)}" for name in classifiers if name.startswith(prefix)]
    assert re.findall(r"3\.\d+", tested) == supported
    assert PYPROJECT["project"]["requires-python"] == f">={supported[0]}"
    (oldest,) = [name for name in PYPROJECT["project"]["dependencies"] if name.startswith("onnxruntime")]
    pin = oldest.replace(">=", "==")
    assert pin in ci
    assert pin in (ROOT / ".ci" / "run").read_text(encoding="utf-8")


# Packages and versions


def test_every_package_folder_is_installed() -> None:
    folders = {path.parent for place in ("snnc", "passes", "runtime") for path in (ROOT / place).rglob("*.py")}
    setuptools = PYPROJECT["tool"]["setuptools"]
    assert sorted(setuptools["package-dir"].values()) == sorted(name_of(folder) for folder in folders)
    assert setuptools["packages"] == sorted(setuptools["package-dir"])


def test_nothing_is_used_that_the_oldest_numpy_has_not() -> None:
    (oldest,) = [name for name in PYPROJECT["project"]["dependencies"] if name.startswith("numpy")]
    assert oldest == "numpy>=1.24", "functions of numpy 2 may be used then"
    new = "astype|bitwise_count|concat|cumulative_(prod|sum)|isdtype|mat(rix_transpose|vec)|permute_dims|trapezoid"
    used = re.compile(rf"\bnp\.({new}|unique_(all|counts|inverse|values)|unstack|vec(dot|mat))\b(?!`)")
    sources = [path for place in ("snnc", "passes", "runtime") for path in (ROOT / place).rglob("*.py")]
    found = {name_of(path): names for path in sources if (names := used.findall(path.read_text(encoding="utf-8")))}
    assert not found


def test_versions_agree() -> None:
    """The package says it, and all others take it from there."""
    version = snnc.__version__
    assert PYPROJECT["tool"]["setuptools"]["dynamic"]["version"] == {"attr": "snnc.__version__"}
    assert PYPROJECT["project"]["dynamic"] == ["version"]
    citation = (ROOT / "CITATION.cff").read_text(encoding="utf-8")
    assert re.findall(r"^version: (.*)$", citation, flags=re.MULTILINE) == [version]
    (released,) = re.findall(r"^date-released: (.*)$", citation, flags=re.MULTILINE)
    entries = re.findall(r"^## (.*)$", (ROOT / "CHANGELOG.md").read_text(encoding="utf-8"), flags=re.MULTILINE)
    assert next(entry for entry in entries if entry != "Unreleased") == f"{version} - {released}"


def test_the_source_package_is_complete(tmp_path: Path) -> None:
    """Built from a copy: it needs no repository."""
    copy = tmp_path / "snnc"
    shutil.copytree(ROOT, copy, ignore=shutil.ignore_patterns(".git", ".venv", "build", "dist", "*.egg-info", "*.so"))
    command = [sys.executable, "setup.py", "--quiet", "sdist", "--dist-dir", str(tmp_path)]
    built = subprocess.run(command, cwd=copy, capture_output=True, text=True, check=False)
    assert built.returncode == 0, built.stderr
    (package,) = tmp_path.glob("*.tar.gz")
    with tarfile.open(package) as archive:
        held = {name.partition("/")[2] for name in archive.getnames()}
    sources = {name_of(path) for place in ("snnc", "passes", "runtime") for path in (ROOT / place).rglob("*.[ch]pp")}
    sources |= {name_of(path) for place in ("snnc", "passes", "runtime") for path in (ROOT / place).rglob("*.py")}
    assert held >= sources | {"README.md", "LICENSE", "CITATION.cff", "CHANGELOG.md", "Makefile", "pyproject.toml"}
    assert held >= {"runtime/native/exports.map", "snnc/demo/digits.onnx", "snnc/py.typed", "tests/data/zoo.csv"}
    assert not any(name.endswith(".so") for name in held)
