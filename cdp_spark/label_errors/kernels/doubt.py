"""Which labels to doubt: scores and agreement of pairs -> strength; support of items -> doubt -> probability.

The *strength* of a pair is the share of true pairs among pairs of its score, learned from the labels themselves. The
*support* of an item by a label is the sum of the strengths of its pairs with items of that label. The *doubt* of an
item compares the evidence against its label (the best support by another, and missing support by its own) with the
evidence for it.

The probability that a doubt means a wrong label follows from a simulated exchange of labels. If an item got the label
of another, it would have no support by its label, its present support would be by another, and the missing support
would be that expected for the other's label. So the doubts of wrong labels are known without a single true label, and
the number of items with large doubts gives the number of wrong labels. Correlated label errors (two people who are
always confused) are not covered.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Longs = NDArray[np.int64]
Floats = NDArray[np.float64]

SCORE_BINS = 512
"""Scores from -1 to 1."""
UNIT = 1 << 16
"""One certain pair: strengths and supports are integers, so that sums do not depend on their order."""
DOUBT_LOW, DOUBT_HIGH, DOUBT_BINS = -8.0, 10.0, 288
SUPPORT_BINS = 32
"""Bins of support per certain pair."""
ELSEWHERE = 0.5
"""Least support by another label at which that label is suggested."""

_FREE = 0.2
_MISSING = 0.35
# Weaker pairs, which are most candidate pairs, count as 0.
_LEAST_STRENGTH = 1 / 64
_STRONGEST = 0.1
_CERTAIN = 0.95
# A tail with a smaller share of the exchanged labels has too few items. The smallest of many counts is biased
# downwards; a quarter of its deviation corrects that (measured on faces and Omniglot with injected errors).
_TAIL = 0.3
_DEVIATIONS = 0.25
_MOST_WRONG = 0.9
_SURE = 0.999


def strengths(pairs: Longs, agreeing: Longs) -> Longs:
    """Learn the strength of a pair from how often labels agree at its score.

    Agreement never falls with the score. Where labels are wrong, even the most certain pairs sometimes disagree; their
    agreement counts as strength 1.

    Parameters
    ----------
    pairs, agreeing : ndarray of int64, shape (SCORE_BINS,)
        Pairs of each score, and those among them with the same label at both ends.

    Returns
    -------
    ndarray of int64, shape (SCORE_BINS,)
        In multiples of 1 / ``UNIT``.

    Examples
    --------
    >>> pairs, agreeing = np.zeros((2, SCORE_BINS), np.int64)
    >>> pairs[[300, 400, 500]], agreeing[[300, 400, 500]] = 1000, [0, 450, 900]
    >>> (strengths(pairs, agreeing)[[300, 400, 500]] / UNIT).round(2).tolist()
    [0.0, 0.5, 1.0]
    """
    known = np.flatnonzero(pairs)
    if not agreeing.any():
        return np.zeros(SCORE_BINS, np.int64)
    curve = np.empty(len(known))
    for first, end, numerator, denominator in isotonic_pools(agreeing[known] + 0.5, pairs[known] + 1.0):
        curve[first:end] = numerator / denominator
    from_above = np.cumsum(agreeing[::-1])
    strongest = int(np.searchsorted(from_above, _STRONGEST * agreeing.sum()))
    certain = from_above[strongest] / np.cumsum(pairs[::-1])[strongest]
    strength = np.minimum(np.interp(np.arange(SCORE_BINS), known, curve) / certain, 1.0)
    rounded: Longs = np.rint(np.where(strength < _LEAST_STRENGTH, 0.0, strength) * UNIT).astype(np.int64)
    return rounded


def by_odds(strengths: Longs) -> Longs:
    """Weigh pairs by the odds of their strengths, so that doubtful pairs do not add up.

    For scores that look at the pairs around: where such a score is wrong, those around it are wrong with it, and ten
    doubtful pairs are no more than one. Pairs of strength .95 or more count as certain.

    Examples
    --------
    >>> (by_odds(np.array([0.0, 0.5, 0.9, 1.0]) * UNIT) / UNIT).round(2).tolist()
    [0.0, 0.05, 0.47, 1.0]
    """
    share = np.minimum(strengths / UNIT, _CERTAIN)
    odds = share / (1 - share) * (1 - _CERTAIN) / _CERTAIN
    weights: Longs = np.rint(odds * UNIT).astype(np.int64)
    return weights


class Pool(NamedTuple):
    """Bins ``first`` to ``end`` (exclusive), and their sums."""

    first: int
    end: int
    numerator: float
    denominator: float


def isotonic_pools(numerators: NDArray[np.number], denominators: NDArray[np.number]) -> list[Pool]:
    """Pool neighbouring bins until the quotient never falls (isotonic regression).

    ``scipy.optimize.isotonic_regression`` does not allow a denominator of 0, and pools bins with equal quotients.

    Returns
    -------
    list of Pool
        Bins with two zeros are in none.

    Examples
    --------
    >>> [tuple(pool) for pool in isotonic_pools(np.array([1, 3, 2, 9]), np.array([10, 10, 10, 10]))]
    [(0, 1, 1.0, 10.0), (1, 3, 5.0, 20.0), (3, 4, 9.0, 10.0)]
    """
    pools: list[Pool] = []
    for i, (a, b) in enumerate(zip(numerators.tolist(), denominators.tolist(), strict=True)):
        if a == 0 and b == 0:
            continue
        pool = Pool(i, i + 1, float(a), float(b))
        while pools and pools[-1].numerator * pool.denominator > pool.numerator * pools[-1].denominator:
            below = pools.pop()
            sums = below.numerator + pool.numerator, below.denominator + pool.denominator
            pool = Pool(below.first, pool.end, *sums)
        pools.append(pool)
    return pools


def doubt(own: Floats, other: Floats, opportunities: Floats, expected: float) -> Floats:
    """Return the log ratio of the evidence against a label to the evidence for it.

    Parameters
    ----------
    own, other : ndarray of float64
        Support by the item's own label and by the best other one, in certain pairs.
    opportunities : ndarray of float64
        Items that could support it: the others with its label, at most k.
    expected : float
        Mean support per opportunity.

    Examples
    --------
    >>> doubt(np.array([3.0, 0.0, 0.0]), np.array([0.0, 2.0, 0.0]), np.array([4.0, 4.0, 0.0]), 0.8).round(1).tolist()
    [-2.5, 2.8, 0.0]
    """
    missing = np.maximum(expected * opportunities - own, 0.0)
    ratio: Floats = np.log((other + _FREE + _MISSING * missing) / (own + _FREE))
    return ratio


def doubt_bins(doubts: Floats) -> Longs:
    """Return the bin of each doubt."""
    step = (DOUBT_HIGH - DOUBT_LOW) / DOUBT_BINS
    bins: Longs = np.clip((doubts - DOUBT_LOW) // step, 0, DOUBT_BINS - 1).astype(np.int64)
    return bins


@dataclass(frozen=True)
class DoubtModel:
    """The probability of a wrong label by doubt, as plain numbers that can be stored.

    Attributes
    ----------
    expected : float
        Mean support per opportunity.
    wrong_share : float
        Estimated share of wrong labels.
    doubts, probabilities : list of two lists of float
        Probability of a wrong label at ascending doubts: without, and with, support by another label.
    least : list of two (float or None)
        Smallest doubt above which the estimated precision is the wanted one; None if there is none.
    """

    expected: float
    wrong_share: float
    doubts: list[list[float]]
    probabilities: list[list[float]]
    least: list[float | None]

    def probability(self, doubts: Floats, elsewhere: NDArray[np.bool_]) -> Floats:
        """Return the probability that each label is wrong."""
        probability = np.zeros(len(doubts))
        for kind, chosen in enumerate((~elsewhere, elsewhere)):
            if self.doubts[kind]:
                probability[chosen] = np.interp(doubts[chosen], self.doubts[kind], self.probabilities[kind])
        return probability

    def called_wrong(self, doubts: Floats, elsewhere: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Return which labels are called wrong at the wanted precision."""
        least = np.array([np.inf if each is None else each for each in self.least])
        called: NDArray[np.bool_] = doubts >= least[elsewhere.astype(np.int64)]
        return called


@dataclass(frozen=True)
class Census:
    """Counts over all items, from which the model is learned.

    Attributes
    ----------
    expected : float
        Mean support per opportunity.
    doubts : ndarray of int64, shape (2, DOUBT_BINS)
        Number of items by doubt: without, and with, support by another label.
    supports : ndarray of int64
        Number of items by their best support by any label, in ``SUPPORT_BINS`` bins per certain pair.
    opportunities : ndarray of int64
        Number of items by opportunities, from 0 on.
    """

    expected: float
    doubts: Longs
    supports: Longs
    opportunities: Longs


def learned(census: Census, precision: float) -> DoubtModel:
    """Learn the probability of a wrong label by doubt.

    Parameters
    ----------
    census : Census
    precision : float
        Wanted share of wrong labels among those that are called wrong.
    """
    wrong = exchanged(census)
    items = int(census.doubts.sum())
    share = _wrong_share(census.doubts.sum(axis=0), wrong.sum(axis=0))
    centres = DOUBT_LOW + (np.arange(DOUBT_BINS) + 0.5) * (DOUBT_HIGH - DOUBT_LOW) / DOUBT_BINS
    doubts, probabilities, least = [], [], []
    for real, simulated in zip(census.doubts, wrong * share * items, strict=True):
        pools = [pool for pool in isotonic_pools(simulated, real) if pool.denominator > 0]
        middles = [np.average(centres[first:end], weights=real[first:end]) for first, end, _, _ in pools]
        doubts.append([float(middle) for middle in middles])
        probabilities.append([min(pool.numerator / pool.denominator, _SURE) for pool in pools])
        least.append(_least(real, simulated, precision))
    return DoubtModel(census.expected, share, doubts, probabilities, least)


def exchanged(census: Census) -> Floats:
    """Return the distribution of doubts if every item had the label of another.

    It has the shape of ``Census.doubts`` and the sum 1.
    """
    best = (np.arange(len(census.supports)) + 0.5) / SUPPORT_BINS
    best[0] = 0.0
    counts = np.zeros((2, DOUBT_BINS))
    elsewhere = (best >= ELSEWHERE).astype(np.int64)
    for opportunities, count in enumerate(census.opportunities.tolist()):
        if count:
            doubts = doubt(np.zeros(len(best)), best, np.full(len(best), float(opportunities)), census.expected)
            np.add.at(counts, (elsewhere, doubt_bins(doubts)), census.supports * float(count))
    distribution: Floats = counts / max(counts.sum(), 1.0)
    return distribution


def _wrong_share(real: Longs, wrong: Floats) -> float:
    """Return the largest share of wrong labels that fits every tail of the doubts."""
    items = max(int(real.sum()), 1)
    above, wrong_above = np.cumsum(real[::-1]), np.cumsum(wrong[::-1])
    far = wrong_above >= _TAIL
    likely = above[far] + _DEVIATIONS * (np.sqrt(above[far]) + 1)
    bounds = likely / (items * wrong_above[far])
    return float(min(bounds.min(initial=_MOST_WRONG), _MOST_WRONG))


def _least(real: Longs, simulated: Floats, precision: float) -> float | None:
    """Return the smallest doubt above which a share of ``precision`` is wrong."""
    above, wrong_above = np.cumsum(real[::-1])[::-1], np.cumsum(simulated[::-1])[::-1]
    good = np.flatnonzero((wrong_above >= precision * above) & (above > 0))
    return float(DOUBT_LOW + good[0] * (DOUBT_HIGH - DOUBT_LOW) / DOUBT_BINS) if len(good) else None
