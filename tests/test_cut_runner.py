"""Taking stock within blocks: the same as blocks that end there, integer for integer."""

from __future__ import annotations

from typing import Any

import networks
import numpy as np
import onnx
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from snnc.simulate.block_runner import StreamRunner
from snnc.simulate.cut_runner import CutRunner, whole_blocks


@settings(max_examples=14, suppress_health_check=[HealthCheck.too_slow])
@given(
    model=networks.models(),
    choices=networks.options(),
    cuts=st.lists(st.integers(1, 140), min_size=1, max_size=5, unique=True),
)
def test_stock_is_that_of_shorter_blocks(model: onnx.ModelProto, choices: dict[str, Any], cuts: list[int]) -> None:
    block, images = networks.block_of(networks.emit(model, **choices)), networks.images_for(model)
    where = {"seed": choices["seed"], "first_sample": 5}
    expected = {snapshot.step: snapshot for snapshot in StreamRunner(block).run(images, cuts, **where)}
    found = {snapshot.step: snapshot for snapshot in CutRunner(block).run(images, cuts, **where)}
    for cut in cuts:
        assert np.array_equal(found[cut].spike_totals, expected[cut].spike_totals)
        assert np.array_equal(found[cut].synaptic_operations, expected[cut].synaptic_operations)
        for name, values in expected[cut].outputs.items():
            assert np.array_equal(found[cut].outputs[name], values), name
        used, wanted = found[cut].steps_used, expected[cut].steps_used
        assert (used is None) == (wanted is None)
        if used is not None and wanted is not None:
            assert np.array_equal(used, wanted)
    for name, state in expected[max(cuts)].states.items():
        assert np.array_equal(found[max(cuts)].states[name], state), name


def test_blocks_are_as_long_as_they_can_be() -> None:
    assert list(whole_blocks([1, 2, 100], settles=False)) == [(0, 64), (64, 36)]
    assert list(whole_blocks([1, 16, 100], settles=True)) == [(0, 16), (16, 64), (80, 20)]
