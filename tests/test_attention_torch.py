"""Attention as torch has it, by both of its exporters: the batch behind the sequence, heads beside it."""

from __future__ import annotations

import importlib.util
import io
from typing import TYPE_CHECKING, Any

import networks
import numpy as np
import onnx
import pytest
from exact_networks import compared, converted
from forms import check_canonical

if TYPE_CHECKING:
    import torch
else:
    torch = pytest.importorskip("torch")

EXPORTERS = pytest.mark.parametrize(
    "dynamo",
    [
        False,
        pytest.param(True, marks=pytest.mark.skipif(not importlib.util.find_spec("onnxscript"), reason="no exporter")),
    ],
)


class Encoder(torch.nn.Module):
    """x `[N, 5, 4]` → features of 6 → a layer of torch → its mean over places → 3."""

    def __init__(self, layer: Any, attends: bool = False) -> None:
        super().__init__()
        self.embedding, self.layer, self.attends = torch.nn.Linear(4, 6), layer, attends
        self.head = torch.nn.Linear(6, 3)

    def forward(self, x: Any) -> Any:
        x = self.embedding(x)
        x = self.layer(x, x, x, need_weights=False)[0] if self.attends else self.layer(x)
        return self.head(x.mean(1))


def _encoder(name: str) -> Encoder:
    torch.manual_seed(0)
    sizes: dict[str, Any] = {"d_model": 6, "nhead": 2, "dim_feedforward": 8, "batch_first": True}
    if name == "attention":
        return Encoder(torch.nn.MultiheadAttention(6, 2, batch_first=True), attends=True)
    if name == "layer":
        return Encoder(torch.nn.TransformerEncoderLayer(**sizes))
    return Encoder(torch.nn.TransformerEncoderLayer(**sizes, norm_first=True, activation="gelu"))


def _exported(module: Encoder, dynamo: bool) -> onnx.ModelProto:
    module.eval()
    example = (torch.zeros(3, 5, 4),)
    if dynamo:
        shapes = ({0: torch.export.Dim("batch")},)
        program = torch.onnx.export(module, example, dynamo=True, dynamic_shapes=shapes, verbose=False)
        assert program is not None
        proto: onnx.ModelProto = program.model_proto
        return proto
    file: Any = io.BytesIO()  # which is not declared, and taken
    axes = {"x": {0: "N"}, "y": {0: "N"}}
    torch.onnx.export(module, example, file, dynamo=False, input_names=["x"], output_names=["y"], dynamic_axes=axes)
    return onnx.load_from_string(file.getvalue())


@EXPORTERS
@pytest.mark.parametrize("name", ["attention", "layer", "normalised first"])
def test_every_exporter_is_understood(name: str, dynamo: bool) -> None:
    operators = check_canonical(_exported(_encoder(name), dynamo))
    assert "MatMul" not in operators
    assert operators.count("MaxPool") == 1


def test_a_layer_settles_at_the_counts_of_the_quantised_network() -> None:
    module = _encoder("layer")
    model = _exported(module, dynamo=False)
    found = converted(model, samples=200, levels=64)
    assert found.certificate is not None
    images = networks.images_for(model, 8, seed=4)
    assert compared(found, images).differences == []
    with torch.no_grad():
        wanted = module(torch.from_numpy(images)).numpy()
    assert np.linalg.norm(found.session().run(images).logits - wanted) < 0.15 * np.linalg.norm(wanted)
