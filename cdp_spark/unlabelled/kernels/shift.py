"""The shift of the log odds by agreement: where clusterings by two halves of the committee agree most.

The share of true pairs does not carry over from one collection to another. It moves all log odds by one number, between
-6, where nearly every row is alone, and 2. A shift that is too high merges clusters, and one that is too low splits
them, and either half does so in its own way. A half knows less than the whole, so it may need a higher shift to find
the same clusters. In: agreements at shifts of a grid, on demand. Out: the shift, and the whole curve.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from cdp_spark.unlabelled.kernels.agreement import Contingency

Longs = NDArray[np.int64]
Doubles = NDArray[np.float64]

SHIFTS: Doubles = np.arange(-8.0, 2.01, 0.5)
"""All shifts that may be chosen; coarse: every second."""
TRUSTED = 0.65
"""Least agreement of the halves at which a shift is trusted."""

LEAST_RECALL = 0.7
"""Least predicted recall of clusters that are trusted."""

_BALANCE = 0.05
"""Difference of strength at which a split weighs 1/e of a balanced one."""
_HIGH = 0.01
"""A shift above 0 costs this times its square."""
_VALLEY = 0.015
"""Least depth of the valley between two tops."""
_UPPER = 0.7
"""Least share of the highest top's score that a top at a higher shift must have to be taken instead."""
_AROUND = 2
_LOWER = 4
"""How many indices the whole's shift may lie below that of the halves."""
_LIKE = 0.02
"""Smaller differences of likeness mean nothing: it is flat where one large identity is whole."""


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


def likeness_of(one: Longs, other: Longs, whole: Longs) -> float:
    """Compare the clusters of the whole with those of two halves: mean over the halves, by pairs and by items."""
    counts = [Contingency.of(half, whole) for half in (one, other)]
    return sum(each.adjusted_rand + each.by_items for each in counts) / 4


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
    likeness : ndarray of float64, shape (shifts,)
        How like the halves at ``top`` the whole is at each shift, weighted; 0 where that was not asked.
    """

    score: Doubles
    smooth: Doubles
    agreement: Doubles
    looked_at: NDArray[np.bool_]
    items: Doubles
    likeness: Doubles

    @property
    def chosen(self) -> int:
        """Index in ``SHIFTS`` of the shift that the rule takes."""
        return shift_of_whole(self.top, self.likeness, self.items)

    @property
    def top(self) -> int:
        """Index of the shift at which the pairs of the halves agree best."""
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
    smooth, items = _smooth(score) - cost, _smooth(items) - cost
    return Curve(score - cost, smooth, agreement, np.isin(every, indices), items, np.zeros(len(SHIFTS)))


def _smooth(values: Doubles) -> Doubles:
    padded = np.concatenate([values[:1], values, values[-1:]])
    smoothed: Doubles = (padded[:-2] + 2 * padded[1:-1] + padded[2:]) / 4
    return smoothed


def shift_of_whole(top: int, likeness: Doubles, items: Doubles) -> int:
    """Choose the index of the whole's shift, given that of the halves.

    It is at most theirs, and at least the lowest at which the whole is as like the halves at theirs as anywhere below.
    Between the two, pairs tell little: one identity with a tenth of all items has most of them, and is whole
    throughout. There each item counts once.

    >>> likeness, items = np.zeros(len(SHIFTS)), np.where(SHIFTS == 1.5, 0.8, 0.7)
    >>> likeness[16:21] = 0.6, 0.9, 0.8, 0.8, 0.8  # from 0 to 2
    >>> float(SHIFTS[shift_of_whole(20, likeness, items)])
    1.5
    """
    near = _lower(top)
    most = max(likeness[at] for at in near)
    lowest = next(at for at in near if likeness[at] >= most - _LIKE) if most > 0 else top
    return lowest + int(items[lowest : top + 1].argmax())


def _lower(top: int) -> range:
    return range(max(0, top - _LOWER), top + 1)


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
    agreements: Callable[[Sequence[int]], Mapping[int, Sequence[Agreement]]],
    likeness: Callable[[int, Sequence[int]], Mapping[int, Sequence[float]]],
    weights: Doubles,
    *,
    coarse: bool = True,
) -> Curve:
    """Look at shifts until the choice, and all shifts near it and near the highest score, are known.

    Parameters
    ----------
    agreements : callable of sequence of int
        Agreements by index in ``SHIFTS``, one per split; no index is asked for twice.
    likeness : callable of (int, sequence of int)
        Likeness of the halves at the first index and the whole at others, one per split, by index. Asked once.
    weights : ndarray of float64, shape (splits,)
        See :func:`split_weights`.
    coarse : bool
        Whether only every second shift is looked at first; else all are.
    """
    known = dict(agreements(range(0, len(SHIFTS), 2 if coarse else 1)))
    while True:
        curve = curve_of(known, weights)
        near = {at for top in (int(curve.score.argmax()), curve.top) for at in _beside(top)}
        near.update(range(max(0, curve.top - _LOWER - 1), curve.top))
        wanted = sorted(near - known.keys())
        if not wanted:
            break
        known |= agreements(wanted)
    like = np.zeros(len(SHIFTS))
    for index, each in likeness(curve.top, _lower(curve.top)).items():
        like[index] = sum(w * one for w, one in zip(weights.tolist(), each, strict=True))
    return replace(curve, likeness=like)


def _beside(top: int) -> range:
    return range(max(0, top - _AROUND), min(len(SHIFTS), top + _AROUND + 1))
