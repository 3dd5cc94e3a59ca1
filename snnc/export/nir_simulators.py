"""Running a NIR graph in the simulators of others, as their own importers read it.

This file needs numpy, the package nir and the simulator, and nothing else of snnc, so that a Python that has the
simulator can run it: `python nir_simulators.py TARGET GRAPH.nir JOB.npz RESULT.npz` with the array `x` and the names
`nodes` in the job.
"""

from __future__ import annotations

import contextlib
import importlib
import importlib.util
import io
import sys
from collections.abc import Sequence
from importlib.metadata import version
from typing import Any

import numpy as np
from numpy.typing import NDArray

Array = NDArray[Any]

#: What has to be importable for a target, the simulator itself first.
PACKAGES = {"norse": ("norse", "nirtorch"), "snntorch": ("snntorch", "nirtorch"), "spyx": ("spyx", "jax", "flax")}


def missing(target: str) -> str:
    """Why the simulator of a target cannot be used here; "" where it can."""
    if target not in PACKAGES:
        return "it is no simulator"
    absent = [name for name in PACKAGES[target] if importlib.util.find_spec(name) is None]
    if absent:
        return f"{' and '.join(absent)} {'is' if len(absent) == 1 else 'are'} not installed"
    return ""


def described(target: str) -> str:
    """The simulator with its version."""
    return f"{PACKAGES[target][0]} {version(PACKAGES[target][0])}"


def simulate(target: str, graph: Any, x: Array, nodes: Sequence[str]) -> dict[str, Array]:
    """What these `nodes` of a graph of the package nir give in every step for `x` `[T, N, ...]`, in the same form."""
    with contextlib.redirect_stdout(io.StringIO()):  # importers print
        return _SIMULATORS[target](graph, np.asarray(x, np.float32), nodes)


def _snntorch(graph: Any, x: Array, nodes: Sequence[str]) -> dict[str, Array]:
    from snntorch.import_nir import import_from_nir

    return _torch(import_from_nir(graph), x, nodes)


def _norse(graph: Any, x: Array, nodes: Sequence[str]) -> dict[str, Array]:
    from norse.torch import from_nir

    return _torch(from_nir(graph, ignore_warnings=True), x, nodes)


def _torch(network: Any, x: Array, nodes: Sequence[str]) -> dict[str, Array]:
    """A module made by nirtorch: its parts have the names of the nodes."""
    import torch

    found: dict[str, list[Array]] = {name: [] for name in nodes}

    def keep(name: str) -> Any:
        def hook(module: Any, inputs: Any, output: Any) -> None:
            value = output[0] if isinstance(output, tuple) else output
            found[name].append(value.detach().numpy().copy())

        return hook

    parts = dict(network.named_modules())
    for name in nodes:
        if name in parts:
            parts[name].register_forward_hook(keep(name))
    state, threads = None, torch.get_num_threads()
    torch.set_num_threads(1)  # steps are short: several threads wait for each other more than they work
    with torch.no_grad():
        for values in x:
            output, state = network(torch.from_numpy(values), state)
            for name in nodes:
                if name not in parts:
                    found[name].append(output.detach().numpy().copy())
    torch.set_num_threads(threads)
    return {name: np.stack(train) for name, train in found.items()}


def _spyx(graph: Any, x: Array, nodes: Sequence[str]) -> dict[str, Array]:
    """Spyx keeps no names: its neurons come in the order of the chain, and the network's output is the last."""
    from spyx.nir import from_nir

    last = np.moveaxis(x, 2, -1) if x.ndim == 5 else x
    model, _ = from_nir(graph, last)
    state = model.initial_state(x.shape[1])
    found: list[list[Array]] = [[] for _ in nodes]
    for values in last:
        fired: list[Any] = []
        following: list[Any] = []
        flowing = values
        for layer, before in zip(model.layers, state, strict=True):
            if before is None:
                flowing = layer(flowing)
                following.append(None)
            else:
                flowing, after = layer(flowing, before)
                following.append(after)
                fired.append(flowing)
        state = following
        for train, value in zip(found, [*fired, flowing], strict=True):
            given = np.asarray(value)
            train.append(np.moveaxis(given, -1, 1) if given.ndim == 4 else given)
    return {name: np.stack(train) for name, train in zip(nodes, found, strict=True)}


_SIMULATORS = {"norse": _norse, "snntorch": _snntorch, "spyx": _spyx}


def main(target: str, graph: str, job: str, result: str) -> None:
    """Run what is in the files."""
    nir: Any = importlib.import_module("nir")
    with np.load(job) as given:
        x, nodes = given["x"], [str(name) for name in given["nodes"]]
    found = simulate(target, nir.read(graph), x, nodes)
    arrays: dict[str, Any] = {f"node/{name}": train for name, train in found.items()}
    np.savez(result, simulator=described(target), **arrays)


if __name__ == "__main__":
    main(*sys.argv[1:])
