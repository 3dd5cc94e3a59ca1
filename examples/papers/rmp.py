"""The figures and tables of RMP-SNN (Han, Srinivasan, Roy: CVPR 2020) for a trained network and data.

Figure 5: accuracy and spike rate against steps for every alpha, here of both resets. Figures 6 and 9: the fast RMP
network against the unscaled IF network. Tables 1 and 2: the loss at the most steps, the mean of five runs. Alpha is
chosen on training images that calibrated nothing; the test images are only measured on.

All of it lies in the folder --output, is written again after every stage, and goes on from there after an interruption.
Asked for more images, it measures only those that are new.
"""

from __future__ import annotations

import argparse
import math
from pathlib import Path

from cells import Cell, Laboratory, Settings, say
from summary import Results, steps_to_reach, write_summary

from snnc.diagnostics import DiagnosticError
from snnc.measure.evaluation import Curve

RUNS = 5
#: Alphas that lose no more than this against the best one are equally accurate.
TIE = 0.005
#: What is compared, but is not in the tables, runs for this share of the steps.
SHORT = 4


def steps_up_to(most: int) -> list[int]:
    """1, 2, 4, ... and from 32 on the steps half-way between, up to `most`."""
    powers = [2**power for power in range(most.bit_length()) if 2**power <= most]
    between = [3 * power // 2 for power in powers if power >= 32 and 3 * power // 2 <= most]
    return sorted({*powers, *between, most})


def choose(laboratory: Laboratory, alphas: list[float], images: int, steps: list[int]) -> Results:
    """Curves of soft reset on training images, and the alpha that `chosen_alpha` takes."""
    curves = {}
    for alpha in alphas:
        cell = Cell("soft", alpha)
        curves[cell] = laboratory.measure(cell, images, steps, split="train")
    chosen = chosen_alpha(curves)
    say(f"alpha {chosen:g} was chosen on {images} training images")
    return Results(chosen, choice=curves)


def chosen_alpha(curves: dict[Cell, Curve]) -> float:
    """Of the alphas that are at the end within `TIE` of the best one, that which comes within a point of the ANN after
    the fewest steps; the largest of several, as it has the fewest spikes."""
    ends = {cell: curve.points[-1].accuracy or 0.0 for cell, curve in curves.items()}
    good = [cell for cell, end in ends.items() if end >= max(ends.values()) - TIE - 1e-12]
    return min(good, key=lambda cell: (steps_to_reach(curves[cell]) or math.inf, -cell.alpha)).alpha


def measure(laboratory: Laboratory, options: argparse.Namespace) -> None:
    """All stages, from what is needed most to what is needed least."""
    steps, short = steps_up_to(options.steps), steps_up_to(max(1, options.steps // SHORT))
    results = choose(laboratory, options.alpha, options.choice_images, short)
    chosen, part = results.chosen, laboratory.settings.part
    cells = [Cell(reset, alpha) for reset in ("soft", "hard") for alpha in options.alpha]
    # All cells by equal numbers of images: whenever this stops, they can be compared.
    for images in range(part, options.images + part, part):
        for cell in cells:
            results.cells[cell] = laboratory.measure(cell, min(images, options.images), steps)
        write_summary(laboratory, results)
    for cell in [Cell("soft", chosen), Cell("hard", 1.0)]:
        results.runs[cell] = []
        for seed in range(RUNS if options.run_images else 0):
            results.runs[cell].append(laboratory.measure(cell, options.run_images, steps, seed=seed))
    write_summary(laboratory, results)
    for cell in [Cell(reset, alpha, "after") for reset in ("soft", "hard") for alpha in options.alpha if alpha != 1]:
        if not options.after_images:
            continue
        try:
            results.after[cell] = laboratory.measure(cell, options.after_images, short)
        except DiagnosticError as error:  # thresholds that compound can be too small for the integer grid
            say(f"{cell.name} cannot be converted: {error}")
    write_summary(laboratory, results)
    cell = Cell("soft", chosen)
    if options.all_images:
        results.whole[cell] = laboratory.measure(cell, options.all_images, steps)
    write_summary(laboratory, results)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__.partition("\n")[0], formatter_class=argparse.ArgumentDefaultsHelpFormatter
    )
    parser.add_argument("--ann", required=True, help="the trained network, NET.onnx")
    parser.add_argument("--calib", required=True, help="DATA for thresholds and the choice of alpha")
    parser.add_argument("--data", required=True, help="DATA to measure on, with labels")
    parser.add_argument("--output", type=Path, required=True, help="folder of everything that is made")
    numbers = {"type": lambda text: [float(part) for part in text.split(",")]}
    parser.add_argument("--mean", **numbers, help="subtracted from the values of each channel")
    parser.add_argument("--std", **numbers, help="divides what remains")
    parser.add_argument("--alpha", default=[1.0, 0.8, 0.6, 0.4, 0.2], **numbers, help="factors on V_max")
    parser.add_argument("--steps", type=int, default=2048, help="most steps T")
    parser.add_argument("--images", type=int, default=500, help="test images for figure 5, of every cell")
    parser.add_argument("--run-images", type=int, default=500, help="test images for the five runs of tables 1 and 2")
    parser.add_argument("--after-images", type=int, default=200, help="test images for alpha scaled after, not during")
    parser.add_argument("--all-images", type=int, default=10_000, help="test images for the alpha that was chosen")
    parser.add_argument("--choice-images", type=int, default=500, help="training images to choose alpha on")
    parser.add_argument("--calib-samples", type=int, default=512)
    parser.add_argument("--calib-steps", type=int, default=256)
    parser.add_argument("--part", type=int, default=100, help="images that are measured, and kept, at once")
    parser.add_argument("--relaxed", action="store_true", help="take biases and batch normalisation")
    parser.add_argument("--threads", type=int, default=1)
    options = parser.parse_args()
    settings = Settings(**{name: getattr(options, name) for name in Settings.__dataclass_fields__})
    measure(Laboratory(settings, options.output, options.threads), options)


if __name__ == "__main__":
    main()
