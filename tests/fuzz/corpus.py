"""The models that are changed: small ones, in an order that is always the same."""

from __future__ import annotations

import hashlib
import math
import os
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import onnx
from golden import model, read_case

CASES = Path(__file__).parents[1] / "cases"
SHARED = Path(os.environ.get("SNNC_SHARED", Path(__file__).resolve().parents[3] / "shared"))
FOLDERS = ("cases", "zoo", "zoo/other")
# What converts in about a second.
_MOST_BYTES, _MOST_NODES, _MOST_ELEMENTS = 32_768, 24, 1024
# The names in them are those that `graph.rename` knows.
_TEXTS = {
    "own/flatten": "net (float[N,2,5,5] x) => (float[N,3] y) { c = Conv (x, K) h = Relu (c) f = Flatten (h) "
    "m = MatMul (f, F) r = Relu (m) y = MatMul (r, V) }",
    "own/reshape": "net (float[1,2,5,5] x) => (float[1,3] y) { c = Conv (x, K) h = Relu (c) "
    "s = Constant <value_ints = [1,36]> () f = Reshape (h, s) m = MatMul (f, F) r = Relu (m) q = Add (r, m) "
    "y = Softmax (q) }",
    "own/pool": "net (float[N,2,6,6] x) => (float[N,4,2,2] y) { z = Shape (x) c = Conv (x, K) h = Relu (c) "
    "y = MaxPool <kernel_shape = [2,2], strides = [2,2]> (h) }",
    "own/if": "net (float[N,3] x) => (float[N,3] y, int64[N,1] k) { t = Constant <value = bool {1}> () "
    "a = If (t) <then_branch = g () => (p) { p = MatMul (x, V) }, else_branch = h () => (q) { q = Relu (x) }> "
    "y = Relu (a) k = ArgMax <axis = 1> (y) }",
    "own/gate": "net (float[N,3] x) => (float[N,3] y) { a = MatMul (x, V) g = Sigmoid (a) p = Mul (a, g) "
    "h = Relu (p) y = MatMul (h, V) }",
    "own/open": "net (float[N,2,H,W] x) => (float[N,4] y) { c = Conv (x, K) h = Relu (c) p = GlobalAveragePool (h) "
    "y = Flatten (p) }",
}
_WEIGHTS = "# random: K [4,2,3,3] seed 3\n# random: F [36,3] seed 4\n# random: V [3,3] seed 5\n"


@dataclass(frozen=True)
class Seed:
    """A model that is right: its name, and the bytes of its file."""

    name: str
    content: bytes

    def __str__(self) -> str:
        return self.name

    def model(self) -> onnx.ModelProto:
        """A copy that can be changed."""
        return onnx.load_model_from_string(self.content)


def corpus(shared: bool) -> list[Seed]:
    """The golden cases and the models of this file, and the small ones of SHARED if `shared` and there is such a
    folder."""
    found = [Seed(name, model(_WEIGHTS + text).SerializeToString()) for name, text in _TEXTS.items()]
    for path in sorted(CASES.glob("*.txt")):
        found.append(Seed(f"golden/{path.stem}", read_case(path).model.SerializeToString()))
    for folder in FOLDERS if shared else ():
        for path in sorted((SHARED / folder).glob("*.onnx")):
            if path.stat().st_size <= _MOST_BYTES:
                found.append(Seed(f"{folder}/{path.stem}", path.read_bytes()))
    return [seed for seed in found if _is_small(seed.model())]


def fingerprint(seeds: Sequence[Seed]) -> str:
    """Of a corpus: mutants of one number are the same where it is the same."""
    digest = hashlib.sha256()
    for seed in seeds:
        digest.update(seed.name.encode() + b"\0" + hashlib.sha256(seed.content).digest())
    return digest.hexdigest()[:16]


def _is_small(found: onnx.ModelProto) -> bool:
    sizes = [math.prod(max(1, dim.dim_value) for dim in v.type.tensor_type.shape.dim) for v in found.graph.input]
    return len(found.graph.node) <= _MOST_NODES and max(sizes, default=0) <= _MOST_ELEMENTS
