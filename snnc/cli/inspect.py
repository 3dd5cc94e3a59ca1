"""`snnc inspect`: what a converted file says of itself."""

from __future__ import annotations

import dataclasses
from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from snnc.cli import options, reports
from snnc.cli.console import Console

if TYPE_CHECKING:
    import onnx

    from snnc.files import ConvertedFile


@click.command(short_help="Show what is in a converted file.")
@click.argument("net", type=options.EXISTING, metavar="NET.snn.onnx")
@reports.json_report
@click.pass_obj
def inspect(console: Console, net: str, json_file: str | None) -> None:
    """Show format, options, calibration, layers, inputs and outputs of NET.snn.onnx."""
    from snnc import api
    from snnc.measure.output_lines import channel_lines
    from snnc.measure.report import alpha_lines, certificate_lines, compared_lines, layer_table, target_lines

    reports.check_outputs(console, json_file, inputs=[net])
    file = api.open_converted(net)
    size = Path(net).stat().st_size
    console.result(f"{net}: format {file.format_version}, written by snnc {file.version}, {_bytes(size)}")
    console.result(f"options      {_wrapped(file.options.to_json())}")
    if file.calibration is not None:
        shown = {**dataclasses.asdict(file.calibration), "sha256": f"{file.calibration.sha256[:16]}..."}
        for told_below in ("alphas", "target", "preparation"):
            shown.pop(told_below)
        console.result(f"calibration  {_wrapped(shown)}")
        if file.calibration.preparation is not None:
            console.result(f"preparation  of the data: {file.calibration.preparation}")
        if file.calibration.alphas:
            console.result(alpha_lines(file.calibration))
        if file.calibration.target is not None:
            console.result(target_lines(file.calibration.target))
    if file.verification is not None:
        console.result(compared_lines(file.verification))
        if any(found.silent or found.saturated for found in file.verification.channels.values()):
            console.result(channel_lines(file.verification.channels))
    if file.certificate is not None:
        console.result(certificate_lines(file.certificate))
    for title, values in (("inputs", file.model.graph.input), ("outputs", file.model.graph.output)):
        for value in values:
            console.result(f"{title:<12} {_describe(value)}")
            title = ""
    console.result()
    console.result(layer_table(file.layers, fused=True))
    console.report({"model": net, "bytes": size, **file_numbers(file)})


def file_numbers(file: ConvertedFile) -> dict[str, Any]:
    """What `--json` writes of a file (docs/cli.md)."""
    from snnc.ir.conversion import Report

    report = Report(file.layers, file.calibration, file.verification, file.certificate)
    return {
        "format": file.format_version,
        "version": file.version,
        "options": file.options.to_json(),
        "inputs": [_interface(value) for value in file.model.graph.input],
        "outputs": [_interface(value) for value in file.model.graph.output],
        **report.to_json(),
    }


def _interface(value: onnx.ValueInfoProto) -> dict[str, Any]:
    """Name, type and shape (numbers, or names where a size is open) of an input or an output."""
    import onnx

    tensor = value.type.tensor_type
    return {
        "name": value.name,
        "type": onnx.TensorProto.DataType.Name(tensor.elem_type).lower(),
        "shape": [dim.dim_param or dim.dim_value for dim in tensor.shape.dim],
    }


def _describe(value: onnx.ValueInfoProto) -> str:
    found = _interface(value)
    return f"{found['name']}  {found['type']} [{', '.join(map(str, found['shape']))}]"


def _wrapped(values: dict[str, object]) -> str:
    """`name=value` pairs in lines of at most 80 columns, indented as the first line is by its title."""
    import textwrap

    pairs = [f"{name}={value if value is not None else '-'}" for name, value in values.items()]
    wrapped = textwrap.wrap("  ".join(pairs), 80 - 13, break_long_words=False, break_on_hyphens=False)
    return f"\n{' ' * 13}".join(wrapped)


def _bytes(size: int) -> str:
    return f"{size / 2**20:.1f} MiB" if size >= 2**20 else f"{size / 2**10:.1f} KiB"
