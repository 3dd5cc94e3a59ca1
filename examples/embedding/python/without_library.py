"""How much slower a converted network is without snnc's operators: the functions in the file, against the library.

Both forms run the same images in turn, in one thread. CPU time is measured, not time of day, so that what else the
machine does counts little. Printed are medians, and the ratio of each pair; the outputs must be equal. For files of the
schedules loop and unrolled, whose controls have defaults.
"""

from __future__ import annotations

import argparse
import time

import numpy as np
import onnxruntime


def make_session(path: str, library: str | None) -> onnxruntime.InferenceSession:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 3  # onnxruntime warns of optional inputs at every start
    options.intra_op_num_threads = 1
    if library is not None:
        options.register_custom_ops_library(library)
    return onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])


def timed(session: onnxruntime.InferenceSession, images: np.ndarray) -> tuple[float, list[np.ndarray]]:
    """CPU time of a run in seconds, and its outputs."""
    start = time.process_time()
    outputs = session.run(None, {session.get_inputs()[0].name: images})
    return time.process_time() - start, outputs


def main() -> None:
    parser = argparse.ArgumentParser(description="Compare a network with and without snnc's operators.")
    parser.add_argument("network", metavar="NET.snn.onnx")
    parser.add_argument("images", metavar="IMAGES.npy", help="float32 [N, ...], on the scale of the training")
    parser.add_argument("library", help="snnc's operators, the path that `snnc library` prints")
    parser.add_argument("--pairs", type=int, default=15)
    arguments = parser.parse_args()
    images = np.load(arguments.images)
    sessions = [make_session(arguments.network, library) for library in (arguments.library, None)]
    for session in sessions:
        timed(session, images)  # the first run is slower than later ones
    seconds = []
    for _ in range(arguments.pairs):
        (native, expected), (functions, outputs) = (timed(session, images) for session in sessions)
        if not all(np.array_equal(one, other) for one, other in zip(expected, outputs, strict=True)):
            parser.error("the outputs differ")
        seconds.append((native, functions))
    pairs = 1000 * np.array(seconds) / len(images)
    ratios = pairs[:, 1] / pairs[:, 0]
    native, functions = np.median(pairs, axis=0)
    print(f"ms of CPU time per image: {native:.3f} with the library, {functions:.3f} without")
    print(f"ratio: {np.median(ratios):.1f} (from {ratios.min():.1f} to {ratios.max():.1f}), {len(ratios)} pairs")


if __name__ == "__main__":
    main()
