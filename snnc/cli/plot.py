"""`snnc plot`: one picture of a converted network."""

from __future__ import annotations

from typing import Any

import click

from snnc.cli import options, reports
from snnc.cli.console import Console

_PICTURES = ("curve", "energy", "layers", "scatter", "potentials", "budget", "confusion", "raster")


@click.command(short_help="Draw one picture of a converted network.")
@click.argument("picture", type=click.Choice(_PICTURES), metavar="PICTURE")
@click.argument("net", type=options.EXISTING, metavar="NET.snn.onnx")
@click.option("--data", required=True, metavar="DATA", help="Samples; with labels for the accuracy.")
@click.option("--ann", type=options.EXISTING, metavar="NET.onnx", help="The ANN: for agreement, scatter and budget.")
@click.option(
    "-o", "--output", type=options.OUTPUT, metavar="FILE.png", help="The picture.  [default: NET.PICTURE.png]"
)
@click.option("--samples", type=click.IntRange(min=1), metavar="N", help="Take N samples, evenly spread over DATA.")
@reports.dark
@options.stored_form
@options.threads
@options.verbosity
@click.pass_obj
def plot(
    console: Console,
    /,
    picture: str,
    net: str,
    data: str,
    ann: str | None,
    output: str | None,
    samples: int | None,
    dark: bool,
    threads: int | None,
    **form: Any,
) -> None:
    """Draw PICTURE of NET.snn.onnx on DATA.

    \b
    curve       accuracy and spike rate against steps
    energy      accuracy against the energy of synapses, beside the ANN
    layers      rates and thresholds
    scatter     ANN activation and spike rate of every neuron
    potentials  membrane potentials over all steps
    budget      what every layer loses, and to what
    confusion   which class is taken for which
    raster      the spikes of one sample

    \b
    snnc plot scatter net.snn.onnx --ann net.onnx --data mnist.npz:test
    """
    from snnc import api
    from snnc.api.gathering import gather
    from snnc.measure import page
    from snnc.measure.pictures import picture_format
    from snnc.simulate.ann import load_model

    target = output or f"{net.removesuffix('.onnx').removesuffix('.snn')}.{picture}.png"
    reports.check_outputs(console, None, inputs=[net, ann, data], pictures=[target])
    file = api.open_converted(net)
    opponent = None if ann is None else load_model(ann)
    if ann is not None and opponent is not None:
        api.require_same_network(file, opponent, ann)
    dataset = options.load_data_for(console, file, data, form, samples=samples)
    whats = (page.PICTURES[picture].what,)
    model = api.SpikingModel.load(net)
    found = gather(model, file, dataset, opponent, whats=whats, threads=threads, progress=console.progress)
    console.write(target, page.picture(picture, found, picture_format(target), dark=dark))
    console.report({})
