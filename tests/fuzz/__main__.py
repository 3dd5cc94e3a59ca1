"""A fuzz test: small models in which something was changed are converted, or refused with a diagnostic.

    python -m tests.fuzz --count 1000                          mutants 0 to 999 of the run 0
    python -m tests.fuzz --seed 3 --start 1234 --show          one of them, in words, with all that was found
    python -m tests.fuzz --count 100000 --jobs 2 --log log.jsonl --resume
    python -m tests.fuzz --count 100000 --log log.jsonl --resume --again          once findings are repaired
    python -m tests.fuzz --summarise log.jsonl

A finding is a mutant at which a process dies, hangs or takes all memory; that raises anything but a diagnostic; whose
diagnostic has no hint or is in the words of another program; at which anybody else writes to stdout or stderr; or whose
conversion was called verified and gives something else than its ANN on other inputs. Mutant N of a run is always the
same, for the same corpus: tests/cases, and the small models of ../shared where that is there (SNNC_SHARED). The exit
code is 1 where there is a finding.
"""

from __future__ import annotations

import argparse
import json
import pickle
import sys
import tempfile
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

from .attempt import Attempt
from .corpus import Seed, corpus, fingerprint
from .mutant import mutant
from .pool import tried
from .summary import lines


def main(arguments: Sequence[str] | None = None) -> int:
    """The command; gives its exit code."""
    options = _parse(arguments)
    if options.summarise is not None:
        return _told(_logged(options.summarise, None))
    seeds = corpus(options.shared)
    run = {"seed": options.seed, "corpus": fingerprint(seeds), "models": len(seeds), "converted": options.converted}
    if options.show:
        drawn = mutant(options.start, options.seed, seeds)
        print(f"{drawn.seed}: {', '.join(drawn.changes)}; {drawn.options}; in memory: {drawn.in_memory}")
        Path("mutant.onnx").write_bytes(drawn.content)
        options.count = 1
    if options.log is not None and options.log.exists() and not options.resume:
        sys.exit(f"{options.log} is there already: go on with --resume, or name another one")
    before = [each for each in _begun(options.log, run) if not (options.again and each.is_finding)]
    known = {each.number for each in before}
    numbers = [number for number in range(options.start, options.start + options.count) if number not in known]
    found = list(before)
    begun = time.monotonic()
    for each in _tried(numbers, options, seeds):
        found.append(each)
        if options.log is not None:
            _append(options.log, each.record())
        if each.is_finding or options.show:
            print(f"{each.number} {each.outcome} {each.place}", *([each.detail] if options.show else []), flush=True)
    print(f"{time.monotonic() - begun:.0f} s, {len(seeds)} models")
    return _told(found)


def _tried(numbers: Sequence[int], options: argparse.Namespace, seeds: Sequence[Seed]) -> Iterator[Attempt]:
    with tempfile.NamedTemporaryFile() as file:
        file.write(pickle.dumps(seeds))
        file.flush()
        arguments = [str(options.seed), str(options.converted), file.name]
        yield from tried(numbers, options.jobs, [sys.executable, "-m", "tests.fuzz.worker", *arguments])


def _told(found: Sequence[Attempt]) -> int:
    print("\n".join(lines(found)))
    return int(any(each.is_finding for each in found))


def _append(log: Path, record: object) -> None:
    with log.open("a", encoding="utf-8") as file:
        file.write(json.dumps(record) + "\n")


def _begun(log: Path | None, run: dict[str, object]) -> list[Attempt]:
    """What the log of a run has; it begins with what run it is."""
    if log is not None and log.exists():
        return _logged(log, run)
    if log is not None:
        _append(log, run)
    return []


def _logged(log: Path, run: dict[str, object] | None) -> list[Attempt]:
    """What a log has, of every mutant the last; an error where it is that of another run."""
    first, *rest = [json.loads(line) for line in log.read_text(encoding="utf-8").splitlines() if line.endswith("}")]
    if run is not None and first != run:
        sys.exit(f"{log} is of another run: {first}, not {run}")
    return list({record["number"]: Attempt(**record) for record in rest}.values())


def _parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seed", type=int, default=0, help="of the run")
    parser.add_argument("--start", type=int, default=0, help="the first mutant")
    parser.add_argument("--count", type=int, default=1000)
    parser.add_argument("--jobs", type=int, default=1)
    parser.add_argument("--converted", type=float, default=0.4, metavar="SHARE", help="the others are only checked")
    parser.add_argument("--golden", dest="shared", action="store_false", help="only the models of tests/cases")
    parser.add_argument("--log", type=Path, help="append a line of JSON for each mutant")
    parser.add_argument("--resume", action="store_true", help="go on with what the log does not have")
    parser.add_argument("--again", action="store_true", help="with --resume: try again what was a finding")
    parser.add_argument("--summarise", type=Path, metavar="LOG", help="only the table of what a log has")
    parser.add_argument("--show", action="store_true", help="only the mutant --start; its file becomes mutant.onnx")
    return parser.parse_args(arguments)


if __name__ == "__main__":
    sys.exit(main())
