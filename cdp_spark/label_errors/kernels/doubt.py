"""Which labels to doubt: scores and agreement of pairs -> strength; support of items -> doubt -> probability.

A pair's *strength* is the share of true pairs among pairs of its score, learned from the labels themselves. An item's
*support* by a label is the sum of the strengths of its pairs with items of that label. Its *doubt* compares what speaks
against its own label (the best support by another, and own support that is missing) with what speaks for it.

How likely a doubt means a wrong label follows from labels exchanged in thought: had an item got another label, its own
support would be none, what supports it now would be elsewhere, and missing would be what the other's label promises. So
the doubts of wrong labels are known without one true label, and the number of items with great doubts tells how many
labels are wrong. Label errors that resemble each other (two people always confused) are not of this kind.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Longs = NDArray[np.int64]
Floats = NDArray[np.float64]

SCORE_BINS = 512
"""Scores from -1 to 1."""
UNIT = 1 << 16
"""Strengths and supports are whole numbers, so that sums do not depend on their order; this is one certain pair."""
DOUBT_LOW, DOUBT_HIGH, DOUBT_BINS = -8.0, 10.0, 288
SUPPORT_BINS = 32
"""Bins of a support per certain pair."""
ELSEWHERE = 0.5
"""Support by another label from which a wrong label has one to suggest."""

_FREE = 0.2
_MISSING = 0.35
# Below this a pair says nothing, and most candidate pairs are below it.
_LEAST_STRENGTH = 1 / 64
_STRONGEST = 0.1
# Tails with fewer of the exchanged are too few items to count by. The smallest of many counts is too small by chance: a
# quarter of its deviation makes up for that (measured on faces and Omniglot with errors put in).
_TAIL = 0.3
_DEVIATIONS = 0.25
_MOST_WRONG = 0.9
_SURE = 0.999


def strengths(pairs: Longs, agreeing: Longs) -> Longs:
    """Learn the strength of a pair from how often labels agree at its score.

    Agreement never falls with the score. Where labels are wrong even the surest pairs disagree at times; their
    agreement counts as certainty.

    Parameters
    ----------
    pairs, agreeing : ndarray of int64, shape (SCORE_BINS,)
        Pairs of each score, and those of them with one label at both ends.

    Returns
    -------
    ndarray of int64, shape (SCORE_BINS,)
        In ``UNIT``.

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
    for first, end, part, whole in rising(agreeing[known] + 0.5, pairs[known] + 1.0):
        curve[first:end] = part / whole
    from_above = np.cumsum(agreeing[::-1])
    place = int(np.searchsorted(from_above, _STRONGEST * agreeing.sum()))
    certain = from_above[place] / np.cumsum(pairs[::-1])[place]
    strength = np.minimum(np.interp(np.arange(SCORE_BINS), known, curve) / certain, 1.0)
    found: Longs = np.rint(np.where(strength < _LEAST_STRENGTH, 0.0, strength) * UNIT).astype(np.int64)
    return found


def rising(part: NDArray[np.number], whole: NDArray[np.number]) -> list[tuple[int, int, float, float]]:
    """Pool neighbouring bins until ``part / whole`` never falls (isotonic regression).

    Returns
    -------
    list of (first, end, part, whole)
        One entry per pool; bins with neither are in none.

    Examples
    --------
    >>> rising(np.array([1, 3, 2, 9]), np.array([10, 10, 10, 10]))
    [(0, 1, 1.0, 10.0), (1, 3, 5.0, 20.0), (3, 4, 9.0, 10.0)]
    """
    pools: list[tuple[int, int, float, float]] = []
    for place, (a, b) in enumerate(zip(part.tolist(), whole.tolist(), strict=True)):
        if a == 0 and b == 0:
            continue
        pool = (place, place + 1, float(a), float(b))
        while pools and pools[-1][2] * pool[3] > pool[2] * pools[-1][3]:
            below = pools.pop()
            pool = (below[0], pool[1], below[2] + pool[2], below[3] + pool[3])
        pools.append(pool)
    return pools


def doubt(own: Floats, other: Floats, opportunities: Floats, expected: float) -> Floats:
    """Weigh what speaks against a label with what speaks for it, as a logarithm.

    Parameters
    ----------
    own, other : ndarray of float64
        Support by the item's own label and by the best other, in certain pairs.
    opportunities : ndarray of float64
        Items that its label could support it with: the others of the label, k at most.
    expected : float
        Mean support per opportunity.

    Examples
    --------
    >>> doubt(np.array([3.0, 0.0, 0.0]), np.array([0.0, 2.0, 0.0]), np.array([4.0, 4.0, 0.0]), 0.8).round(1).tolist()
    [-2.5, 2.8, 0.0]
    """
    missing = np.maximum(expected * opportunities - own, 0.0)
    found: Floats = np.log((other + _FREE + _MISSING * missing) / (own + _FREE))
    return found


def doubt_bins(doubts: Floats) -> Longs:
    """Return the bin of each doubt."""
    step = (DOUBT_HIGH - DOUBT_LOW) / DOUBT_BINS
    found: Longs = np.clip((doubts - DOUBT_LOW) // step, 0, DOUBT_BINS - 1).astype(np.int64)
    return found


@dataclass(frozen=True)
class Judge:
    """What a doubt means in these data. Everything is plain numbers, so that it can be stored.

    Attributes
    ----------
    expected : float
        Mean support per opportunity.
    wrong_share : float
        Estimated share of wrong labels.
    doubts, probabilities : list of two lists of float
        Probability of a wrong label at rising doubts: without, and with, support by another label.
    least : list of two (float or None)
        Smallest doubt above which the wanted precision is estimated; None where there is none.
    """

    expected: float
    wrong_share: float
    doubts: list[list[float]]
    probabilities: list[list[float]]
    least: list[float | None]

    def probability(self, doubts: Floats, elsewhere: NDArray[np.bool_]) -> Floats:
        """Return the probability that each label is wrong."""
        found = np.zeros(len(doubts))
        for kind, chosen in enumerate((~elsewhere, elsewhere)):
            if self.doubts[kind]:
                found[chosen] = np.interp(doubts[chosen], self.doubts[kind], self.probabilities[kind])
        return found

    def convinced(self, doubts: Floats, elsewhere: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Tell which labels are called wrong at the wanted precision."""
        least = np.array([np.inf if each is None else each for each in self.least])
        found: NDArray[np.bool_] = doubts >= least[elsewhere.astype(np.int64)]
        return found


@dataclass(frozen=True)
class Census:
    """What the judge must know of all items.

    Attributes
    ----------
    expected : float
        Mean support per opportunity.
    doubts : ndarray of int64, shape (2, DOUBT_BINS)
        Items by doubt: without, and with, support by another label.
    supports : ndarray of int64
        Items by their best support by any label, ``SUPPORT_BINS`` bins to a certain pair.
    opportunities : ndarray of int64
        Items by opportunities, from 0 on.
    """

    expected: float
    doubts: Longs
    supports: Longs
    opportunities: Longs


def judge(census: Census, precision: float) -> Judge:
    """Learn from all items what a doubt means.

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
    for real, thought in zip(census.doubts, wrong * share * items, strict=True):
        pools = [pool for pool in rising(thought, real) if pool[3] > 0]
        middles = [np.average(centres[first:end], weights=real[first:end]) for first, end, _, _ in pools]
        doubts.append([float(middle) for middle in middles])
        probabilities.append([min(part / whole, _SURE) for _, _, part, whole in pools])
        least.append(_least(real, thought, precision))
    return Judge(census.expected, share, doubts, probabilities, least)


def exchanged(census: Census) -> Floats:
    """Return the distribution of doubts (as ``Census.doubts``, sum 1) of items that have got another item's label."""
    best = (np.arange(len(census.supports)) + 0.5) / SUPPORT_BINS
    best[0] = 0.0
    found = np.zeros((2, DOUBT_BINS))
    elsewhere = (best >= ELSEWHERE).astype(np.int64)
    for opportunities, count in enumerate(census.opportunities.tolist()):
        if count:
            doubts = doubt(np.zeros(len(best)), best, np.full(len(best), float(opportunities)), census.expected)
            np.add.at(found, (elsewhere, doubt_bins(doubts)), census.supports * float(count))
    whole: Floats = found / max(found.sum(), 1.0)
    return whole


def _wrong_share(real: Longs, wrong: Floats) -> float:
    """Return the largest share of wrong labels for which no tail of the doubts has too few items."""
    items = max(int(real.sum()), 1)
    above, wrong_above = np.cumsum(real[::-1]), np.cumsum(wrong[::-1])
    far = wrong_above >= _TAIL
    likely = above[far] + _DEVIATIONS * (np.sqrt(above[far]) + 1)
    bounds = likely / (items * wrong_above[far])
    return float(min(bounds.min(initial=_MOST_WRONG), _MOST_WRONG))


def _least(real: Longs, thought: Floats, precision: float) -> float | None:
    """Return the smallest doubt above which a share of ``precision`` is wrong."""
    above, wrong_above = np.cumsum(real[::-1])[::-1], np.cumsum(thought[::-1])[::-1]
    good = np.flatnonzero((wrong_above >= precision * above) & (above > 0))
    return float(DOUBT_LOW + good[0] * (DOUBT_HIGH - DOUBT_LOW) / DOUBT_BINS) if len(good) else None
