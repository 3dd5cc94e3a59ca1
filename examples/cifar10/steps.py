"""Steps of SGD that run as fast as the device allows: on a GPU a step is recorded once, as CUDA graph, and replayed.

Networks for images of 32x32 are so small that a GPU would spend most of its time waiting for the next kernel. A
recorded step is launched as a whole; nothing in it may ask the GPU for a number, so losses are added up there.
"""

from __future__ import annotations

from collections.abc import Callable
from contextlib import nullcontext

import torch
import torch.nn.functional as F
from images import Split, crop_and_flip
from torch import Tensor, nn

MOMENTUM = 0.9
PRECISIONS = ("float32", "bfloat16")
# Eager steps in front of the recording: buffers of the optimizer are made, and algorithms of convolutions chosen.
_EAGER_STEPS = 11


def sgd(network: nn.Module, learning_rate: float, weight_decay: float) -> torch.optim.SGD:
    """SGD with momentum whose learning rate is a tensor where the network is, as a recorded step needs it."""
    device = next(network.parameters()).device
    rate = torch.tensor(learning_rate, device=device)
    return torch.optim.SGD(network.parameters(), rate, momentum=MOMENTUM, weight_decay=weight_decay, fused=True)


class Steps:
    """Trains `network` on `data`, which must be on the same device, in batches of `batch_size`.

    `largest_gradient`: bound on the norm of the gradient, if there is one. `precision`: of the layers' products;
    weights are float32. What is left of the data behind the last whole batch of an epoch is not used in it.
    """

    def __init__(
        self,
        network: nn.Module,
        optimizer: torch.optim.SGD,
        data: Split,
        batch_size: int,
        *,
        largest_gradient: float | None = None,
        precision: str = "float32",
    ) -> None:
        self.network, self.optimizer, self.data = network, optimizer, data
        self.largest_gradient, self.precision = largest_gradient, precision
        device = data.labels.device
        self.indices = torch.zeros(batch_size, dtype=torch.int64, device=device)
        self.total_loss = torch.zeros((), device=device)
        self.steps_done = 0
        self.recorded: torch.cuda.CUDAGraph | None = None
        self.stream = torch.cuda.Stream() if device.type == "cuda" else None

    def epoch(self, learning_rate_at: Callable[[float], float]) -> float:
        """One pass in random order; `learning_rate_at` gets the share of the pass at the end of each step.

        Returns the mean loss, which is not finite if the training diverged.
        """
        self.network.train()
        self.total_loss.zero_()
        batch_size = len(self.indices)
        batches = torch.randperm(len(self.data)).to(self.indices.device).split(batch_size)
        whole = [batch for batch in batches if len(batch) == batch_size]
        for number, batch in enumerate(whole, start=1):
            self.indices.copy_(batch)
            for group in self.optimizer.param_groups:
                group["lr"].fill_(learning_rate_at(number / len(whole)))
            self._step()
        return self.total_loss.item() / len(whole)

    def _step(self) -> None:
        self.steps_done += 1
        if self.stream is None:
            self._compute()
        elif self.recorded is not None:
            self.recorded.replay()
        elif self.steps_done <= _EAGER_STEPS:
            self.stream.wait_stream(torch.cuda.current_stream())
            with torch.cuda.stream(self.stream):
                self._compute()
            torch.cuda.current_stream().wait_stream(self.stream)
        else:
            self._record()

    def _record(self) -> None:
        """Recording computes nothing, so the step is replayed at once."""
        recording = torch.cuda.CUDAGraph()
        with torch.cuda.graph(recording, stream=self.stream):
            self._compute()
        recording.replay()
        self.recorded = recording

    def _compute(self) -> None:
        batch = self.data.part(self.indices)
        # Gradients that are None, not 0, are written by the backward pass instead of added to.
        self.optimizer.zero_grad(set_to_none=True)
        with self._products():
            logits = self.network(channels_last(crop_and_flip(batch.images)))
        loss = F.cross_entropy(logits.float(), batch.labels)
        loss.backward()
        if self.largest_gradient is not None:
            nn.utils.clip_grad_norm_(self.network.parameters(), self.largest_gradient)
        self.optimizer.step()
        self.total_loss += loss.detach()

    def _products(self) -> torch.autocast | nullcontext[None]:
        if self.precision == "float32":
            return nullcontext()
        return torch.autocast(self.indices.device.type, dtype=torch.bfloat16, cache_enabled=False)


def channels_last(images: Tensor) -> Tensor:
    """The same values in the order of memory that convolutions are fastest with."""
    return images.contiguous(memory_format=torch.channels_last)


@torch.no_grad()
def accuracy(network: nn.Module, data: Split, batch_size: int) -> float:
    """Share of images whose largest logit is that of their label, without dropout and noise."""
    network.eval()
    correct = sum(
        int((network(channels_last(batch.images)).argmax(1) == batch.labels).sum())
        for batch in map(data.part, torch.arange(len(data), device=data.labels.device).split(batch_size))
    )
    return correct / len(data)
