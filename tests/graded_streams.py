"""Graded forms of networks, and fresh runs in steps to hold their frames against."""

from __future__ import annotations

import json
from functools import cache
from typing import Any

import numpy as np
import pytest
import streams

from snnc.files import ConvertedFile
from snnc.ir.graph import constant
from snnc.operators.layer import initial_charge, initial_potential
from snnc.runtime import GradedFrame, GradedSession
from snnc.simulate.block_runner import StreamRunner

FORMS = pytest.mark.parametrize("native", [True, False], ids=["native", "functions"])


@cache
def content(name: str) -> bytes:
    """The graded form of a network of `streams`."""
    return content_of(streams.converted(name))


def content_of(file: ConvertedFile) -> bytes:
    """The graded form of a file."""
    written: bytes = file.graded_form().SerializeToString()
    return written


def entries(session: GradedSession) -> dict[str, dict[str, Any]]:
    """The states as the file tells of them, by name."""
    found = json.loads(session.session.get_modelmeta().custom_metadata_map["snnc.states"])
    return {entry["name"]: entry for entry in found}


class Fresh:
    """Runs of a file in steps, from its initial states until it is quiet."""

    def __init__(self, file: ConvertedFile) -> None:
        self._runner, self._bound = StreamRunner(file.block), file.options.max_steps
        self._states = {(state.layer, state.what): state.name for state in file.block.states}
        self._neurons = {node.name: node for node in file.calibrated().nodes}

    def compare(self, session: GradedSession, frames: np.ndarray, frame: GradedFrame) -> None:
        """States and outputs of the frame that `session` was fed last are those of a fresh run on it."""
        last = self._runner.run_until_quiet(frames, self._bound)
        assert last.quiet
        told = entries(session)
        for name, value in session.state.items():
            entry = told[name]
            if not entry["layer"]:
                assert (value == 1).all()
                continue
            if entry["what"] == "charge":
                wanted = self._charge(entry["layer"], last.states)
            else:
                wanted = last.states[self._states[entry["layer"], entry["what"]]]
            found = np.moveaxis(value, -1, 1) if entry.get("channels_last") else value
            np.testing.assert_array_equal(found, wanted, err_msg=name)
        assert list(frame.outputs) == list(last.outputs)
        for name, value in frame.outputs.items():
            np.testing.assert_array_equal(value, last.outputs[name], err_msg=name)

    def _charge(self, layer: str, states: dict[str, np.ndarray]) -> np.ndarray:
        """What has come to a neuron: U without the charge that was there before."""
        node = self._neurons[layer]
        v = states[self._states[layer, "membrane potential"]].astype(np.int64)
        if node.op == "StaircaseTable":
            of_table: np.ndarray = v - initial_charge(node)
            return of_table
        threshold = constant(node, 1)
        assert threshold is not None
        spent = threshold.astype(np.int64) * states[self._states[layer, "spike count"]]
        found: np.ndarray = v + spent - np.asarray(initial_potential(node, threshold))
        return found
