"""Run a network that snnc converted with onnxruntime and numpy alone.

What is asked of the file follows from its schedule: loop and unrolled run in one call, stream in blocks whose states
this program carries. Of a network that settles (`--method exact`) with the schedule stream, the images are the frames
of one stream. For each image every output of the network, its spikes and its operations are printed.
"""

from __future__ import annotations

import argparse
import json
import sys
from typing import Any

import numpy as np
import onnxruntime

LONGEST_BLOCK = 64  # steps
FRAME_BLOCK = 16  # steps; any number from 1 to 64 gives the same results

Arrays = dict[str, np.ndarray]


class Network:
    """A session, what it is called with, and the states that it has."""

    def __init__(self, path: str, library: str | None) -> None:
        """`library` is the path of snnc's operators; without it the functions in the file are run."""
        options = onnxruntime.SessionOptions()
        # onnxruntime warns of optional inputs at every start; errors are raised, and need not be printed too
        options.log_severity_level = 4
        if library is not None:
            options.register_custom_ops_library(library)
        self.session = onnxruntime.InferenceSession(
            path, options, providers=["CPUExecutionProvider"], enable_fallback=0
        )
        metadata = self.session.get_modelmeta().custom_metadata_map
        if "snnc.states" not in metadata:
            raise ValueError(f"{path}: is no network converted by snnc")
        self.states: list[dict[str, Any]] = json.loads(metadata["snnc.states"])
        self.max_steps: int = json.loads(metadata["snnc.options"])["max_steps"]
        self.required = [value.name for value in self.session.get_inputs()]
        self.optional = [value.name for value in self.session.get_overridable_initializers()]
        self.outputs = [value.name for value in self.session.get_outputs()]
        self.image = self.session.get_inputs()[0]
        self.is_stream = "first_step" in self.required
        self.takes_frames = self.is_stream and any(state["what"] == "entered charge" for state in self.states)

    def check_images(self, images: np.ndarray) -> None:
        """ValueError unless they can be fed."""
        dims = self.image.shape[1:]
        if images.dtype != np.float32:
            raise ValueError(f"the images have dtype {images.dtype}, must be float32")
        if images.ndim != len(dims) + 1 or images.shape[1:] != tuple(dims):
            wanted = ", ".join(map(str, dims))
            raise ValueError(f"the images have shape {list(images.shape)}, the network takes [N, {wanted}]")
        if not images.size or not np.isfinite(images).all():
            raise ValueError("there are no images" if not images.size else "the images have NaN or infinite values")

    def check_steps(self, steps: int | None) -> None:
        if steps is not None and not 1 <= steps <= self.max_steps:
            raise ValueError(f"steps must be from 1 to {self.max_steps}")

    def call(self, images: np.ndarray, controls: dict[str, int | None], states: Arrays) -> Arrays:
        """Every output by name. Controls that are None are left to the file; all of them are fed as int64 arrays of
        shape []."""
        feeds = {self.image.name: images, **states}
        for name, value in controls.items():
            if value is not None and name in (*self.required, *self.optional):
                feeds[name] = np.array(value, np.int64)
        return dict(zip(self.outputs, self.session.run(None, feeds), strict=True))

    def run(self, images: np.ndarray, steps: int | None, seed: int | None) -> Arrays:
        """A file of the schedules loop and unrolled: one call runs all steps."""
        self.check_steps(steps)
        for name, value in (("steps", steps), ("seed", seed)):
            if value is not None and name not in (*self.required, *self.optional):
                raise ValueError(f"{name} is fixed in this file")
        if steps is None and "steps" in self.required:
            raise ValueError("the file has no default for steps: give --steps")
        seed = 0 if seed is None and "seed" in self.required else seed
        first = 0 if "first_sample" in self.required else None
        return self.call(images, {"steps": steps, "seed": seed, "first_sample": first}, {})

    def start(self, samples: int) -> Arrays:
        """States before the first step."""
        return {
            state["name"]: np.broadcast_to(np.array(state["initial"], state["dtype"]), (samples, *state["dims"])).copy()
            for state in self.states
        }

    def run_block(self, images: np.ndarray, seed: int, step: int, count: int, states: Arrays) -> tuple[Arrays, Arrays]:
        """One block of a file of the schedule stream: its outputs without the potentials, and the next states."""
        controls: dict[str, int | None] = {"seed": seed, "first_sample": 0, "first_step": step, "count": count}
        results = self.call(images, controls, states)
        following = {state["name"]: results[state["next"]] for state in self.states}
        for state in self.states:
            if not state["output"]:
                del results[state["next"]]
        return results, following

    def run_blocks(self, images: np.ndarray, steps: int | None, seed: int | None) -> Arrays:
        """A file of the schedule stream: so many steps, in blocks of at most 64."""
        if steps is None:
            raise ValueError("a file of the schedule stream runs as long as its host says: give --steps")
        if seed is not None and "seed" not in self.required:
            raise ValueError("seed is fixed in this file")
        self.check_steps(steps)
        states, results = self.start(len(images)), Arrays()
        for step in range(0, steps, LONGEST_BLOCK):
            results, states = self.run_block(images, seed or 0, step, min(LONGEST_BLOCK, steps - step), states)
        return results

    def run_frame(self, frames: np.ndarray, states: Arrays) -> tuple[Arrays, Arrays]:
        """The next frame of streams, of a network that settles: from the states of the frame before, until it is quiet.
        Spikes, operations and steps are counted frame by frame."""
        counts = {state["name"] for state in self.states if state["output"]}
        states = {name: np.zeros_like(value) if name in counts else value for name, value in states.items()}
        for step in range(0, self.max_steps, FRAME_BLOCK):
            count = min(FRAME_BLOCK, self.max_steps - step)
            results, states = self.run_block(frames, 0, step, count, states)
            if (results["steps_used"] < step + count).all():
                return results, states
        raise ValueError("the network is not quiet after all its steps")


def show(results: Arrays, what: str, first: int) -> None:
    """Print the results of some samples."""
    for sample in range(len(next(iter(results.values())))):
        print(f"{what} {first + sample}")
        for name, value in results.items():
            values = np.ravel(value[sample])
            digits = ".9g" if value.dtype == np.float32 else ""  # nine digits tell every float32 from the next
            print(f"  {name}:", *(format(number, digits) for number in values.tolist()))


def load_images(path: str) -> np.ndarray:
    """The array of a file; ValueError or OSError where it has none."""
    try:
        with open(path, "rb") as file:
            images: np.ndarray = np.lib.format.read_array(file, allow_pickle=False)
    except (ValueError, EOFError, MemoryError) as error:
        raise ValueError(f"{path}: is no .npy file, or not a whole one: {error}") from error
    return images


def run(arguments: argparse.Namespace) -> None:
    images = load_images(arguments.images)
    network = Network(arguments.network, arguments.library)
    network.check_images(images)
    if network.takes_frames:
        if arguments.steps is not None:
            raise ValueError("frames run until the network is quiet: no --steps")
        states = network.start(1)
        for index in range(len(images)):
            results, states = network.run_frame(images[index : index + 1], states)
            show(results, "frame", index)
    elif network.is_stream:
        show(network.run_blocks(images, arguments.steps, arguments.seed), "sample", 0)
    else:
        show(network.run(images, arguments.steps, arguments.seed), "sample", 0)


def main() -> int:
    parser = argparse.ArgumentParser(description="Run a converted network with onnxruntime and numpy alone.")
    parser.add_argument("network", metavar="NET.snn.onnx")
    parser.add_argument("images", metavar="IMAGES.npy", help="float32 [N, ...], on the scale of the training")
    parser.add_argument("--steps", type=int)
    parser.add_argument("--seed", type=int)
    parser.add_argument("--library", help="snnc's operators, the path that `snnc library` prints")
    try:
        run(parser.parse_args())
    except Exception as error:  # onnxruntime has classes of its own for what it refuses
        print(f"error: {error}", file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
