"""Training for few steps: quantisers in the place of ReLUs, and noise as large as what the SNN leaves behind.

    replace_relus(network, noisy=True)              # any torch module
    noise = ResidualNoise(network, held_out, steps=4)
    for epoch in range(epochs):
        ...                                         # train as ever
        noise.update()
    export(network, example, "net.onnx")            # snnc convert net.onnx --method low-latency --steps 4

Needs torch (`pip install "snnc[torch]"`); converting and running do not.
"""

from snnc.training.export import export, export_ann
from snnc.training.quantiser import Quantiser
from snnc.training.replacement import quantisers, replace_relus
from snnc.training.residual import ResidualNoise, residual_deviations
from snnc.training.spiking import SpikingNetwork, SpikingRun

__all__ = [
    "Quantiser",
    "ResidualNoise",
    "SpikingNetwork",
    "SpikingRun",
    "export",
    "export_ann",
    "quantisers",
    "replace_relus",
    "residual_deviations",
]
