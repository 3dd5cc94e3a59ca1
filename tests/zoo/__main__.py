"""Models of others, each in a process of its own: converted and verified, or the diagnostics. One row per model.

    python -m tests.zoo                                        all of ../shared: zoo, zoo/other and cases
    python -m tests.zoo --method rmp NAME...                   some of them, by a part of the file's name
    python -m tests.zoo --accuracy 1000 --cifar cifar10.npz    also accuracies of ANN and SNN on test images

`exact` is verified by its certificate, other methods by error and agreement. Every model is converted with `--relaxed`
on synthetic images, or with `--accuracy` on training images of the data that it was trained for. The exit code is 1
where one crashed, hung or ate the memory: that a model is refused is a result.
"""

from __future__ import annotations

import argparse
import json
import multiprocessing
import os
import sys
import time
from collections import Counter
from collections.abc import Sequence
from pathlib import Path

from .attempt import Attempt, Task, answer
from .known import Data, data_of, indexed

SHARED = Path(os.environ.get("SNNC_SHARED", Path(__file__).resolve().parents[3] / "shared"))
FOLDERS = ("zoo", "zoo/other", "cases")


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; gives its exit code."""
    options = _parse(arguments)
    rows: list[Attempt] = []
    for folder in options.folder:
        places = indexed(SHARED / folder)
        for path in _chosen(SHARED / folder, options.names):
            data = _data(options, places.get(path.name))
            for method in options.method:
                row = in_a_process(Task(path, method, options.levels, data, options.accuracy), options.limit)
                rows.append(row)
                print(row.line(), flush=True)
                if options.results is not None:
                    with options.results.open("a", encoding="utf-8") as file:
                        file.write(json.dumps({"folder": folder, **row.record()}) + "\n")
    for folder_method, outcomes in _counted(rows).items():
        print(f"{folder_method}: {', '.join(f'{count} {outcome}' for outcome, count in sorted(outcomes.items()))}")
    return int(any(row.outcome == "failed" for row in rows))


def in_a_process(task: Task, limit: float) -> Attempt:
    """What a process of its own finds within `limit` seconds."""
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=answer, args=(sender, task), daemon=True)
    start = time.monotonic()
    process.start()
    sender.close()
    try:
        found: Attempt = receiver.recv() if receiver.poll(limit) else task.failed(f"still running after {limit:.0f} s")
    except EOFError:
        process.join()
        found = task.failed(f"the process ended with {process.exitcode}")
    process.kill()
    process.join()
    found.seconds = time.monotonic() - start
    return found


def _chosen(folder: Path, names: Sequence[str]) -> list[Path]:
    return [path for path in sorted(folder.glob("*.onnx")) if not names or any(name in path.name for name in names)]


def _data(options: argparse.Namespace, known: Data | None) -> Data | None:
    if known is None or not options.accuracy:
        return None
    return data_of(known, {"mnist": options.mnist, "fashion": options.fashion, "cifar10": options.cifar})


def _counted(rows: Sequence[Attempt]) -> dict[str, Counter[str]]:
    found: dict[str, Counter[str]] = {}
    for row in rows:
        found.setdefault(f"{row.task.path.parent.name}, {row.task.method}", Counter())[row.outcome] += 1
    return found


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", help="parts of file names; default: all")
    parser.add_argument("--folder", nargs="+", choices=FOLDERS, default=FOLDERS)
    parser.add_argument("--method", nargs="+", default=["exact"])
    parser.add_argument("--levels", type=int, help="of the method exact")
    parser.add_argument("--limit", type=float, default=300.0, help="seconds for one model")
    parser.add_argument("--accuracy", type=int, default=0, metavar="N", help="accuracies on N test images")
    parser.add_argument("--mnist", default=str(SHARED / "data" / "mnist.npz"))
    parser.add_argument("--fashion", default=str(SHARED / "data" / "fashion_mnist.npz"))
    parser.add_argument("--cifar", help="npz that examples/cifar10/decode.py wrote")
    parser.add_argument("--results", type=Path, help="append a line of JSON for each row")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
