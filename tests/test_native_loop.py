"""Operators with signed spikes in the body of a `Loop` over blocks, their states carried, as files have them."""

from __future__ import annotations

import numpy as np
import pytest
from native_operators import assert_same, operator, run, session_of

POOL = "kernel_shape = [3, 3], strides = [2, 2], pads = [1, 1, 0, 0], dilations = [1, 1], signed = 1"
LOOP = f"""(float[B, M, 3, 5, 5] currents, int32[N, 3, 5, 5] v, int32[N, 3, 5, 5] s, int32[3, 1, 1] threshold,
     int64 count) => (int32[] v_end, int32[] s_end, int32[] u_end, int32[] p_end, uint64[] fired, uint64[] pooled)
  <int32[1] first = {{-2}}, int32[1, 3] breaks = {{-9, 0, 12}}, int32[1, 3] rises = {{1, 3, -1}}> {{
  blocks_list = Shape <start = 0, end = 1> (currents)
  blocks = Squeeze (blocks_list)
  go = Constant <value = bool {{1}}> ()
  v_end, s_end, u_end, p_end, fired, pooled = Loop (blocks, go, v, s, v, s) <body = block
    (int64 i, bool go_in, int32[N, 3, 5, 5] v_in, int32[N, 3, 5, 5] s_in, int32[N, 3, 5, 5] u_in,
     int32[N, 3, 5, 5] p_in) =>
    (bool go_out, int32[N, 3, 5, 5] v_next, int32[N, 3, 5, 5] s_next, int32[N, 3, 5, 5] u_next,
     int32[N, 3, 5, 5] p_next, uint64[N, 6, 5, 5] words, uint64[N, 6, 2, 2] maxima) {{
      go_out = Identity (go_in)
      current = Gather <axis = 0> (currents, i)
      words, v_next, s_mid = ai.snnc.Staircase <low = -2, high = 5> (current, v_in, s_in, threshold, count)
      table_words, u_next, s_next = ai.snnc.StaircaseTable (current, u_in, s_mid, first, breaks, rises, count)
      maxima, p_next = ai.snnc.SpikeMaxPool <{POOL}> (table_words, p_in, count)
    }}>
}}"""


@pytest.mark.parametrize("batch", [0, 1, 3])
@pytest.mark.parametrize("native", [True, False])
def test_a_loop_over_blocks_is_the_blocks_one_by_one(native: bool, batch: int) -> None:
    random = np.random.default_rng(0)
    blocks, count, shape = 3, 37, (batch, 3, 5, 5)
    currents = random.integers(-9, 12, (blocks, count * batch, *shape[1:])).astype(np.float32)
    v, s = (random.integers(-3, 4, shape, np.int32) for _ in range(2))
    threshold = random.integers(2, 9, (3, 1, 1), np.int32)
    table = [np.array([-2], np.int32), np.array([[-9, 0, 12]], np.int32), np.array([[1, 3, -1]], np.int32)]
    got = session_of(LOOP, native=native).run(
        None, {"currents": currents, "v": v, "s": s, "threshold": threshold, "count": np.array(count)}
    )
    states, fired, pooled = [v, s, v, s], [], []
    for current in currents:
        v, s, u, p = states
        words, v, s = run(operator("Staircase", "low = -2, high = 5"), current, v, s, threshold, count)
        table_words, u, s = run(operator("StaircaseTable"), current, u, s, *table, count)
        maxima, p = run(operator("SpikeMaxPool", POOL), table_words, p, count)
        states = [v, s, u, p]
        fired.append(words)
        pooled.append(maxima)
    assert_same(got, [*states, np.stack(fired), np.stack(pooled)])
