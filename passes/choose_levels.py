"""Give every neuron its levels: those that the user wants of a layer, or the fewest that lose little accuracy.

Takes and gives level SPIKING. Neurons that are no staircases, and those with steps of their own, have none to choose:

1. the layers that `--levels` names are there, and have levels to choose (SNN405);
2. where `--target-drop` is given: for every number of levels of `CANDIDATES`, in ascending order, a copy of the network
   gets its thresholds, by the passes that follow here up to level FUSED, and its quantised ANN
   (`snnc.emit.quantised`) classifies the samples held back, until one meets the target (`snnc.measure.target`). No
   spike is needed for that: they would come to the same counts. The first one becomes the option `levels`, and the
   limits of all counts follow.
"""

from __future__ import annotations

import dataclasses
import difflib

import numpy as np
import onnx_graphsurgeon as gs

from snnc.diagnostics import fail
from snnc.emit.quantised import quantised_network
from snnc.ir.conversion import Conversion, Level, Pass
from snnc.ir.trees import neurons
from snnc.measure.outputs import predictions
from snnc.measure.target import Classifier, choose
from snnc.measure.trials import trial
from snnc.runtime.session import largest_batch, make_session

CANDIDATES = (1, 2, 3, 4, 6, 8, 12, 16, 24, 32, 48, 64, 96, 128)
_SHOWN = 6


def run(conversion: Conversion) -> None:
    _check_layers(conversion)
    if conversion.options.target_drop is None:
        return
    if all("value" in node.attrs for node in neurons(conversion.graph)):
        message = "target_drop chooses the levels, and all layers have steps of their own"
        fail("SNN405", message, hint="leave it away: nothing is quantised that is not already")

    def build(levels: int, share: tuple[float, float]) -> Classifier:
        _set_levels(conversion.graph, levels)
        return _classifier(trial(conversion, PASS, f"{levels} levels", share, measured=False, levels=levels))

    levels = choose(conversion, "levels", CANDIDATES, build)
    _set_levels(conversion.graph, levels)
    conversion.options = dataclasses.replace(conversion.options, levels=levels)


def _check_layers(conversion: Conversion) -> None:
    """SNN405 for every layer with levels that there is not, or that cannot have them."""
    own = {node.name: "value" in node.attrs for node in neurons(conversion.graph)}
    for name, _ in conversion.options.layer_levels:
        if name not in own:
            near = difflib.get_close_matches(name, own, n=1)
            some = [repr(layer) for layer in own][:_SHOWN]
            hint = f"did you mean {near[0]!r}?" if near else f"layers are {', '.join(some)}"
            hint += ", ..." if not near and len(own) > _SHOWN else ""
            conversion.diagnostics.report("SNN405", f"levels: there is no layer {name!r}", hint=hint)
        elif own[name]:
            hint = "leave it away: it is quantised as the network says"
            conversion.diagnostics.report("SNN405", f"levels: {name!r} has steps of its own", hint=hint)
    conversion.diagnostics.raise_errors()


def _set_levels(graph: gs.Graph, levels: int) -> None:
    """Let counts end at so many levels, on the sides of 0 that they have."""
    for node in neurons(graph):
        if "value" not in node.attrs:
            node.attrs |= {name: int(np.sign(node.attrs[name])) * levels for name in ("low", "high")}


def _classifier(conversion: Conversion) -> Classifier:
    """The quantised ANN of the network (level FUSED)."""
    model = quantised_network(conversion.graph)
    output, session = conversion.graph.outputs[0].name, make_session(model.SerializeToString())
    pixels = model.graph.input[0].name

    def classes(images: np.ndarray, first_sample: int) -> np.ndarray | None:
        return predictions(session.run([output], {pixels: images})[0])

    sources = [layer for layer in conversion.report.layers if layer.kind != "readout"]
    return Classifier(classes, largest_batch(sources), conversion.progress)


PASS = Pass("choose_levels", Level.SPIKING, Level.SPIKING, run)
