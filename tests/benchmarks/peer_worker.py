"""Runs a network in SpikingJelly or sinabs, in a process (and environment) of its own.

    python peer_worker.py --tool spikingjelly --net vgg16 --batch 8 --steps 32 --threads 1 --mode multi

Prints a line of JSON that describes the set-up, then one with `seconds` and `cpu_seconds` for every line read from
standard input. Needs torch and the tool, and nothing of snnc. The networks are built from the tool's own layers;
converting an ANN with the tool would add scaling layers to them. Modes: `step` (one step at a time), `multi` (time
folded into the batch for the synapses), each also with `-nhwc` (channels-last layout). Neurons are integrate-and-fire
with soft reset; thresholds are set so that layers fire at about 1 to 2 %.
"""

from __future__ import annotations

import argparse
import json
import os
import sys
import time
from types import ModuleType
from typing import Any

MODES = ("step", "multi", "step-nhwc", "multi-nhwc")
RATE = 0.02
CALIBRATION_STEPS = 16
_VGG16: list[int | str] = [64, 64, "A", 128, 128, "A", 256, 256, 256, "A", 512, 512, 512, "A", 512, 512, 512, "A"]


def main() -> None:
    parser = argparse.ArgumentParser()
    parser.add_argument("--tool", choices=("spikingjelly", "sinabs"), required=True)
    parser.add_argument("--net", choices=("vgg16", "resnet20"), required=True)
    parser.add_argument("--batch", type=int, default=8)
    parser.add_argument("--steps", type=int, default=32)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--mode", choices=MODES, default="step")
    options = parser.parse_args()
    replies = os.fdopen(os.dup(1), "w")
    os.dup2(2, 1)  # what the tools print goes to standard error
    import torch

    torch.set_num_threads(options.threads)
    torch.set_grad_enabled(False)
    torch.manual_seed(0)
    tool = (SpikingJelly if options.tool == "spikingjelly" else Sinabs)(options.batch)
    net = build(options.net, tool).eval()
    if options.mode.endswith("-nhwc"):
        net = net.to(memory_format=torch.channels_last)
    spikes = (torch.rand(max(options.steps, CALIBRATION_STEPS), options.batch, 3, 32, 32) < 0.5).float()
    rates = set_thresholds(net, tool, spikes[:CALIBRATION_STEPS])
    spikes = spikes[: options.steps].contiguous()
    described = {"tool": options.tool, "version": tool.version, "torch": torch.__version__, "spike_rates": rates}
    print(json.dumps(described), file=replies, flush=True)
    for _ in sys.stdin:
        start, start_cpu = time.perf_counter(), time.process_time()
        tool.run(net, spikes, multi=options.mode.startswith("multi"))
        times = {"seconds": time.perf_counter() - start, "cpu_seconds": time.process_time() - start_cpu}
        print(json.dumps(times), file=replies, flush=True)


class SpikingJelly:
    """SpikingJelly: tensors are `[T, N, ...]` in multi-step mode."""

    def __init__(self, batch: int) -> None:
        import importlib.metadata

        from spikingjelly.activation_based import functional, layer, neuron

        self.layers: ModuleType = layer
        self.version = importlib.metadata.version("spikingjelly")
        self.functional, self.neuron_type = functional, neuron.IFNode

    def neurons(self) -> Any:
        return self.neuron_type(v_threshold=1.0, v_reset=None)

    def set_threshold(self, neurons: Any, value: float) -> None:
        neurons.v_threshold = value

    def by_step(self, tensor: Any, steps: int) -> Any:
        """What a layer of neurons sees or gives in multi-step mode, as `[T, N, ...]`."""
        return tensor

    def run(self, net: Any, spikes: Any, multi: bool) -> Any:
        """Simulate `spikes` `[T, N, ...]` from rest; the sum of the outputs."""
        self.functional.reset_net(net)
        self.functional.set_step_mode(net, "m" if multi else "s")
        return net(spikes).sum(0) if multi else sum(net(step) for step in spikes)


class Sinabs:
    """sinabs: tensors are `[N·T, ...]`, samples outermost."""

    def __init__(self, batch: int) -> None:
        import importlib.metadata

        import sinabs.layers
        from sinabs.activation import SingleSpike
        from torch import nn

        self.layers: ModuleType = nn
        self.version = importlib.metadata.version("sinabs")
        self.batch, self.neuron_type, self.spike_fn = batch, sinabs.layers.IAFSqueeze, SingleSpike

    def neurons(self) -> Any:
        return self.neuron_type(batch_size=self.batch, spike_fn=self.spike_fn, min_v_mem=None)

    def set_threshold(self, neurons: Any, value: float) -> None:
        neurons.spike_threshold.fill_(value)

    def by_step(self, tensor: Any, steps: int) -> Any:
        """What a layer of neurons sees or gives, as `[T, N, ...]`."""
        return tensor.unflatten(0, (self.batch, steps)).transpose(0, 1)

    def run(self, net: Any, spikes: Any, multi: bool) -> Any:
        """Simulate `spikes` `[T, N, ...]` from rest; the sum of the outputs."""
        for layer in neuron_layers(net, self):
            layer.reset_states()
        if not multi:
            return sum(net(step) for step in spikes)
        return self.by_step(net(spikes.transpose(0, 1).flatten(0, 1)), len(spikes)).sum(0)


def build(name: str, tool: SpikingJelly | Sinabs) -> Any:
    """The network `name` as a torch module of layers of `tool`, with random weights (He)."""
    from torch import nn

    layers = tool.layers

    class Junction(nn.Module):
        """Two branches of one input, summed, and neurons."""

        def __init__(self, main: nn.Module, shortcut: nn.Module) -> None:
            super().__init__()
            self.main, self.shortcut, self.neurons = main, shortcut, tool.neurons()

        def forward(self, x: Any) -> Any:
            return self.neurons(self.main(x) + self.shortcut(x))

    def conv(channels: int, filters: int, kernel: int = 3, stride: int = 1) -> nn.Module:
        made: nn.Conv2d = layers.Conv2d(channels, filters, kernel, stride, kernel // 2, bias=False)
        nn.init.kaiming_normal_(made.weight, nonlinearity="relu")
        return made

    made: list[nn.Module] = []
    channels = 3
    if name == "vgg16":
        for entry in _VGG16:
            if isinstance(entry, str):
                made.append(layers.AvgPool2d(2))
            else:
                made += [conv(channels, entry), tool.neurons()]
                channels = entry
        made += [layers.Flatten(), layers.Linear(512, 512, bias=False), tool.neurons()]
    else:
        made += [conv(channels, 16), tool.neurons()]
        channels = 16
        for stage, width in enumerate((16, 32, 64)):
            for block in range(3):
                stride = 2 if stage and not block else 1
                main = nn.Sequential(conv(channels, width, stride=stride), tool.neurons(), conv(width, width))
                shortcut = nn.Identity() if channels == width else conv(channels, width, 1, stride)
                made.append(Junction(main, shortcut))
                channels = width
        made += [layers.AvgPool2d(8), layers.Flatten()]
    return nn.Sequential(*made, layers.Linear(channels, 10, bias=False))


def neuron_layers(net: Any, tool: SpikingJelly | Sinabs) -> list[Any]:
    """The layers of neurons, in order."""
    return [module for module in net.modules() if isinstance(module, tool.neuron_type)]


def set_thresholds(net: Any, tool: SpikingJelly | Sinabs, spikes: Any) -> list[float]:
    """Set every threshold from the mean currents of its neurons, in one pass; returns the spike rates in percent."""
    rates: list[float] = []

    def choose(layer: Any, inputs: tuple[Any, ...]) -> None:
        drift = tool.by_step(inputs[0], len(spikes)).mean(0).clamp(min=0).mean()
        tool.set_threshold(layer, max(1e-6, float(drift)) / RATE)

    def measure(layer: Any, inputs: tuple[Any, ...], output: Any) -> None:
        rates.append(round(100 * float(output.mean()), 2))

    found = neuron_layers(net, tool)
    hooks = [layer.register_forward_pre_hook(choose) for layer in found]
    hooks += [layer.register_forward_hook(measure) for layer in found]
    tool.run(net, spikes, multi=True)
    for hook in hooks:
        hook.remove()
    return rates


if __name__ == "__main__":
    main()
