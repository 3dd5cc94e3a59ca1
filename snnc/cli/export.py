"""`snnc export`: a converted network in the form of others."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import click

from snnc.cli import exported_c, exported_graded, options, reports
from snnc.cli.console import Console

if TYPE_CHECKING:
    from snnc.api.exporting import NirExport

#: The targets of `snnc.export.nir_targets`, named here so that `snnc --help` is quick.
NIR_TARGETS = ("generic", "norse", "snntorch", "spyx")


@click.command(short_help="Write a converted network for other simulators.")
@click.argument("net", type=options.EXISTING, metavar="NET.snn.onnx")
@click.option("--nir", "target", type=click.Choice(NIR_TARGETS), help="Write a graph of NIR, as this one reads it.")
@click.option("--c", "as_c", is_flag=True, help="Write C for microcontrollers into a folder.")
@click.option("--graded", is_flag=True, help="Write the network as one sweep for each frame, in ONNX.")
@click.option(
    "-o",
    "--output",
    required=True,
    type=options.OUTPUT_OR_FOLDER,
    metavar="FILE",
    help="The file to write; with --c the folder.",
)
@click.option("--name", metavar="NAME", help="Beginning of the names of the C.  [default: net]")
@click.option(
    "--most-steps",
    type=int,
    metavar="T",
    help="Steps that the C will run at most; fewer may take less memory. Networks of the method exact have room for "
    "any number.  [default: those that the file allows]",
)
@click.option("--data", "data", metavar="DATA", help="Samples of the check.  [default: smooth random images]")
@click.option("--samples", type=click.IntRange(min=1), metavar="N", help="Take N of them, evenly spread.  [default: 4]")
@click.option("--steps", type=int, metavar="T", help="Number of steps of the check.  [default: that of the file]")
@click.option("--seed", type=int, help="Seed of the input spikes.  [default: that of the file]")
@click.option(
    "--record",
    "recording",
    type=options.OUTPUT,
    metavar="R.nir",
    help="Write the input and the spikes of all neurons in the check as NIR data.",
)
@click.option(
    "--simulator",
    type=options.EXISTING,
    metavar="PYTHON",
    help="The Python interpreter that has the target's simulator.  [default: this one]",
)
@click.option(
    "--timeout", type=click.IntRange(min=1), metavar="SECONDS", help="How long that one may take.  [default: 600]"
)
@options.stored_form
@reports.json_report
@options.verbosity
@click.pass_obj
def export(
    console: Console,
    /,
    net: str,
    target: str | None,
    as_c: bool,
    graded: bool,
    output: str,
    name: str | None,
    most_steps: int | None,
    data: str | None,
    samples: int | None,
    steps: int | None,
    seed: int | None,
    recording: str | None,
    simulator: str | None,
    timeout: int | None,
    json_file: str | None,
    **form: Any,
) -> None:
    """Write NET.snn.onnx for another simulator, and check there that every spike is the same; as C for
    microcontrollers; or as one sweep over the layers for each frame.

    What cannot be computed there is refused, all at once; a check that fails writes nothing.

    \b
    snnc export net.snn.onnx --nir generic -o net.nir
    snnc export net.snn.onnx --c -o net
    snnc export exact.snn.onnx --graded -o net.graded.onnx
    """
    from snnc import api
    from snnc.api.exporting import SAMPLES
    from snnc.export.nir_check import TIMEOUT

    if as_c + graded + (target is not None) > 1:
        raise click.UsageError("--nir, --c and --graded are different forms: ask for one")
    of_nir = {"steps": steps, "seed": seed, "record": recording, "simulator": simulator, "timeout": timeout}
    of_c = {"name": name, "most-steps": most_steps}
    if as_c:
        exported_c.refuse_others({"data": data, "samples": samples}, "--nir and --graded")
        exported_c.refuse_others({**of_nir, "layout": form["layout"]}, "--nir")
        reports.check_outputs(console, json_file, [], [net])
        exported_c.export_c(console, net, output, name, most_steps, form)
        return
    if graded:
        exported_c.refuse_others(of_nir, "--nir")
        exported_c.refuse_others(of_c, "--c")
        reports.check_outputs(console, json_file, [output], [net, data])
        if data is None:
            options.refuse_data_form(form)
        exported_graded.export_graded(console, net, output, data, samples, form)
        return
    if target is None:
        raise click.UsageError("say what to write: --nir TARGET, --c or --graded")
    if target == NIR_TARGETS[0] and simulator is not None:
        raise click.UsageError("--simulator belongs to the other targets: generic has none")
    if timeout is not None and simulator is None:
        raise click.UsageError("--timeout is about --simulator, which is not given")
    exported_c.refuse_others(of_c, "--c")
    reports.check_outputs(console, json_file, [output, recording], [net, data])
    if data is None:
        options.refuse_data_form(form)
    samples = SAMPLES if samples is None else samples
    file = api.open_converted(net)
    dataset = None if data is None else options.load_data_for(console, file, data, form, samples=samples)
    found = api.export_nir(
        net,
        target,
        data=dataset,
        samples=samples,
        steps=steps,
        seed=seed,
        simulator=simulator,
        timeout=TIMEOUT if timeout is None else timeout,
    )
    console.lines(_lines(found, target))
    console.write(output, found.content)
    if recording:
        console.write(recording, found.data)
    console.report(export_document(net, target, found))


def _lines(found: NirExport, target: str) -> list[str]:
    check, network = found.check, found.network
    spikes, samples = f"{check.spikes:,} spike{'' if check.spikes == 1 else 's'}", f"{check.samples:,}"
    lines = [
        f"NIR for {target}: {len(network.graph.nodes)} nodes, {len(network.graph.edges)} edges",
        f"checked: all {spikes} of {len(network.neurons)} layers are the same in {' and in '.join(check.by)}",
        f"({samples} sample{'' if check.samples == 1 else 's'}, {check.steps} steps)",
    ]
    if check.steps > network.exact_steps:
        lines.append(
            f"float32 has every potential of any input for {network.exact_steps} steps, and those up to "
            f"{network.exact_potential:,.0f}; here they reached {check.largest:,.0f}"
        )
    if check.without:
        lines.append(f"not checked in {target} itself: {check.without}")
    if check.silent:
        lines.append(f"no spike in {', '.join(check.silent)}: give --data, or more --steps, to check these")
    return lines


def export_document(net: str, target: str, found: NirExport) -> dict[str, Any]:
    """What `--json` writes (docs/cli.md)."""
    check, network = found.check, found.network
    return {
        "model": net,
        "target": target,
        "nodes": {name: type(node).__name__ for name, node in network.graph.nodes.items()},
        "layers": network.neurons | network.readouts,
        "check": {
            "by": list(check.by),
            "without": check.without,
            "samples": check.samples,
            "steps": check.steps,
            "spikes": check.spikes,
            "silent": check.silent,
            "largest_potential": check.largest,
            "exact_potential": network.exact_potential,
            "exact_steps": network.exact_steps,
        },
    }
