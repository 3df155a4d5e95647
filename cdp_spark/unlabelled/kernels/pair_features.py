"""The 85 features of a pair without labels, and the features that self-training reads model by model.

In: a block of items (its own, and those of its joint lists) with lists of 40 of all models, joint lists of 15,
backgrounds, in-degrees and set features. A pair's features depend on its two ends alone, so the halo is one step deep.
Out: numbers that mean the same in every set and for any number of models, as float16, as the mediator learned them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, replace
from itertools import pairwise
from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

from cdp_spark.base.compiled import compiled
from cdp_spark.unlabelled.kernels.joint_view import NEAREST
from cdp_spark.unlabelled.kernels.view_features import VIEW, View, view_features

Longs = NDArray[np.int64]
Halves = NDArray[np.float16]
Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]

_NOT_JOINT = ("shared_40", "nep_30", "density_40_low", "density_40_high")
_JOINT = np.array([column for column, name in enumerate(VIEW) if name not in _NOT_JOINT])
_COMPARED = VIEW.index("nep_30") + 1
"""Number of the features that compare the two ends, which come first in a view."""
_RANK_LOW = VIEW.index("rank_low")
_OWN = np.array([
    VIEW.index(name)
    for name in (
        "units_low", "units_high", "rank_low", "rank_high", "above_first_low", "above_last_low", "shared_5",
        "shared_15", "shared_40", "overlap", "nep_15",
    )
])  # fmt: skip

OWN_WIDTH = 1 + len(_OWN)
"""Numbers per model that self-training reads: the cosine and eleven features."""

_PAIRS = 1 << 15
"""Pairs whose features are in memory at a time."""

_HELD = float(np.log1p(NEAREST - 0.5))


def feature_names() -> list[str]:
    """Name the columns.

    >>> len(feature_names())
    85
    """
    return [
        *(f"joint.{VIEW[column]}" for column in _JOINT),
        *(f"mean.{name}" for name in VIEW),
        *(f"{kind}.{name}" for kind in ("least", "largest") for name in VIEW[:_COMPARED]),
        "held", "held_both_ways", "held_by_all",
        *(f"{name}_{end}" for name in ("place", "standing", "standing_relative") for end in ("low", "high")),
    ]  # fmt: skip


_WIDTH = len(feature_names())


@dataclass(frozen=True)
class ModelViews:
    """A block of items in each of some models.

    Attributes
    ----------
    items : ndarray of int64, rising
    views : sequence of View
        By model.
    cosine : callable of int, ndarray, ndarray -> ndarray of float32
        Cosines of pairs of rows in one model.
    """

    items: Longs
    views: Sequence[View]
    cosine: Callable[[int, Longs, Longs], Floats]


@dataclass(frozen=True)
class JointPairs:
    """Pairs of one subset of the models, with what its joint view knows of their ends.

    Attributes
    ----------
    models : sequence of int
    view : View
        The joint view; its background is 0 and 1.
    set_features : ndarray of float32, shape (n, 3)
        See :meth:`~cdp_spark.unlabelled.kernels.set_features.Standing.features`.
    first, second : ndarray of int64, shape (m,)
        Rows of the ends, sorted.
    """

    models: Sequence[int]
    view: View
    set_features: Floats
    first: Longs
    second: Longs

    def cut(self, rows: slice) -> JointPairs:
        """Return some of the pairs."""
        return replace(self, first=self.first[rows], second=self.second[rows])


@dataclass(frozen=True)
class PairNumbers:
    """Features, shape (m, 85), see :func:`feature_names`; and those that self-training reads, 12 of each model."""

    features: Halves
    own: Halves


def numbers_of_subsets(block: ModelViews, subsets: Sequence[JointPairs]) -> Iterator[tuple[int, slice, PairNumbers]]:
    """Compute the features of the pairs of several subsets; what a model says of a pair is computed once for all.

    Yields
    ------
    number : int
        Position in ``subsets``.
    rows : slice
        Pairs of this subset; the pairs of a first end come together.
    numbers : PairNumbers
    """
    for low, high in pairwise(_row_bounds(len(block.items), subsets)):
        cuts = [slice(*np.searchsorted(each.first, (low, high)).tolist()) for each in subsets]
        some = [each.cut(rows) for each, rows in zip(subsets, cuts, strict=True)]
        compared = {model: _compared(block, model, some) for model in range(len(block.views))}
        for number, (subset, rows) in enumerate(zip(some, cuts, strict=True)):
            if rows.start < rows.stop:
                yield number, rows, _numbers(block, subset, compared)


def _row_bounds(rows: int, subsets: Sequence[JointPairs]) -> list[int]:
    """Divide the rows of a block so that each piece has about ``_PAIRS`` pairs of all subsets."""
    pieces = np.cumsum(sum(np.bincount(each.first, minlength=rows) for each in subsets)) // _PAIRS
    return [0, *(np.flatnonzero(np.diff(pieces)) + 1).tolist(), rows]


class _Compared(NamedTuple):
    """Pairs in one model, each once: first * n + second (rising), cosines and features."""

    keys: Longs
    cosine: Floats
    features: Floats


def _compared(block: ModelViews, model: int, subsets: Sequence[JointPairs]) -> _Compared:
    """Compare the ends of all pairs of the subsets that have a model."""
    count = len(block.items)
    keys = [each.first * count + each.second for each in subsets if model in each.models]
    united = keys[0] if len(keys) == 1 else np.unique(np.concatenate([np.empty(0, np.int64), *keys]))
    ends = united // count, united % count
    cosine = block.cosine(model, *ends)
    return _Compared(united, cosine, view_features(block.items, block.views[model], ends, (cosine, cosine)))


def _numbers(block: ModelViews, subset: JointPairs, compared: Mapping[int, _Compared]) -> PairNumbers:
    pairs, models, ends = len(subset.first), len(subset.models), (subset.first, subset.second)
    over, own = _OverModels.of(pairs), np.empty((pairs, OWN_WIDTH * models), np.float32)
    keys = subset.first * len(block.items) + subset.second
    for number, model in enumerate(subset.models):
        known = compared[model]
        at = np.searchsorted(known.keys, keys) if len(known.keys) != pairs else np.arange(pairs)
        columns = own[:, number * OWN_WIDTH : (number + 1) * OWN_WIDTH]
        background = np.ascontiguousarray(block.views[model].background)
        _add_model((known.cosine, known.features, at), ends, background, over, columns)
    here, there = (over.seen / models).astype(np.float32)
    joint = view_features(block.items, subset.view, ends, (here, there))
    rows = np.empty((pairs, _WIDTH), np.float32)
    _put_together((joint, subset.set_features), ends, over, models, rows)
    return PairNumbers(as_halves(rows), as_halves(own))


def pair_numbers(block: ModelViews, subset: JointPairs) -> PairNumbers:
    """Compute the features of all pairs of one subset."""
    each = [numbers for _, _, numbers in numbers_of_subsets(block, [subset])]
    none = np.empty((0, _WIDTH), np.float16), np.empty((0, OWN_WIDTH * len(subset.models)), np.float16)
    features, own = [none[0], *(one.features for one in each)], [none[1], *(one.own for one in each)]
    return PairNumbers(np.concatenate(features), np.concatenate(own))


def as_halves(values: Floats) -> Halves:
    """Round to float16; what is beyond its range becomes the largest there is."""
    largest = np.finfo(np.float16).max
    return np.clip(values, -largest, largest, out=values).astype(np.float16)


class _OverModels(NamedTuple):
    """Sums and extremes over models, by pair.

    Attributes
    ----------
    total : ndarray of float64, shape (m, 25)
    least, largest : ndarray of float32, shape (m, 15)
        Extremes of the features that compare the two ends.
    held : ndarray of int64, shape (m, 2)
        Models that hold the pair in one list at least, and in both.
    seen : ndarray of float64, shape (2, m)
        Cosines in background units of either end.
    """

    total: Doubles
    least: Floats
    largest: Floats
    held: Longs
    seen: Doubles

    @classmethod
    def of(cls, pairs: int) -> _OverModels:
        """Begin with no model."""
        least = np.full((pairs, _COMPARED), np.inf, np.float32)
        total, held, seen = np.zeros((pairs, len(VIEW))), np.zeros((pairs, 2), np.int64), np.zeros((2, pairs))
        return cls(total, least, -least, held, seen)


@compiled
def _add_model(
    known: tuple[Floats, Floats, Longs], ends: tuple[Longs, Longs], background: Doubles, over: _OverModels, own: Floats
) -> None:
    """Add the features of one model, and write those that self-training reads."""
    cosines, features, at = known
    for pair in range(len(at)):
        row, cosine = features[at[pair]], cosines[at[pair]]
        for column in range(len(row)):
            over.total[pair, column] += row[column]
        for column in range(_COMPARED):
            over.least[pair, column] = min(over.least[pair, column], row[column])
            over.largest[pair, column] = max(over.largest[pair, column], row[column])
        for either in range(2):
            over.held[pair, either] += row[_RANK_LOW + either] < _HELD
            end = ends[either][pair]
            over.seen[either, pair] += (cosine - background[end, 0]) / background[end, 1]
        own[pair, 0] = cosine
        for number in range(len(_OWN)):
            own[pair, 1 + number] = row[_OWN[number]]


@compiled
def _put_together(
    known: tuple[Floats, Floats], ends: tuple[Longs, Longs], over: _OverModels, models: int, out: Floats
) -> None:
    """Write the columns of ``feature_names``."""
    (joint, set_features), (first, second) = known, ends
    for pair in range(len(first)):
        row, end = out[pair], 0
        for number in range(len(_JOINT)):
            row[end], end = joint[pair, _JOINT[number]], end + 1
        for column in range(over.total.shape[1]):
            row[end], end = over.total[pair, column] / models, end + 1
        for column in range(_COMPARED):
            row[end], row[end + _COMPARED] = over.least[pair, column], over.largest[pair, column]
            end += 1
        end += _COMPARED
        held, both = over.held[pair, 0], over.held[pair, 1]
        row[end], row[end + 1], row[end + 2], end = held / models, both / models, held == models, end + 3
        for column in range(set_features.shape[1]):
            one, other = set_features[first[pair], column], set_features[second[pair], column]
            row[end], row[end + 1], end = min(one, other), max(one, other), end + 2
