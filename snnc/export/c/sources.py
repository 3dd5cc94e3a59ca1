"""The files of a program: net.h, net.c, net_weights.h and .c, net_float.h, an example with its sample, a Makefile."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import snnc
from snnc.export.c.example import example_places, sample_text
from snnc.export.c.inputs import described, runs_of
from snnc.export.c.integers import BYTES
from snnc.export.c.kernels import functions, instance, named, template
from snnc.export.c.program import Call, Constant, Memory, Program, Statement, Step, Trace, shown
from snnc.export.c.sample import Sample
from snnc.export.c.text import WIDTH, filled, float_number, lines, numbers


def sources(program: Program, sample: Sample, network: str, seed: int, steps: int) -> dict[str, str]:
    """The text of every file by its name; `steps` and `seed` are those of the file called `network`."""
    name = program.name
    places = _places(program, network, seed, steps)
    found = {
        f"{name}.h": filled("header.h", places),
        f"{name}.c": _program_text(program, places),
        f"{name}_weights.h": _weights_header(program),
        f"{name}_weights.c": _weights(program),
        f"{name}_float.h": _float_header(program, places),
        f"{name}_sample.h": sample_text(program, sample),
        "main.c": filled("main.inc", places | example_places(program, sample)),
        "Makefile": filled("makefile.inc", places),
    }
    return {path: text.rstrip() + "\n" for path, text in found.items()}


def _places(program: Program, network: str, seed: int, steps: int) -> dict[str, Any]:
    given, name, upper = program.input, program.name, program.name.upper()
    poisson = given.coding == "poisson"
    what = {
        "poisson": "Spikes of the input in one step: 1, -1 or 0.",
        "direct": f"The input as numbers from {given.low} to {given.high}, the same in every step.",
        "charge": f"The input as numbers from {given.low} to {given.high}, which may change from step to step.",
    }[given.coding]
    encode = "draw" if poisson else "encode"
    arguments = ("seed, sample, step, " if poisson else "") + "input"
    usage = f"{name}_{encode}_pixels(pixels, {arguments});" if given.pixels is not None else f"... {encode} the input"
    row = ""
    if given.pixels is not None and given.pixels.values.size > 256:
        row = f"i / {given.count // (given.pixels.values.size // 256)} * 256 + "
    places = {
        "name": name,
        "NAME": upper,
        "network": shown(network),
        "version": snnc.__version__,
        "usage": f" *         {usage}\n *         {name}_step(&net, input);\n",
        "input_shape": " x ".join(map(str, given.shape)),
        "inputs": given.count,
        "steps": steps,
        "seed": seed,
        "room": _room(program),
        "layers": len(program.layers),
        "outputs": _output_comments(program),
        "input_comment": what,
        "input_type": given.ctype,
        "struct_bytes": program.struct_bytes,
        "members": lines(f"    {member}" for member in _members(program)),
        "quiet": ": 0 once the network has settled, as long as its input stays" if program.settles else "",
        "prepared": described(given.prepared),
        "row": row,
    }
    places["encoders"] = "".join(filled(f"{part}.h", places) for part in _encoders(program))
    return places


def _room(program: Program) -> str:
    name = program.name
    if program.most_steps is None:
        return f"/* It settles: potentials have room for any number of steps and of inputs without {name}_start. */\n"
    return (
        f"/* Potentials have room for this many steps; never run more without {name}_start. */\n"
        f"#define {name.upper()}_MOST_STEPS {program.most_steps}\n"
    )


def _encoders(program: Program) -> list[str]:
    pixels = program.input.pixels is not None
    if program.input.coding == "poisson":
        return ["poisson", *["poisson_pixels"] * pixels]
    return ["graded_pixels"] * pixels


def _output_comments(program: Program) -> str:
    found = []
    for readout in program.readouts:
        name, states = program.name, readout.state
        found.append(
            f"/* Output {shown(readout.output)}, {' x '.join(map(str, readout.shape))}: {name}_state.{states.name}. */"
        )
        found.append(f"#define {program.name.upper()}_{states.name.upper()}_SIZE {states.count}")
    return lines(found)


def _members(program: Program) -> Iterator[str]:
    """Members of the struct, large types first: there is no padding between them."""
    for size in sorted(set(BYTES.values()), reverse=True):
        for state in program.states:
            if BYTES[state.ctype] == size:
                yield f"{state.ctype} {state.name}[{state.count}]; /* {shown(state.layer)}: {state.what} */"
        if size == BYTES["uint32_t"]:
            yield "uint32_t steps; /* since the start */"
        for ctype, count in program.scratch_counts.items():
            if BYTES[ctype] == size:
                yield f"{ctype} scratch_{8 * size}[{count}]; /* of a step alone */"


# net.c


def _program_text(program: Program, places: dict[str, Any]) -> str:
    name, upper = program.name, program.name.upper()
    kinds = sorted({shape.kind for shape in program.shapes}, reverse=True)
    starts = [Call("fill", {"WEIGHT": state.start.ctype, "SUM": state.ctype}, ()) for state in _started(program)]
    own = functions(program, others=["philox"] * (program.input.coding == "poisson"), starts=starts)
    parts = [
        f"/* {places['network']} as C: see {name}.h. Written by snnc {snnc.__version__}; do not edit. */\n",
        f'#include "{name}.h"\n#include "{name}_weights.h"\n\n#include <string.h>\n',
        f"#ifdef {upper}_TRACE /* a function that is told of every spike: -D{upper}_TRACE=my_function */\n"
        f"void {upper}_TRACE(int layer, const int8_t *spikes, size_t count);\n"
        f"#define TRACE(layer, spikes, count) {upper}_TRACE(layer, spikes, count)\n#else\n"
        "#define TRACE(layer, spikes, count) ((void)0)\n#endif\n",
        *(named(template(f"{kind}.h"), name) for kind in kinds),
        lines(f"static const {name}_{shape.kind} {shape.name} = {shape.text};" for shape in program.shapes),
        *own,
        _start(program),
        _step(program),
        *(filled(f"{part}.inc", places) for part in _encoders(program)),
    ]
    return "\n".join(part for part in parts if part)


def _started(program: Program) -> list[Any]:
    return [state for state in program.states if state.start is not None]


def _start(program: Program) -> str:
    body = ["memset(net, 0, sizeof *net);"]
    for state in _started(program):
        call = Call("fill", {"WEIGHT": state.start.ctype, "SUM": state.ctype}, ())
        arguments = f"net->{state.name}, {_public(program, state.start)}, {state.start.values.size}, {state.size}"
        body.append(f"{instance(call)}({arguments});")
    return f"void {program.name}_start({program.name}_state *net)\n{{\n{lines(f'    {line}' for line in body)}}}\n"


def _step(program: Program) -> str:
    name = program.name
    body = [f"{piece.ctype} *const {piece.name} = {_address(piece)};" for piece in program.scratch]
    body.append("uint32_t fired = 0;")
    constants = {constant.name: _public(program, constant) for constant in program.constants}
    for step in program.steps:
        body += ["", f"/* {shown(step.layer)}: {step.title} */", *_statements(step, constants)]
    body += ["", "net->steps++;", "return fired;"]
    head = f"uint32_t {name}_step({name}_state *net, const {name}_input input[{name.upper()}_INPUTS])"
    return f"{head}\n{{\n{lines(f'    {line}'.rstrip() for line in body)}}}\n"


def _address(piece: Any) -> str:
    base = f"net->scratch_{8 * BYTES[piece.ctype]}"
    return f"{base} + {piece.offset}" if piece.offset else base


def _statements(step: Step, constants: dict[str, str]) -> list[str]:
    written = [line for statement in step.statements for line in _wrapped(_statement(statement, constants))]
    if not step.after:
        return written
    return [f"if (net->steps >= {step.after}) {{", *(f"    {line}" for line in written), "}"]


def _statement(statement: Statement, constants: dict[str, str]) -> str:
    if isinstance(statement, Memory):
        return f"memset({statement.name}, 0, {statement.count} * sizeof *{statement.name});"
    if isinstance(statement, Trace):
        return f"TRACE({statement.index}, {statement.spikes}, {statement.count});"
    arguments = ", ".join(constants.get(argument, argument) for argument in statement.arguments)
    return f"{'fired += ' if statement.counts_spikes else ''}{instance(statement)}({arguments});"


def _wrapped(line: str) -> list[str]:
    """A call in lines that are not too long."""
    room = WIDTH - 8
    if len(line) <= room:
        return [line]
    cut = line.rfind(", ", 0, room) + 1
    return [line[:cut], *(f"    {part}" for part in _wrapped(line[cut + 1 :]))]


# net_weights


def _public(program: Program, constant: Constant) -> str:
    return f"{program.name}_{constant.name}"


def _weights_header(program: Program) -> str:
    guard = f"{program.name.upper()}_WEIGHTS_H"
    declared = [
        f"extern const {each.ctype} {_public(program, each)}[{each.values.size}]; /* {shown(each.layer)} */"
        for each in program.constants
    ]
    head = (
        f"/* Constants of the network: {program.flash_bytes} bytes, for flash. */\n#ifndef {guard}\n#define {guard}\n"
    )
    return f"{head}\n#include <stdint.h>\n\n{lines(declared)}\n#endif\n"


def _weights(program: Program) -> str:
    head = f'#include "{program.name}_weights.h"\n'
    arrays = [
        f"const {each.ctype} {_public(program, each)}[{each.values.size}] = {numbers(each.values)};\n"
        for each in program.constants
    ]
    return "\n".join([head, *arrays])


# net_float.h


def _float_header(program: Program, places: dict[str, Any]) -> str:
    if program.input.coding == "poisson":
        encode = filled("poisson_float.inc", places | {"scale": float_number(program.input.scale).removesuffix("f")})
    else:
        encode = filled("graded_float.inc", places | _graded_places(program))
    return filled("float.h", places | {"encode": encode, "decode": "\n".join(_decoders(program))})


def _graded_places(program: Program) -> dict[str, Any]:
    given = program.input
    units, origins, size = runs_of(given)
    found: dict[str, Any] = {"low": given.low, "high": given.high, "tables": ""}
    for what, values in (("unit", units), ("origin", origins)):
        if (values == values[0]).all():
            found[what] = float_number(values[0])
            continue
        array = f"{program.name}_{what}"
        written = ", ".join(map(float_number, values))
        found["tables"] += f"static const float {array}[{values.size}] = {{{written}}};\n"
        found[what] = f"{array}[i / {size}]"
    return found


def _decoders(program: Program) -> Iterator[str]:
    name = program.name
    for readout in program.readouts:
        tables, which = "", {}
        for what, values in (("scale", readout.scale), ("bias", readout.bias)):
            array = f"{name}_{what}_of_{readout.state.name}"
            if values.size == 1:
                which[what] = repr(float(values[0]))
            else:
                tables += f"static const double {array}[{values.size}] = {numbers(values)};\n"
                which[what] = f"{array}[i]"
        per_step = ""
        if readout.per_step:
            per_step = f" / ((double)net->steps - {readout.delay})" if readout.delay else " / (double)net->steps"
        when = f" Defined from step {readout.delay + 1} on." if readout.per_step else ""
        value = f"(double)net->{readout.state.name}[i] * {which['scale']}{per_step}"
        if readout.bias.any():
            value += f" + {which['bias']}"
        yield (
            f"{tables}/* Element `i` of output {shown(readout.output)}, in units of the ANN.{when} */\n"
            f"static inline float {name}_value_of_{readout.state.name}(const {name}_state *net, size_t i)\n"
            f"{{\n    return (float)({value});\n}}\n"
        )
