"""The example that comes with a program: main.c, and its sample."""

from __future__ import annotations

from typing import Any

import numpy as np

from snnc.export.c.inputs import QUOTA_BITS, described
from snnc.export.c.program import Program
from snnc.export.c.sample import Sample
from snnc.export.c.text import lines, numbers, text_literal

_SETTLING_STEP = """\
        if ({name}_step(&net, input) == 0) {{
            break; /* it has settled */
        }}
"""


def sample_text(program: Program, sample: Sample) -> str:
    upper = program.name.upper()
    kept = [
        f"/* An input of {program.name}, and what snnc found: see main.c. */",
        f"#define SAMPLE_STEPS {sample.steps}",
        f"#define SAMPLE_SEED UINT64_C({sample.seed % 2**64})",
        f"static const {_sample_type(program)[0]} sample[{upper}_INPUTS] = {numbers(sample.values)};",
        f"static const uint32_t sample_spikes[{upper}_LAYERS] = {numbers(np.array(sample.spikes, np.int64))};",
    ]
    for readout, sums in zip(program.readouts, sample.sums, strict=True):
        kept.append(f"static const int64_t sample_{readout.state.name}[{sums.size}] = {numbers(sums)};")
    return lines(kept)


def _sample_type(program: Program) -> tuple[str, int, int, str]:
    given = program.input
    if given.pixels is not None:
        return "uint8_t", 0, 255, f"pixels p, of which the network sees {described(given.prepared)}"
    if given.coding == "poisson":
        return "int32_t", -(2**QUOTA_BITS), 2**QUOTA_BITS, "quotas"
    return given.ctype, given.low, given.high, "numbers of the encoder"


def example_places(program: Program, sample: Sample) -> dict[str, Any]:
    name, given = program.name, program.input
    ctype, low, high, what = _sample_type(program)
    once = each = ""
    if given.coding == "poisson":
        function = f"{name}_draw{'_pixels' if given.pixels is not None else ''}"
        each = f"        {function}(values, SAMPLE_SEED, 0, step, input);\n"
    elif given.pixels is not None:
        once = f"    {name}_encode_pixels(values, input);\n"
    else:
        once = "    memcpy(input, values, sizeof input);\n"
    printed = "".join(
        f"    for (i = 0; i < {name.upper()}_{readout.state.name.upper()}_SIZE; i++) {{\n"
        f"        const int64_t sum = net.{readout.state.name}[i];\n"
        f'        printf("{readout.state.name}[%lu] = %" PRId64 "\\n", (unsigned long)i, sum);\n'
        f"        different |= sum != sample_{readout.state.name}[i];\n    }}\n"
        for readout in program.readouts
    )
    return {
        "steps": sample.steps,
        "what": what,
        "layer_names": ", ".join(text_literal(layer) for layer, _, _ in program.layers),
        "sample_type": ctype,
        "sample_low": low,
        "sample_high": high,
        "encode_once": once,
        "encode": each,
        "step": _SETTLING_STEP.format(name=name) if program.settles else f"        {name}_step(&net, input);\n",
        "print_outputs": printed,
    }
