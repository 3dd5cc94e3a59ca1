"""`snnc convert`: from a trained network to a spiking one."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import click

from snnc.cli import options, reports
from snnc.cli.console import STDOUT, Console
from snnc.cli.progress import Overall, stages_of

if TYPE_CHECKING:
    import onnx

    from snnc.api import SpikingModel
    from snnc.data import DataSet

# Of a page that is written beside a conversion.
_PAGE_SAMPLES = 200


@click.command(short_help="Convert a trained network into a spiking one.")
@click.argument("net", type=options.EXISTING, metavar="NET.onnx")
@click.option("-o", "--output", type=options.OUTPUT, metavar="FILE", help="[default: NET.snn.onnx beside NET.onnx]")
@options.method
@options.neurons
@click.option(
    "--calib",
    metavar="DATA",
    help="Data for the thresholds: a few hundred training samples.  [default: synthetic, random images]",
)
@click.option(
    "--calib-memory",
    type=options.Bytes(),
    metavar="SIZE",
    default="2GiB",
    help="Memory for images and spike trains: more of them lie in temporary files (TMPDIR).  [default: 2GiB]",
)
@options.calibration
@options.strictness
@options.file_form
@options.data_form
@options.accept_poor
@reports.json_report
@reports.page_report
@click.option(
    "--quantised",
    type=options.OUTPUT,
    metavar="FILE.onnx",
    help="Write the quantised ANN at which a network of the method exact settles.",
)
@options.on
@options.verbosity
@click.pass_obj
def convert(
    console: Console,
    /,
    net: str,
    output: str | None,
    calib: str | None,
    calib_memory: int,
    json_file: str | None,
    page: str | None,
    quantised: str | None,
    on: str | None,
    scale: float | None,
    mean: list[float] | None,
    std: list[float] | None,
    layout: str | None,
    **arguments: Any,
) -> None:
    """Convert the trained network NET.onnx into a spiking one.

    \b
    snnc convert net.onnx --calib mnist.npz:train
    snnc convert net.onnx --reset soft --alpha 0.6

    DATA is file.npz[:split], a .npy file, a folder of class folders of images, MNIST idx files, CIFAR batches,
    digits[:split], or synthetic[:SEED].

    While it calibrates, what is known lies in FILE.resume beside the output. After Ctrl-C the same command goes on from
    there, with the same result.
    """
    from snnc import api
    from snnc.data import DataSet
    from snnc.data.synthetic import synthetic_seed
    from snnc.integers.calibration_split import image_memory
    from snnc.integers.checkpoint import checkpoint_at
    from snnc.measure.output_lines import UNPREPARED
    from snnc.measure.report import (
        alpha_lines,
        certificate_lines,
        compared_lines,
        given_lines,
        layer_table,
        target_lines,
        verify_lines,
    )
    from snnc.methods import METHODS
    from snnc.methods.defaults import check_drop_is_measurable, check_range_is_used, make_options
    from snnc.simulate.ann import load_model

    target = output or str(converted_path(Path(net)))
    resume = resume_path(target)
    reports.check_outputs(console, json_file, [target, quantised, resume], [net, calib], page=page)
    chosen = options.conversion_options(arguments)
    decided = make_options(**chosen)
    check_range_is_used(decided, calib)
    check_drop_is_measurable(decided, calib)
    if quantised and not METHODS[decided.method].settles:
        raise click.UsageError(f"--quantised: no network of the method {decided.method} settles at a quantised ANN")
    form = {"scale": scale, "mean": mean, "std": std, "layout": layout}
    if calib is None or synthetic_seed(calib) is not None:
        options.refuse_data_form(form)
    ann = load_model(net)
    data = None if calib is None else load_for(console, ann, calib, form, chosen, image_memory(calib_memory))
    model = api.convert(
        ann,
        calib=data,
        calib_memory=calib_memory,
        checkpoint=console.kept_until_done(checkpoint_at(resume), resume),
        on=on,
        progress=Overall(console.progress, stages_of(decided)),
        **chosen,
    )
    console.result(layer_table(model.report.layers))
    assert model.report.verification is not None
    assert model.report.calibration is not None
    if model.report.calibration.given:
        console.result(given_lines(model.report.calibration))
    if model.report.calibration.alphas:
        console.result(alpha_lines(model.report.calibration))
    if model.report.calibration.target is not None:
        console.result(target_lines(model.report.calibration.target))
    console.result(verify_lines(model.report.verification))
    said = set() if model.preparation is None else model.preparation.given.keys()
    if model.report.verification.ann_accuracy is not None and not said & {"scale", "mean", "std"}:
        console.result(UNPREPARED)
    if model.certificate is not None:
        console.result(certificate_lines(model.certificate))
    if console.verbose:
        console.result(compared_lines(model.report.verification))
    if page:
        write_page(console, page, model, ann, data if isinstance(data, DataSet) else None, Path(net).name)
    if quantised:
        assert model.quantised is not None
        console.write(quantised, model.quantised.SerializeToString())
    console.write(target, model.model.SerializeToString())
    console.report(model.report.to_json())


def write_page(
    console: Console, page: str, model: SpikingModel, ann: onnx.ModelProto, data: DataSet | None, title: str
) -> None:
    """The page of `--report`, on samples of the calibration data, or on random images where there are none."""
    import numpy as np

    from snnc import api
    from snnc.api.gathering import gather
    from snnc.cli.bench import random_images
    from snnc.measure.page import page as html

    file = api.open_converted(model)
    if data is None:
        data = random_images(file, _PAGE_SAMPLES)
    chosen = np.linspace(0, len(data) - 1, min(_PAGE_SAMPLES, len(data))).round().astype(np.int64)
    found = gather(model, file, data.select(chosen), ann, progress=console.progress)
    console.write(page, html(found, title))


def resume_path(target: str) -> Path | None:
    """`out.snn.onnx` → `out.snn.onnx.resume`, beside the file that is to be written; None of a device or a pipe."""
    from snnc.places import is_stream

    if target == STDOUT or is_stream(target):
        return None
    return Path(target).with_name(f"{Path(target).name}.resume")


def converted_path(net: Path) -> Path:
    """`dir/net.onnx` → `dir/net.snn.onnx`."""
    return net.with_name(f"{net.stem}.snn.onnx")


def load_for(
    console: Console,
    ann: onnx.ModelProto,
    spec: str,
    form: dict[str, Any],
    chosen: dict[str, Any],
    memory: int | None = None,
) -> DataSet | str:
    """Read DATA for an ANN. If that fails, the errors of the ANN are reported before those of the data.

    `synthetic[:SEED]` is left as it is: the conversion makes these images.
    """
    from snnc import api
    from snnc.data import Preparation
    from snnc.data.synthetic import synthetic_seed
    from snnc.diagnostics import DiagnosticError

    if synthetic_seed(spec) is not None:
        return spec
    try:
        said = api.preparation_for(ann, Preparation.of(**form)).given
        return options.load_data(console, spec, api.input_dims(ann, chosen.get("shape", "")), said, memory=memory)
    except DiagnosticError as error:
        errors = [found for found in api.check(ann, **chosen) if found.severity == "error"]
        raise DiagnosticError([*errors, *error.diagnostics]) from error
