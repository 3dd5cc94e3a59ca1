"""`snnc library`: where the operators are."""

from __future__ import annotations

import click

from snnc.cli.console import Console


@click.command(short_help="Print the path of the operator library.")
@click.pass_obj
def library(console: Console) -> None:
    """Print the path of the shared library that onnxruntime loads to run converted networks natively."""
    from snnc.runtime.library import library_path

    console.result(str(library_path()))
