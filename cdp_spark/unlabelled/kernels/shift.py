"""The shift of the log odds by agreement: where clusterings by two halves of the committee agree most.

The share of true pairs does not carry over from one collection to another. It moves all log odds by one number, between
-6, where nearly every row is alone, and 2. A shift that is too high merges clusters, and one that is too low splits
them, and either half does so in its own way. In: agreements at shifts of a grid, on demand. Out: the shift, and the
whole curve.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cdp_spark.unlabelled.kernels.agreement import Contingency

Longs = NDArray[np.int64]
Doubles = NDArray[np.float64]

SHIFTS: Doubles = np.arange(-8.0, 2.01, 0.5)
"""All shifts that may be chosen; coarse: every second."""
TRUSTED = 0.65
"""Least agreement of the halves at which a shift is trusted."""

_BALANCE = 0.05
"""Difference of strength at which a split weighs 1/e of a balanced one."""
_HIGH = 0.01
"""A shift above 0 costs this times its square."""
_VALLEY = 0.015
"""Least depth of the valley between two tops."""
_UPPER = 0.7
"""Least share of the highest top's score that a top at a higher shift must have to be taken instead."""
_AROUND = 2
_ZERO = int(np.searchsorted(SHIFTS, 0))


@dataclass(frozen=True)
class Agreement:
    """Agreement of one split at one shift: of the halves with each other, and, on average, of a half with the whole.

    ``items`` is the mean of both by items; the others are by pairs. All are 0 where a half joins nothing.
    """

    halves: float
    whole: float
    items: float = 0.0

    @property
    def score(self) -> float:
        """Mean of halves and whole."""
        return (self.halves + self.whole) / 2


def agreement_of(one: Longs, other: Longs, whole: Longs) -> Agreement:
    """Compare clusterings by two halves with each other and with that by the whole; clusters are 0 to n - 1."""
    halves = Contingency.of(one, other)
    if not halves.one or not halves.other:
        return Agreement(0.0, 0.0)
    first, second = (Contingency.of(each, whole) for each in (one, other))
    items = (halves.by_items + (first.by_items + second.by_items) / 2) / 2
    return Agreement(halves.adjusted_rand, (first.adjusted_rand + second.adjusted_rand) / 2, items)


@dataclass(frozen=True)
class Curve:
    """Scores over the shifts.

    Attributes
    ----------
    score : ndarray of float64, shape (shifts,)
        Weighted over the splits, less the cost of high shifts; between shifts that were looked at, interpolated.
    smooth : ndarray of float64, shape (shifts,)
        The same smoothed by 1-2-1.
    agreement : ndarray of float64, shape (shifts,)
        Plain agreement of the halves, mean over splits.
    looked_at : ndarray of bool, shape (shifts,)
    items : ndarray of float64, shape (shifts,)
        Agreement by items, weighted, less the cost of high shifts, and smoothed.
    """

    score: Doubles
    smooth: Doubles
    agreement: Doubles
    looked_at: NDArray[np.bool_]
    items: Doubles

    @property
    def chosen(self) -> int:
        """Index in ``SHIFTS`` of the shift that the rule takes."""
        return held_by_items(self.top, self.items)

    @property
    def top(self) -> int:
        """Index of the shift at which the pairs agree best, before the items hold it."""
        return upper_top(self.score, self.smooth)

    @property
    def trust(self) -> float:
        """Plain agreement of the halves where the pairs agree best: whether the curve means anything.

        The chosen shift may lie lower, where either half may split a large identity in another way.
        """
        return float(self.agreement[self.top])


def split_weights(strengths: Sequence[tuple[float, float]]) -> Doubles:
    """Weigh splits: those whose halves are of equal strength count most.

    Parameters
    ----------
    strengths : sequence of (float, float)
        Share of the whole's pairs that each half also lists.
    """
    apart = np.array([abs(one - other) for one, other in strengths])
    weight = np.exp(-apart / _BALANCE)
    shares: Doubles = weight / weight.sum()
    return shares


def curve_of(known: Mapping[int, Sequence[Agreement]], weights: Doubles) -> Curve:
    """Make the curve of agreements at some shifts, the lowest and the highest among them.

    Parameters
    ----------
    known : mapping of int to sequence of Agreement
        By index in ``SHIFTS``; one agreement per split.
    weights : ndarray of float64, shape (splits,)
    """
    indices, every = np.array(sorted(known)), np.arange(len(SHIFTS))
    # One addition after the other: a matrix product's last bits depend on the machine.
    scores = [sum(w * one.score for w, one in zip(weights.tolist(), known[index], strict=True)) for index in indices]
    plain = [sum(one.halves for one in known[index]) / len(known[index]) for index in indices]
    by_items = [sum(w * one.items for w, one in zip(weights.tolist(), known[index], strict=True)) for index in indices]
    score, agreement, items = (np.interp(every, indices, column) for column in (scores, plain, by_items))
    cost = _HIGH * np.maximum(SHIFTS, 0) ** 2
    return Curve(score - cost, _smooth(score) - cost, agreement, np.isin(every, indices), _smooth(items) - cost)


def _smooth(values: Doubles) -> Doubles:
    padded = np.concatenate([values[:1], values, values[-1:]])
    smoothed: Doubles = (padded[:-2] + 2 * padded[1:-1] + padded[2:]) / 4
    return smoothed


def held_by_items(index: int, items: Doubles) -> int:
    """Lower a shift above 0 to where the items agree best, 0 at the lowest.

    One identity with a tenth of all items has most of the pairs, and these agree best when it is whole, however much
    the others have run together by then.

    >>> items = np.where(SHIFTS == 1.0, 0.8, 0.7)
    >>> [float(SHIFTS[held_by_items(index, items)]) for index in (20, 18, 17, 10)]
    [1.0, 1.0, 0.0, -3.0]
    """
    lowest = min(index, _ZERO)
    return lowest + int(items[lowest : index + 1].argmax())


def upper_top(score: Doubles, smooth: Doubles) -> int:
    """Choose the index of a top of a curve.

    Halves often agree that they know nothing, so the highest top of ``score`` gives way to one at a higher shift that
    has most of its score and lies beyond a valley. The smoothed curve is climbed from there.

    >>> score = np.array([0.1, 0.8, 0.2, 0.7, 0.3])
    >>> upper_top(score, score)
    3
    """
    index, last = int(score.argmax()), len(score) - 1
    for at in range(last, index, -1):
        is_top = score[at] > score[at - 1] and (at == last or score[at] >= score[at + 1])
        if is_top and score[at] >= _UPPER * score[index] and score[at] - score[index:at].min() >= _VALLEY:
            index = at
            break
    while True:
        beside = [at for at in (index - 1, index + 1) if 0 <= at <= last]
        better = max(beside, key=lambda at: smooth[at])
        if smooth[better] <= smooth[index]:
            return index
        index = better


def shift_by_agreement(
    agreements: Callable[[Sequence[int]], Mapping[int, Sequence[Agreement]]], weights: Doubles, *, coarse: bool = True
) -> Curve:
    """Look at shifts until the choice, and all shifts near it and near the highest score, are known.

    Parameters
    ----------
    agreements : callable of sequence of int
        Agreements by index in ``SHIFTS``, one per split; no index is asked for twice.
    weights : ndarray of float64, shape (splits,)
        See :func:`split_weights`.
    coarse : bool
        Whether only every second shift is looked at first; else all are.
    """
    known = dict(agreements(range(0, len(SHIFTS), 2 if coarse else 1)))
    while True:
        curve = curve_of(known, weights)
        near = {at for top in (int(curve.score.argmax()), curve.top) for at in _beside(top)}
        near.update(range(_ZERO - 1, curve.top))
        wanted = sorted(near - known.keys())
        if not wanted:
            return curve
        known |= agreements(wanted)


def _beside(top: int) -> range:
    return range(max(0, top - _AROUND), min(len(SHIFTS), top + _AROUND + 1))
