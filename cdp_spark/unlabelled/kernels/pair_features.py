"""The 85 features of a pair without labels, and the features that self-training reads model by model.

In: a block of items (its own, and those of its joint lists) with lists of 40 of all models, joint lists of 15,
backgrounds, in-degrees and set features. A pair's features depend on its two ends alone, so the halo is one step deep.
Out: numbers that mean the same in every set and for any number of models, as float16, as the mediator learned them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
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


@dataclass(frozen=True)
class UnlabelledBlock:
    """The inputs of a block's pairs.

    Attributes
    ----------
    items : ndarray of int64, rising
    models : sequence of View
    joint : View
        Its background is 0 and 1.
    set_features : ndarray of float32, shape (n, 3)
        See :meth:`~cdp_spark.unlabelled.kernels.set_features.Standing.features`.
    first, second : ndarray of int64, shape (m,)
        Rows of the ends of the pairs, sorted by ``first``.
    cosine : callable of int, ndarray, ndarray -> ndarray of float32
        Cosines of pairs of rows in one model.
    """

    items: Longs
    models: Sequence[View]
    joint: View
    set_features: Floats
    first: Longs
    second: Longs
    cosine: Callable[[int, Longs, Longs], Floats]


@dataclass(frozen=True)
class PairNumbers:
    """Features, shape (m, 85), see :func:`feature_names`; and those that self-training reads, 12 of each model."""

    features: Halves
    own: Halves


def pair_numbers(block: UnlabelledBlock) -> PairNumbers:
    """Compute the features of all pairs of a block."""
    pairs, models, ends = len(block.first), len(block.models), (block.first, block.second)
    over, own = _OverModels.of(pairs), np.empty((pairs, OWN_WIDTH * models), np.float32)
    for number, view in enumerate(block.models):
        cosine = block.cosine(number, block.first, block.second)
        features = view_features(block.items, view, ends, (cosine, cosine))
        columns = own[:, number * OWN_WIDTH : (number + 1) * OWN_WIDTH]
        _add_model((cosine, features), ends, np.ascontiguousarray(view.background), over, columns)
    here, there = (over.seen / models).astype(np.float32)
    joint = view_features(block.items, block.joint, ends, (here, there))
    rows = np.empty((pairs, len(feature_names())), np.float32)
    _put_together((joint, block.set_features), ends, over, models, rows)
    return PairNumbers(as_halves(rows), as_halves(own))


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
        Of the features that compare the two ends.
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
    known: tuple[Floats, Floats], ends: tuple[Longs, Longs], background: Doubles, over: _OverModels, own: Floats
) -> None:
    """Add the features of one model, and write those that self-training reads."""
    cosine, features = known
    for pair in range(len(cosine)):
        row = features[pair]
        for column in range(len(row)):
            over.total[pair, column] += row[column]
        for column in range(_COMPARED):
            over.least[pair, column] = min(over.least[pair, column], row[column])
            over.largest[pair, column] = max(over.largest[pair, column], row[column])
        for either in range(2):
            over.held[pair, either] += row[_RANK_LOW + either] < _HELD
            end = ends[either][pair]
            over.seen[either, pair] += (cosine[pair] - background[end, 0]) / background[end, 1]
        own[pair, 0] = cosine[pair]
        for place in range(len(_OWN)):
            own[pair, 1 + place] = row[_OWN[place]]


@compiled
def _put_together(
    known: tuple[Floats, Floats], ends: tuple[Longs, Longs], over: _OverModels, models: int, out: Floats
) -> None:
    """Write the columns of ``feature_names``."""
    (joint, set_features), (first, second) = known, ends
    for pair in range(len(first)):
        row, end = out[pair], 0
        for place in range(len(_JOINT)):
            row[end], end = joint[pair, _JOINT[place]], end + 1
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
