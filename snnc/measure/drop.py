"""How much accuracy a network loses against another one, with certainty, and the smallest candidate that loses little.

Both classify the same samples. With labels, b samples are lost (the first network is right, the second wrong) and c are
gained; the drop is d = P(lost) - P(gained). With m = P(lost or gained) and π = P(lost | lost or gained)

    d = m·(2π - 1)

b + c counts m on n samples, and of these b count π: Clopper and Pearson's exact upper ends for both, each with half of
the allowed error, bound d from above. Without labels the drop is the share of samples that the two put into different
classes, at least as much as the drop of any labels, and its bound is the exact one of a share.

Several candidates are measured on the same samples, and the best of them would look better than it is. So the bounds of
all hold at once: each has its part of the allowed error (Bonferroni).
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np

CONFIDENCE = 0.95
_BISECTIONS = 50
_MOST_SAMPLES = 10**6


@dataclass(frozen=True)
class Pairs:
    """Of `samples`: how many are lost, and how many gained; `gained` is None where there are no labels, and `lost`
    counts those in different classes."""

    samples: int
    lost: int
    gained: int | None

    @property
    def drop(self) -> float:
        """The share that is lost on these samples."""
        return (self.lost - (self.gained or 0)) / self.samples

    def with_more(self, found: np.ndarray, expected: np.ndarray, labels: np.ndarray | None) -> Pairs:
        """With more samples: the classes that the second network `found`, those of the first one, and the labels."""
        samples = self.samples + len(found)
        if labels is None:
            return Pairs(samples, self.lost + int((found != expected).sum()), None)
        lost = int(((expected == labels) & (found != labels)).sum())
        gained = int(((expected != labels) & (found == labels)).sum())
        return Pairs(samples, self.lost + lost, (self.gained or 0) + gained)


@dataclass(frozen=True)
class Tried:
    """What was found for a candidate; the drop is not larger than `bound`."""

    candidate: int
    pairs: Pairs
    bound: float


@dataclass(frozen=True)
class Search:
    """Candidates in the order in which they were tried; `met`: the bound of the last one is small enough."""

    tried: list[Tried]
    met: bool

    @property
    def chosen(self) -> Tried:
        """The one that met the target, else the one with the least bound (of equals the first)."""
        return self.tried[-1] if self.met else min(self.tried, key=lambda found: found.bound)


def smallest(
    candidates: Sequence[int], target: float, evaluate: Callable[[int, Callable[[Pairs, int], bool]], Pairs]
) -> Search:
    """The first of `candidates`, in ascending order, whose drop is at most `target`, with a confidence of 95 % for all
    of them together.

    `evaluate(candidate, hopeless)` measures one; it may stop where `hopeless(pairs so far, samples in all)` says that
    the target is missed even if no other sample differs. Samples that are too few to meet it are all looked at.
    """
    error = allowed_error(candidates)

    def hopeless(so_far: Pairs, samples: int) -> bool:
        same = Pairs(samples, 0, None if so_far.gained is None else 0)
        return upper_bound(same, error) <= target < upper_bound(Pairs(samples, so_far.lost, so_far.gained), error)

    tried: list[Tried] = []
    for candidate in sorted(candidates):
        pairs = evaluate(candidate, hopeless)
        tried.append(Tried(candidate, pairs, upper_bound(pairs, error)))
        if tried[-1].bound <= target:
            return Search(tried, met=True)
    return Search(tried, met=False)


def allowed_error(candidates: Sequence[int]) -> float:
    """What the bound of each candidate may be wrong by, so that all hold at once."""
    return (1 - CONFIDENCE) / len(candidates)


def upper_bound(pairs: Pairs, error: float) -> float:
    """A bound on the drop that is too low with a probability of at most `error`, from 0 to 1."""
    if pairs.gained is None:
        return share_at_most(pairs.lost, pairs.samples, error)
    differing = pairs.lost + pairs.gained
    of_differing = share_at_most(pairs.lost, differing, error / 2) if differing else 1.0
    return share_at_most(differing, pairs.samples, error / 2) * max(0.0, 2 * of_differing - 1)


def share_at_most(count: int, samples: int, error: float) -> float:
    """Clopper and Pearson's upper end: the largest p for which `count` or fewer of `samples` have a probability of at
    least `error`."""
    if count >= samples:
        return 1.0
    below, above = count / samples, 1.0
    log_choices = _log_choices(samples, count)
    for _ in range(_BISECTIONS):
        middle = (below + above) / 2
        if _at_most(log_choices, samples, middle) >= error:
            below = middle
        else:
            above = middle
    return above


def fewest_samples(target: float, error: float, *, labels: bool) -> int:
    """How many samples it takes to show a drop of at most `target` where not a single one differs (for an error of 5 %
    the rule of three, 3/target)."""
    return math.ceil(math.log(error / 2 if labels else error) / math.log1p(-target))


def samples_needed(pairs: Pairs, target: float, error: float) -> int | None:
    """How many samples would show a drop of at most `target` if the shares stayed as they are; None where the drop
    itself is not less, or a million would not."""
    if pairs.drop >= target:
        return None
    few, many = 1.0, 2.0
    while not _shows(pairs, many, target, error):
        few, many = many, 2 * many
        if many * pairs.samples > _MOST_SAMPLES:
            return None
    while many - few > 0.01 * few:
        middle = (few + many) / 2
        few, many = (few, middle) if _shows(pairs, middle, target, error) else (middle, many)
    return math.ceil(many * pairs.samples)


def _shows(pairs: Pairs, factor: float, target: float, error: float) -> bool:
    gained = None if pairs.gained is None else round(factor * pairs.gained)
    more = Pairs(math.ceil(factor * pairs.samples), round(factor * pairs.lost), gained)
    return upper_bound(more, error) <= target


def _log_choices(samples: int, count: int) -> np.ndarray:
    """log of `samples` over k, for k from 0 to `count`."""
    k = np.arange(1, count + 1)
    return np.concatenate([[0.0], np.cumsum(np.log(samples - k + 1) - np.log(k))])


def _at_most(log_choices: np.ndarray, samples: int, share: float) -> float:
    """The probability of at most so many of `samples` as `log_choices` has entries behind the first; `share` lies
    between 0 and 1."""
    k = np.arange(len(log_choices))
    return float(np.exp(log_choices + k * math.log(share) + (samples - k) * math.log1p(-share)).sum())
