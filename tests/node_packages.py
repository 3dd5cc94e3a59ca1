"""Packages of the npm registry for the tests of JavaScript, under build/, and Node programs that use them."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tempfile
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
EXAMPLES = ROOT / "examples" / "embedding"


def installed(package_json: Path) -> Path:
    """A `node_modules` with what `package_json` names, installed once; skips the test where that cannot be had."""
    for program in ("node", "npm"):
        if shutil.which(program) is None:
            pytest.skip(f"{program} is not installed")
    content = package_json.read_bytes()
    folder = ROOT / "build" / "npm" / hashlib.sha256(content).hexdigest()[:16]
    if not folder.exists():
        folder.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(dir=folder.parent) as started:
            Path(started, "package.json").write_bytes(content)
            # Scripts of packages fetch libraries for graphics cards, which nothing here needs.
            command = ["npm", "install", "--ignore-scripts", "--no-audit", "--no-fund", "--no-package-lock"]
            result = subprocess.run(command, cwd=started, capture_output=True, text=True, timeout=300, check=False)
            if result.returncode != 0:
                pytest.skip(f"npm cannot install {package_json.relative_to(ROOT)}: {result.stderr.strip()[:300]}")
            os.replace(started, folder)
            os.mkdir(started)  # what the context manager removes
    return folder / "node_modules"


def laid_out(folder: Path, example: str) -> Path:
    """`examples/embedding/{node,web}` in `folder` as after `npm install` in `example`, whose folder is returned."""
    packages = installed(EXAMPLES / example / "package.json")
    for name in ("node", "web"):
        shutil.copytree(EXAMPLES / name, folder / name, ignore=shutil.ignore_patterns("node_modules"))
    (folder / example / "node_modules").symlink_to(packages)
    return folder / example


def run_node(script: str, *arguments: str | Path, cwd: Path, exit_code: int = 0) -> subprocess.CompletedProcess[str]:
    """`node script arguments...`; it must end with this exit code."""
    command = ["node", script, *map(str, arguments)]
    result = subprocess.run(command, cwd=cwd, capture_output=True, text=True, timeout=400, check=False)
    assert result.returncode == exit_code, result.stdout + result.stderr
    return result
