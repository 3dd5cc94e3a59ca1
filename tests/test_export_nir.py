"""Networks as NIR: what is written has the network's spikes, and what a target cannot have is refused."""

from __future__ import annotations

import io
import os
import signal
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import networks
import nir
import numpy as np
import onnx
import pytest
from commands import Invoke, refuse
from hypothesis import given, settings
from hypothesis import strategies as st

import snnc
from snnc.diagnostics import Diagnostic, DiagnosticError
from snnc.export import nir_check
from snnc.export.nir_graph import NirNetwork, nir_network
from snnc.export.nir_interpreter import Interpreter
from snnc.export.nir_targets import TARGETS
from snnc.files import ConvertedFile
from snnc.ir.domain import DOMAIN

STEPS = 24


def file_of(net: networks.Network | onnx.ModelProto, **choices: Any) -> ConvertedFile:
    """A converted file, with soft reset unless `choices` say otherwise."""
    model = net if isinstance(net, onnx.ModelProto) else net.model()
    emitted = networks.emit(model, **choices).emitted
    assert emitted is not None
    return ConvertedFile(emitted, "net.snn.onnx")


def written(file: ConvertedFile, target: str, steps: int = STEPS) -> tuple[NirNetwork, bytes]:
    network = nir_network(file.calibrated(), TARGETS[target], steps=steps, name=file.name)
    buffer = io.BytesIO()
    nir.write(buffer, network.graph)
    return network, buffer.getvalue()


def trains(file: ConvertedFile, steps: int = STEPS) -> nir_check.Trains:
    images = np.random.default_rng(3).normal(0.2, 0.7, (2, *file.input_dims)).astype(np.float32)
    return nir_check.trains_of(file, images, steps, 0)


def chain(*, bias: bool = False, kernel: int = 3) -> networks.Network:
    """Convolution, pooling, dense layers; inputs `[N, 2, 6, 6]`."""
    net = networks.Network((2, 6, 6), np.random.default_rng(4))
    net.convolve(4, kernel, 1, 1, 1, 1, bias)
    net.then("Relu")
    net.average(2, 2, 0, False)
    net.convolve(3, 2, 1, 0, 1, 1, False)
    net.then("Relu")
    net.dense(4, False)
    net.then("Relu")
    net.dense(3, False)
    net.output()
    return net


#: A network that a target can have, by target.
POSSIBLE: dict[str, dict[str, Any]] = {
    "generic": {"reset": "soft", "v_init": 0.5},
    "norse": {"reset": "hard"},
    "snntorch": {"reset": "hard", "weight_bits": 16},
    "spyx": {"reset": "soft"},
}


# --- what is written --------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("target", "choices"), POSSIBLE.items())
def test_the_graph_has_the_spikes_of_the_network(target: str, choices: Mapping[str, Any]) -> None:
    file = file_of(chain(), **choices)
    found = nir_check.check(*written(file, target), trains(file))
    assert found.by == ("snnc's own interpreter of NIR",)
    assert found.spikes > 100
    assert found.silent == []


@given(st.one_of(networks.models(), networks.fusable()), networks.options())
@settings(max_examples=25, deadline=None)
def test_any_network_is_exported_with_its_spikes_or_refused(model: onnx.ModelProto, choices: dict[str, Any]) -> None:
    file = file_of(model, **{**choices, "leak": 0, "neurons": None})
    did = trains(file)
    for target in TARGETS:
        found: list[Diagnostic] = []
        try:
            network, content = written(file, target)
        except DiagnosticError as error:
            found = error.diagnostics
        assert {each.rule.code for each in found} <= {"SNN420"}
        assert all(each.node and each.op and each.shape for each in found)
        if not found:
            nir_check.check(network, content, did)


def test_hard_reset_is_an_if_that_counts_from_its_start() -> None:
    file = file_of(chain(), reset="hard", v_init=0.5)
    network, content = written(file, "generic")
    graph = nir.read(io.BytesIO(content))
    neurons = [graph.nodes[name] for name in network.neurons.values()]
    assert [type(neuron) for neuron in neurons] == [nir.IF] * 3
    for neuron, node in zip(neurons, (node for node in file.calibrated().nodes if node.op == "IF"), strict=True):
        theta = np.broadcast_to(node.inputs[1].values, neuron.v_threshold.shape)
        assert np.array_equal(neuron.v_threshold, theta / 2 - 0.5)
        assert np.array_equal(neuron.v_reset, -theta / 2)
        assert neuron.metadata["layer"] in (node.name, node.name.encode())


def test_soft_reset_is_a_loop() -> None:
    network, content = written(file_of(chain(), reset="soft"), "generic")
    graph = nir.read(io.BytesIO(content))
    for spikes in network.neurons.values():
        (reset,) = [end for start, end in graph.edges if start == spikes and isinstance(graph.nodes[end], nir.Scale)]
        (potential,) = [end for start, end in graph.edges if start == reset]
        assert isinstance(graph.nodes[potential], nir.I)
        assert (potential, spikes) in graph.edges
        assert np.array_equal(graph.nodes[reset].scale, -graph.nodes[spikes].threshold - 0.5)


def test_inputs_that_are_no_spikes_are_integers_of_every_step() -> None:
    file = file_of(chain(bias=True), coding="direct", **POSSIBLE["snntorch"])
    did = trains(file)
    assert np.abs(did.given).max() > 1
    assert (did.given == did.given[:1]).all()
    assert nir_check.check(*written(file, "snntorch"), did).spikes > 0


def test_the_outputs_say_what_they_are_worth() -> None:
    file = file_of(networks.small(hidden_output=False), reset="hard")
    network, content = written(file, "generic")
    output = nir.read(io.BytesIO(content)).nodes["output"]
    did = trains(file)
    (layer,) = network.readouts
    value = output.metadata["scale"] * did.potentials[layer] / STEPS + output.metadata["bias"]
    images = np.random.default_rng(3).normal(0.2, 0.7, (2, *file.input_dims)).astype(np.float32)
    expected = snnc.runtime.SpikingSession(file.model.SerializeToString()).run(images, STEPS).logits
    assert np.allclose(value, expected, rtol=1e-6)


def test_names_have_neither_slashes_nor_dots() -> None:
    net = chain()
    for node in net.nodes:
        node.name = f"/0.{node.name}"
    network, content = written(file_of(net, **POSSIBLE["snntorch"]), "snntorch")
    assert all(name.isidentifier() for name in nir.read(io.BytesIO(content)).nodes)
    assert list(network.neurons) == [node.name for node in net.nodes if node.op_type == "Relu"]


# --- what is refused --------------------------------------------------------------------------------------------------


def pooled() -> networks.Network:
    net = chain()
    net.nodes[2].op_type = "MaxPool"
    del net.nodes[2].attribute[[each.name for each in net.nodes[2].attribute].index("count_include_pad")]
    return net


def late_bias() -> networks.Network:
    net = networks.Network((4,), np.random.default_rng(1))
    net.dense(5, True)
    net.then("Relu")
    net.dense(5, True)
    net.then("Relu")
    net.dense(2, False)
    net.output()
    return net


DELAYED = {"method": "low-latency", "calib_steps": None, "delay": 2}
REFUSED = {
    "norse subtracts nothing": ("norse", chain, {"reset": "soft"}, "it has soft reset", 3),
    "snntorch subtracts nothing": ("snntorch", chain, {"reset": "soft"}, "it has soft reset", 3),
    "spyx resets nothing": ("spyx", chain, {"reset": "hard"}, "it has hard reset", 3),
    "another start": ("norse", chain, {"reset": "hard", "v_init": 0.5}, "starts at 0.5 thresholds", 3),
    "a leak": ("generic", chain, {"leak": 3}, "it leaks floor(V / 2^3)", 3),
    "a delay": ("generic", chain, DELAYED, "it integrates from step 3 on", 1),
    "max-pooling": ("generic", pooled, {}, "NIR has no node for it", 1),
    "own thresholds": ("snntorch", chain, {"reset": "hard", "per_channel": True}, "thresholds of their own", 3),
    "branches": ("spyx", lambda: networks.small(hidden_output=False), {}, "here it branches", 3),
    "late biases": ("spyx", late_bias, {}, "1 step later", 1),
    "two outputs": ("snntorch", networks.small, POSSIBLE["snntorch"], "graphs of one output", 1),
}


@pytest.mark.parametrize(("target", "net", "choices", "message", "times"), REFUSED.values(), ids=REFUSED)
def test_what_a_target_cannot_have_is_refused_all_at_once(
    target: str, net: Any, choices: dict[str, Any], message: str, times: int
) -> None:
    with pytest.raises(DiagnosticError) as caught:
        written(file_of(net(), **choices), target)
    found = [each for each in caught.value.diagnostics if message in each.message]
    assert {each.rule.code for each in caught.value.diagnostics} == {"SNN420"}
    assert len(found) == times
    assert all(each.node and each.op and each.shape and (each.hint or each.rule.hint) for each in found)


def test_thresholds_beyond_float32_are_refused() -> None:
    file = file_of(chain(), max_steps=64)
    graph = file.calibrated()
    neuron = next(node for node in graph.nodes if node.op == "RMP")
    neuron.inputs[1].values = np.full_like(neuron.inputs[1].values, 2**20)
    with pytest.raises(DiagnosticError, match=r"SNN420.*float32 has no 0.03125 beside its threshold of 1048576"):
        nir_network(graph, TARGETS["spyx"], steps=STEPS, name="")
    nir_network(graph, TARGETS["spyx"], steps=7, name="")


def test_networks_that_settle_are_refused() -> None:
    model = snnc.convert(chain().model(), method="exact", calib=networks.images_for(chain().model()), accept_poor=True)
    with pytest.raises(DiagnosticError, match=r"SNN420.*its neurons take spikes back"):
        snnc.export_nir(model)


# --- the check --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("change", ["weight", "threshold", "reset"])
def test_another_graph_is_found_out(change: str) -> None:
    file = file_of(chain(), reset="hard")
    network, _ = written(file, "generic")
    neuron = network.graph.nodes[list(network.neurons.values())[1]]
    if change == "weight":
        next(node for node in network.graph.nodes.values() if isinstance(node, nir.Conv2d)).weight[0, 0] += 2**10
    elif change == "threshold":
        neuron.v_threshold += 2**12
    else:
        neuron.v_reset -= 2**12
    buffer = io.BytesIO()
    nir.write(buffer, network.graph)
    with pytest.raises(DiagnosticError, match=r"SNN421.*fires otherwise in step"):
        nir_check.check(network, buffer.getvalue(), trains(file))


def test_a_readout_that_differs_is_found_out() -> None:
    file = file_of(chain(), reset="hard")
    network, _ = written(file, "generic")
    last = [node for node in network.graph.nodes.values() if isinstance(node, nir.Linear)][-1]
    last.weight += 1
    buffer = io.BytesIO()
    nir.write(buffer, network.graph)
    with pytest.raises(DiagnosticError, match=r"SNN421.*the output .* is another one"):
        nir_check.check(network, buffer.getvalue(), trains(file))


def test_a_simulator_that_cannot_run_is_an_error(tmp_path: Path) -> None:
    file = file_of(chain(), reset="hard")
    network, content = written(file, "norse")
    with pytest.raises(DiagnosticError, match=r"SNN422.*cannot be run"):
        nir_check.check(network, content, trains(file), str(tmp_path / "nowhere"))
    python = tmp_path / "python"
    python.write_text("#!/bin/sh\necho 'no such module' >&2\nexit 1\n")
    python.chmod(0o755)
    with pytest.raises(DiagnosticError, match=r"SNN422.*no such module"):
        nir_check.check(network, content, trains(file), str(python))


_STARTS_ANOTHER = "#!/bin/sh\nsleep 600 &\necho $! > {pids}\necho $$ >> {pids}\nwait\n"


@pytest.fixture
def hanging(tmp_path: Path) -> tuple[Path, Path]:
    """A simulator that does nothing, as a script that starts another program; and where their numbers are."""
    python, pids = tmp_path / "python", tmp_path / "pids"
    python.write_text(_STARTS_ANOTHER.format(pids=pids))
    python.chmod(0o755)
    return python, pids


def still_running(pids: Path) -> list[str]:
    """Those of the processes that have not ended."""
    return [pid for pid in pids.read_text().split() if (found := state_of(int(pid))) and found not in "ZX"]


def state_of(pid: int) -> str:
    """The letter of `ps`; "" where there is no such process."""
    shown = subprocess.run(["ps", "-o", "stat=", "-p", str(pid)], capture_output=True, text=True, check=False).stdout
    return shown.strip()[:1]


def test_a_simulator_that_hangs_is_ended(hanging: tuple[Path, Path]) -> None:
    python, pids = hanging
    network, content = written(file_of(chain(), reset="hard"), "norse")
    with pytest.raises(DiagnosticError, match=r"SNN422.*was not done within 1 s, and was ended") as caught:
        nir_check.check(network, content, trains(file_of(chain(), reset="hard")), str(python), 1)
    assert "`--timeout SECONDS`" in caught.value.diagnostics[0].hint
    assert len(pids.read_text().split()) == 2
    assert not still_running(pids)


def test_an_interruption_ends_the_simulator_too(hanging: tuple[Path, Path], converted: Path, tmp_path: Path) -> None:
    python, pids = hanging
    command: list[str | Path] = [
        sys.executable,
        "-m",
        "snnc",
        "export",
        converted,
        "--nir",
        "norse",
        "-o",
        tmp_path / "net.nir",
    ]
    with subprocess.Popen([*command, "--simulator", python], stderr=subprocess.PIPE, text=True) as process:
        while process.poll() is None and (not pids.exists() or pids.read_text().count("\n") < 2):
            time.sleep(0.02)
        process.send_signal(signal.SIGINT)
        said = process.communicate(timeout=60)[1]
    assert process.returncode == 130
    assert said.endswith("error: interrupted; nothing was written\n")
    assert not still_running(pids)
    assert not (tmp_path / "net.nir").exists()


# --- the network inside the file --------------------------------------------------------------------------------------


def test_files_without_the_network_are_refused() -> None:
    file = file_of(chain())
    (entry,) = [entry for entry in file.model.metadata_props if entry.key == "snnc.network"]
    content, entry.value = entry.value, "no base64"
    with pytest.raises(DiagnosticError, match=r"SNN402.*is damaged"):
        ConvertedFile(file.model, "net").calibrated()
    entry.value = content[: len(content) // 2]
    with pytest.raises(DiagnosticError, match=r"SNN402.*is damaged"):
        ConvertedFile(file.model, "net").calibrated()
    entry.key = "other"
    with pytest.raises(DiagnosticError, match=r"SNN402.*older"):
        ConvertedFile(file.model, "net").calibrated()


def test_the_network_in_the_file_is_the_calibrated_graph() -> None:
    conversion = networks.emit(networks.small().model(), reset="hard")
    assert conversion.emitted is not None
    graph = ConvertedFile(conversion.emitted, "net").calibrated()
    layers = [node for node in conversion.graph.nodes if node.domain == DOMAIN or node.op in ("Conv", "Gemm", "Add")]
    assert [node.name for node in graph.nodes if node.op != "Reshape"] == [node.name for node in layers]
    for node, expected in zip((node for node in graph.nodes if node.op != "Reshape"), layers, strict=True):
        for tensor, other in zip(node.inputs, expected.inputs, strict=True):
            assert np.array_equal(getattr(tensor, "values", 0), getattr(other, "values", 0)), node.name


# --- the command ------------------------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def converted(tmp_path_factory: pytest.TempPathFactory) -> Path:
    path = tmp_path_factory.mktemp("export") / "net.snn.onnx"
    path.write_bytes(file_of(chain(), reset="hard", steps=STEPS).model.SerializeToString())
    return path


def test_the_command_writes_graph_and_data(converted: Path, invoke: Invoke, tmp_path: Path) -> None:
    graph, data = tmp_path / "net.nir", tmp_path / "spikes.nir"
    result = invoke("export", converted, "--nir", "generic", "--record", data, "-o", graph, "--seed", "5")
    assert "are the same in snnc's own interpreter of NIR" in result.stdout
    assert isinstance(nir.read(graph), nir.NIRGraph)
    nodes = nir.read_data(str(data)).nodes
    first = nodes["Relu_1"].observables["spikes"]
    assert first.data.shape == (4, STEPS, 4 * 6 * 6)
    assert first.data.dtype == bool
    assert set(np.unique(nodes["input"].observables["spikes"].data)) <= {-1, 0, 1}
    step = Interpreter(nir.read(graph))
    for t in range(STEPS):
        given = nodes["input"].observables["spikes"].data[:, t].reshape(4, 2, 6, 6)
        fired = step.step(given)["Relu_1"].reshape(4, -1)
        assert np.array_equal(fired, first.data[:, t])


def test_the_command_refuses_and_leaves_nothing(
    converted: Path, invoke: Invoke, tmp_path: Path, monkeypatch: Any
) -> None:
    monkeypatch.chdir(tmp_path)
    refuse(invoke, "SNN420", "export", converted, "--nir", "spyx", "-o", "net.nir")
    refuse(invoke, "SNN101", "export", "/dev/null", "--nir", "spyx", "-o", "net.nir")
    refuse(invoke, "SNN401", "export", converted, "--nir", "norse", "-o", "nowhere/net.nir")
    assert "--nir TARGET" in invoke("export", converted, "-o", "net.nir", exit_code=2).stderr
    alone = ("export", converted, "--nir", "norse", "-o", "net.nir", "--timeout", "5")
    assert "--timeout is about --simulator" in invoke(*alone, exit_code=2).stderr
    monkeypatch.setitem(__import__("sys").modules, "nir", None)
    result = refuse(invoke, "SNN407", "export", converted, "--nir", "generic", "-o", "net.nir")
    assert "pip install 'snnc[nir]'" in result.stderr


def test_unknown_targets_and_no_samples_are_refused(converted: Path) -> None:
    with pytest.raises(DiagnosticError, match=r"SNN405.*'sinabs'"):
        snnc.export_nir(converted, "sinabs")
    with pytest.raises(DiagnosticError, match=r"SNN405.*at least 1"):
        snnc.export_nir(converted, samples=0)
    with pytest.raises(DiagnosticError, match=r"SNN405.*at least 1 second"):
        snnc.export_nir(converted, timeout=0)


# --- other simulators -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("target", ["norse", "snntorch", "spyx"])
def test_the_simulators_of_others_have_the_same_spikes(target: str, tmp_path: Path) -> None:
    """In the interpreter that SNNC_PEERS_PYTHON names (docs/exchange.md)."""
    python = os.environ.get("SNNC_PEERS_PYTHON")
    if not python:
        pytest.skip("SNNC_PEERS_PYTHON names no interpreter")
    if subprocess.run([python, "-c", f"import nir, {target}"], capture_output=True, check=False).returncode:
        pytest.skip(f"{python} has no {target}")
    nets: list[tuple[networks.Network, dict[str, Any]]] = [(chain(kernel=2), {})]
    nets.append((networks.perceptron([6, 5]), {}))
    if target == "snntorch":
        nets.append((networks.small(hidden_output=False), {}))
    if target != "spyx":
        nets.append((chain(bias=True), {"coding": "direct"}))
    for net, choices in nets:
        path = tmp_path / "net.snn.onnx"
        path.write_bytes(file_of(net, **POSSIBLE[target], **choices).model.SerializeToString())
        images = networks.images_for(net.model(), 3)
        found = snnc.export_nir(path, target, data=images, steps=STEPS, simulator=python)
        assert found.check.by[0].startswith(f"{target} ")
        assert found.check.spikes > 20
