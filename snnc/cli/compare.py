"""`snnc compare`: a converted network against its ANN, layer by layer."""

from __future__ import annotations

from typing import Any

import click

from snnc.cli import options, reports
from snnc.cli.console import Console


@click.command(short_help="Show what each layer loses against the ANN, and to what.")
@click.argument("net", type=options.EXISTING, metavar="NET.snn.onnx")
@click.option("--ann", type=options.EXISTING, required=True, metavar="NET.onnx", help="The network it was made of.")
@click.option("--data", "data", required=True, metavar="DATA", help="Samples; labels are not needed.")
@click.option(
    "--steps",
    type=click.IntRange(min=1),
    metavar="T",
    help="Number of steps.  [default: that of the file; of the method exact until it is quiet]",
)
@click.option("--samples", type=click.IntRange(min=1), metavar="N", help="Take N samples, evenly spread over DATA.")
@click.option("--seed", type=int, help="Seed of the input spikes.  [default: that of the file]")
@options.stored_form
@reports.json_report
@click.option("--plot", type=options.OUTPUT, metavar="FILE.png", help="Draw the parts of every layer's error.")
@reports.dark
@options.threads
@options.verbosity
@click.pass_obj
def compare(
    console: Console,
    /,
    net: str,
    ann: str,
    data: str,
    steps: int | None,
    samples: int | None,
    seed: int | None,
    json_file: str | None,
    plot: str | None,
    dark: bool,
    threads: int | None,
    **form: Any,
) -> None:
    """Split the error of every layer of NET.snn.onnx on DATA into what came with its inputs, clipping, quantisation and
    timing.

    \b
    snnc compare net.snn.onnx --ann net.onnx --data mnist.npz:test --samples 200
    """
    from snnc import api
    from snnc.measure.budget_report import budget_notes, budget_table, draw_budget
    from snnc.measure.pictures import picture_format
    from snnc.simulate.ann import load_model

    theme = reports.theme(dark, plot)
    reports.check_outputs(console, json_file, inputs=[net, ann, data], pictures=[plot])
    file = api.open_converted(net)
    opponent = load_model(ann)
    api.require_same_network(file, opponent, ann)
    dataset = options.load_data_for(console, file, data, form, samples=samples)
    budget = api.error_budget(
        net,
        opponent,
        dataset,
        steps=steps,
        seed=seed,
        threads=threads,
        progress=lambda share: console.progress("comparing layer by layer", share),
    )
    console.result(budget_table(budget))
    console.result(budget_notes(budget))
    if plot:
        console.write(plot, draw_budget(budget, title=net, form=picture_format(plot), theme=theme))
    console.report({"model": net, "ann": ann, "data": dataset.name, **budget.to_json()})
