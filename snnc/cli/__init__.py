"""The command line: `main` is the entry point, `app.py` the table of contents, and every command has a file."""

from __future__ import annotations

import sys


def main() -> None:
    """Run `snnc` with the arguments of the process. Exit codes are in `app.py`."""
    try:
        from snnc.cli.app import snnc
        from snnc.cli.letters import allow_any_encoding
        from snnc.cli.readers import outlive_readers

        outlive_readers()
        allow_any_encoding()
        snnc(prog_name="snnc")
    except KeyboardInterrupt:  # between commands: while Python imports, or after click has gone
        sys.exit(130)
