"""The certificate: the quantised ANN inside a file, what finds a difference, and `snnc verify`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import networks
import numpy as np
import onnx
import pytest
from commands import DIGITS, refuse, run_command
from exact_networks import body, compared, converted
from onnx import numpy_helper
from onnx.reference import ReferenceEvaluator

import snnc
from snnc.api import SpikingModel, open_converted, verify
from snnc.data import load
from snnc.diagnostics import DiagnosticError, InternalError
from snnc.emit.embedded import embed, extract
from snnc.emit.quantised import quantised_network
from snnc.passes import certify

NAME = "max-pool and biases"


@pytest.fixture(scope="module")
def model() -> SpikingModel:
    return converted(body(NAME), levels=6)


def test_a_file_carries_its_quantised_network(model: SpikingModel) -> None:
    """The weights are there once."""
    assert model.quantised is not None
    file = open_converted(model)
    assert file.quantised().SerializeToString(deterministic=True) == model.quantised.SerializeToString(
        deterministic=True
    )
    big = onnx.ModelProto()
    big.graph.initializer.append(numpy_helper.from_array(np.arange(10_000, dtype=np.float32), "w"))
    small = embed(big, big.graph.initializer)
    assert len(small) < 1000
    assert extract(small, big.graph.initializer) == big
    with pytest.raises(KeyError):
        extract(small, [])
    for damaged in ("", "no base64!", small[:-8]):
        with pytest.raises(Exception, match=r"(?i)base64|padding|incomplete|length|error|character|multiple"):
            extract(damaged, big.graph.initializer)


def test_the_quantised_network_runs_anywhere(model: SpikingModel) -> None:
    """It has standard operators alone, and gives what the spiking network gives."""
    assert model.quantised is not None
    onnx.checker.check_model(model.quantised, full_check=True)
    assert {node.domain for node in model.quantised.graph.node} == {""}
    assert not model.quantised.functions
    images = networks.images_for(body(NAME), 6, seed=4)
    wanted = model.session().run(images).logits
    evaluator = ReferenceEvaluator(model.quantised)
    outputs: Any = evaluator.run(["y"], {"x": images})
    assert np.array_equal(outputs[0], wanted)


def changed(model: SpikingModel, what: str) -> SpikingModel:
    """A copy with one number of the block changed."""
    copy = onnx.ModelProto()
    copy.CopyFrom(model.model)
    graph = next(attribute.g for node in copy.graph.node if node.op_type == "Loop" for attribute in node.attribute)
    tensor = next(tensor for tensor in graph.initializer if what in tensor.name)
    values = numpy_helper.to_array(tensor).copy()
    values.reshape(-1)[0] += 2 if values.dtype.kind == "i" else 9000
    tensor.raw_data = values.tobytes()
    return SpikingModel(copy, model.report)


@pytest.mark.parametrize("what", ["threshold", "weight"])
def test_another_number_in_the_network_is_found(model: SpikingModel, what: str) -> None:
    """Whether the quantised network is that of the conversion or, where its weights are not shared, of the file."""
    images = networks.images_for(body(NAME), 20, seed=5)
    found = verify(changed(model, what), images, quantised=model.quantised)
    assert found.differences
    assert "sample" in found.differences[0]


def test_too_few_steps_are_found(model: SpikingModel) -> None:
    file = open_converted(model)
    from snnc.measure.certificate import compare_with_quantised

    images = networks.images_for(body(NAME), 5)
    found = compare_with_quantised(file.block, file.quantised(), images, most_steps=2, batch=5)
    assert "not quiet after 2 steps" in found.differences[0]


def test_a_conversion_that_is_not_equal_is_our_error(monkeypatch: pytest.MonkeyPatch) -> None:
    original = quantised_network

    def wrong(graph: Any) -> onnx.ModelProto:
        quantised = original(graph)
        tensor = next(tensor for tensor in quantised.graph.initializer if "threshold" in tensor.name)
        tensor.raw_data = (numpy_helper.to_array(tensor) * 2).tobytes()
        return quantised

    monkeypatch.setattr(certify, "quantised_network", wrong)
    with pytest.raises(InternalError, match="certify"):
        converted(body(NAME))


def test_no_samples(model: SpikingModel) -> None:
    found = compared(model, np.zeros((0, 2, 6, 6), np.float32))
    assert (found.differences, len(found.steps)) == ([], 0)


def test_other_methods_have_none() -> None:
    from snnc import convert

    other = convert(DIGITS, calib="digits:train", calib_samples=16, calib_steps=16, steps=16, accept_poor=True)
    assert (other.certificate, other.quantised) == (None, None)
    with pytest.raises(DiagnosticError, match=r"SNN402.*carries no quantised network(.|\n)*method=\"exact\""):
        verify(other, "digits:test")


def test_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    options = ("--method", "exact", "--levels", "8", "--calib", "digits:train", "--calib-samples", "64")
    result = run_command("convert", DIGITS, *options, "-o", "a.snn.onnx", "--quantised", "a.onnx")
    assert "certificate: all counts and potentials of" in result.output
    assert "certificate: all counts" in run_command("inspect", "a.snn.onnx").output
    for more in ((), ("--quantised", "a.onnx")):
        verified = run_command("verify", "a.snn.onnx", "--data", "digits:test", *more)
        assert "all counts and potentials of" in verified.output
    few = run_command("verify", "a.snn.onnx", "--data", "digits:test", "--samples", "40", "--json", "v.json").output
    document = json.loads(Path("v.json").read_text())
    assert (document["data"]["samples"], len(document["steps"])) == (40, 40)
    curve = snnc.evaluate(
        "a.snn.onnx", load("digits:test", (1, 8, 8)).select(np.linspace(0, 499, 40).round().astype(int))
    )
    accuracy = curve.points[-1].accuracy
    assert accuracy is not None
    assert document["accuracy"] == accuracy > 0.9
    assert f"accuracy {100 * document['accuracy']:.1f} % (" in few
    assert "and so has the quantised ANN" in few
    np.savez("wrong.npz", x=np.zeros((3, 1, 8, 8), np.float32), y=[0, 1, 10])
    refuse(run_command, "SNN305", "verify", "a.snn.onnx", "--data", "wrong.npz")
    run_command("convert", DIGITS, *options, "--threshold", "max", "-o", "b.snn.onnx", "--quantised", "b.onnx")
    refuse(run_command, "SNN410", "verify", "a.snn.onnx", "--data", "digits:test", "--quantised", "b.onnx")
    evaluated = run_command("eval", "a.snn.onnx", "--data", "digits:test", "--ann", DIGITS, "--samples", "40")
    assert "Settled: last spike after" in evaluated.output
    run_command("convert", DIGITS, "--quantised", "c.onnx", "-o", "c.snn.onnx", exit_code=2)


@pytest.mark.parametrize("other", ["the ANN", "the converted network"])
def test_another_network_to_compare_with_is_refused(other: str) -> None:
    model = converted(networks.perceptron([6, 5]).model())
    stranger = networks.perceptron([6, 5]).model() if other == "the ANN" else model.model
    with pytest.raises(DiagnosticError, match="no quantised ANN that snnc wrote"):
        verify(model, np.zeros((2, *open_converted(model).input_dims), np.float32), quantised=stranger)
