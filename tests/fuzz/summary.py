"""What many mutants came to, in a table."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Sequence

from snnc.diagnostics.rules import RULES

from .attempt import Attempt


def lines(found: Sequence[Attempt]) -> Iterator[str]:
    """Counts by outcome and rule, seconds and memory, and every kind of finding with the numbers of its mutants."""
    good = Counter(each.outcome for each in found if not each.is_finding)
    yield f"{len(found):,} mutants"
    yield from (f"{good[outcome]:8,}  {outcome}" for outcome in ("converted", "checked", "refused"))
    codes = Counter(code for each in found for code in each.codes)
    yield from (f"{count:12,}  {code} {RULES[code].title}" for code, count in sorted(codes.items()))
    seconds, memory = (sorted(getattr(each, name) for each in found) for name in ("seconds", "megabytes"))
    if found:
        yield f"seconds of one: mean {sum(seconds) / len(found):.3f}, largest {seconds[-1]:.1f}"
        yield f"memory of one: largest {memory[-1]:.0f} MB"
    findings = [each for each in found if each.is_finding]
    yield f"{len(findings):,} findings"
    kinds = Counter((each.outcome, each.place) for each in findings)
    for (outcome, place), count in kinds.most_common():
        numbers = [each.number for each in findings if (each.outcome, each.place) == (outcome, place)]
        yield f"{count:8,}  {outcome}: {place}   mutants {', '.join(map(str, numbers[:5]))}"
