"""The shift of the log odds by agreement: where clusterings by two halves of the committee agree most.

How many pairs are true does not carry over from one collection to another; it moves all log odds by one number, from -6
where nearly every row is alone to nearly 2. Too high, and the halves run together differently; too low, and they fall
apart differently. In: agreements at shifts of a grid, as they are asked for. Out: the shift, and the whole curve.
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
    """Of one split at one shift: the halves with each other, and the mean of each half with the whole.

    ``items`` is the mean of both by items, the others are by pairs. Where a half joins nothing all are 0.
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
        """Place of the shift that the rule takes."""
        return held_by_items(self.top, self.items)

    @property
    def top(self) -> int:
        """Place where the pairs agree best, before the items hold it."""
        return upper_top(self.score, self.smooth)

    @property
    def trust(self) -> float:
        """Plain agreement of the halves where the pairs agree best: whether the curve tells anything at all.

        Not at the chosen shift: there a large identity may be in two parts, in either half others.
        """
        return float(self.agreement[self.top])


def split_weights(strengths: Sequence[tuple[float, float]]) -> Doubles:
    """Weigh splits: those whose halves are of equal strength count most.

    Parameters
    ----------
    strengths : sequence of (float, float)
        Of either half: the share of the whole's pairs that it lists, too.
    """
    apart = np.array([abs(one - other) for one, other in strengths])
    weight = np.exp(-apart / _BALANCE)
    shares: Doubles = weight / weight.sum()
    return shares


def curve_of(found: Mapping[int, Sequence[Agreement]], weights: Doubles) -> Curve:
    """Make the curve of agreements at some shifts, the lowest and the highest among them.

    Parameters
    ----------
    found : mapping of int to sequence of Agreement
        By place in ``SHIFTS``; one agreement per split.
    weights : ndarray of float64, shape (splits,)
    """
    places, every = np.array(sorted(found)), np.arange(len(SHIFTS))
    # Sums of a few numbers, one after the other: a matrix product's last bits depend on the machine.
    scores = [sum(w * one.score for w, one in zip(weights.tolist(), found[place], strict=True)) for place in places]
    plain = [sum(one.halves for one in found[place]) / len(found[place]) for place in places]
    by_items = [sum(w * one.items for w, one in zip(weights.tolist(), found[place], strict=True)) for place in places]
    score, agreement, items = (np.interp(every, places, column) for column in (scores, plain, by_items))
    cost = _HIGH * np.maximum(SHIFTS, 0) ** 2
    return Curve(score - cost, _smooth(score) - cost, agreement, np.isin(every, places), _smooth(items) - cost)


def _smooth(values: Doubles) -> Doubles:
    padded = np.concatenate([values[:1], values, values[-1:]])
    found: Doubles = (padded[:-2] + 2 * padded[1:-1] + padded[2:]) / 4
    return found


def held_by_items(place: int, items: Doubles) -> int:
    """Lower a shift above 0 to where the items agree best, 0 at the lowest.

    One identity with a tenth of all items has most of the pairs, and these agree best when it is whole, however much
    the others have run together by then.

    >>> items = np.where(SHIFTS == 1.0, 0.8, 0.7)
    >>> [float(SHIFTS[held_by_items(place, items)]) for place in (20, 18, 17, 10)]
    [1.0, 1.0, 0.0, -3.0]
    """
    lowest = min(place, _ZERO)
    return lowest + int(items[lowest : place + 1].argmax())


def upper_top(score: Doubles, smooth: Doubles) -> int:
    """Choose a place of a curve.

    The highest place of ``score``; where there is a top at a higher shift with a valley between them, which has most
    of the other's score, that one: the halves often agree that they know nothing. From there the smoothed curve is
    climbed.

    >>> score = np.array([0.1, 0.8, 0.2, 0.7, 0.3])
    >>> upper_top(score, score)
    3
    """
    place, last = int(score.argmax()), len(score) - 1
    for at in range(last, place, -1):
        is_top = score[at] > score[at - 1] and (at == last or score[at] >= score[at + 1])
        if is_top and score[at] >= _UPPER * score[place] and score[at] - score[place:at].min() >= _VALLEY:
            place = at
            break
    while True:
        beside = [at for at in (place - 1, place + 1) if 0 <= at <= last]
        better = max(beside, key=lambda at: smooth[at])
        if smooth[better] <= smooth[place]:
            return place
        place = better


def shift_by_agreement(
    agreements: Callable[[Sequence[int]], Mapping[int, Sequence[Agreement]]], weights: Doubles, *, coarse: bool = True
) -> Curve:
    """Look at shifts until the choice, and all near it and near the highest place, are known.

    Parameters
    ----------
    agreements : callable of sequence of int
        Agreements at places of ``SHIFTS``, one per split, by place; no place is asked for twice.
    weights : ndarray of float64, shape (splits,)
        See :func:`split_weights`.
    coarse : bool
        Whether only every second shift is looked at first; else all are.
    """
    found = dict(agreements(range(0, len(SHIFTS), 2 if coarse else 1)))
    while True:
        curve = curve_of(found, weights)
        near = {at for top in (int(curve.score.argmax()), curve.top) for at in _beside(top)}
        near.update(range(_ZERO - 1, curve.top))
        wanted = sorted(near - found.keys())
        if not wanted:
            return curve
        found |= agreements(wanted)


def _beside(top: int) -> range:
    return range(max(0, top - _AROUND), min(len(SHIFTS), top + _AROUND + 1))
