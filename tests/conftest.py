"""Settings of the whole test suite, and what the tests of the command line start from."""

from __future__ import annotations

import os
import sys
from pathlib import Path
from typing import TYPE_CHECKING

import pytest
from hypothesis import settings

if TYPE_CHECKING:
    from commands import Invoke

# Helper modules (golden.py, networks.py) lie beside the tests; the importlib import mode does not look there.
sys.path.insert(0, str(Path(__file__).parent))

settings.register_profile("default", deadline=None)
# The same examples at every run: a red CI is a change of the code, not of the luck.
settings.register_profile("ci", deadline=None, derandomize=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "ci" if "CI" in os.environ else "default"))


def pytest_addoption(parser: pytest.Parser) -> None:
    """`pytest tests/test_cases.py --update-golden` writes what the compiler gives now into tests/cases."""
    parser.addoption("--update-golden", action="store_true", help="rewrite the expected part of tests/cases/*.txt")


@pytest.fixture
def update_golden(request: pytest.FixtureRequest) -> bool:
    """Whether to rewrite golden files instead of comparing with them."""
    return bool(request.config.getoption("--update-golden"))


@pytest.fixture
def invoke(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Invoke:
    """Run a command in an empty folder that has `net.onnx`, the digits network."""
    from commands import DIGITS, run_command

    monkeypatch.chdir(tmp_path)
    (tmp_path / "net.onnx").write_bytes(DIGITS.read_bytes())
    return run_command


@pytest.fixture(scope="session")
def converted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A converted digits network."""
    from commands import CALIBRATED, DIGITS, run_command

    path = tmp_path_factory.mktemp("converted") / "digits.snn.onnx"
    run_command("convert", DIGITS, "-o", path, *CALIBRATED)
    return path
