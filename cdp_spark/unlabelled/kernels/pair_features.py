"""The 85 features of a pair without labels, and the features that self-training reads model by model.

In: a block of items (its own, and those of its joint lists) with lists of 40 of all models, joint lists of 15,
backgrounds, in-degrees and set features. A pair's features depend on its two ends alone, so the halo is one step deep.
Out: numbers that mean the same in every set and for any number of models, as float16, as the mediator learned them.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cdp_spark.unlabelled.kernels.background import in_units
from cdp_spark.unlabelled.kernels.joint_view import NEAREST
from cdp_spark.unlabelled.kernels.view_features import VIEW, View, view_features

Longs = NDArray[np.int64]
Halves = NDArray[np.float16]
Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]

_NOT_JOINT = ("shared_40", "nep_30", "density_40_low", "density_40_high")
_JOINT = [column for column, name in enumerate(VIEW) if name not in _NOT_JOINT]
_COMPARED = VIEW.index("nep_30") + 1
"""Number of the features that compare the two ends, which come first in a view."""
_OWN = [
    VIEW.index(name)
    for name in (
        "units_low", "units_high", "rank_low", "rank_high", "above_first_low", "above_last_low", "shared_5",
        "shared_15", "shared_40", "overlap", "nep_15",
    )
]  # fmt: skip

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
    over, own = _OverModels(len(block.first), len(block.models)), []
    seen = np.zeros((2, len(block.first)), np.float64)
    for number, view in enumerate(block.models):
        cosine = block.cosine(number, block.first, block.second)
        features = view_features(block.items, view, (block.first, block.second), (cosine, cosine))
        over.add(features)
        own += [cosine[:, None], features[:, _OWN]]
        for end, rows in enumerate((block.first, block.second)):
            seen[end] += in_units(cosine, view.background[rows])
    here, there = (seen / len(block.models)).astype(np.float32)
    joint = view_features(block.items, block.joint, (block.first, block.second), (here, there))[:, _JOINT]
    ends = np.stack([block.set_features[block.first], block.set_features[block.second]])
    standing = np.stack([ends.min(axis=0), ends.max(axis=0)], axis=2).reshape(len(block.first), 2 * ends.shape[2])
    columns = [joint, *over.columns(), standing]
    return PairNumbers(as_halves(np.concatenate(columns, axis=1)), as_halves(np.concatenate(own, axis=1)))


def as_halves(values: Floats) -> Halves:
    """Round to float16; what is beyond its range becomes the largest there is."""
    largest = np.finfo(np.float16).max
    return np.clip(values, -largest, largest).astype(np.float16)


class _OverModels:
    """Mean, least and largest over models, one model at a time."""

    def __init__(self, pairs: int, models: int) -> None:
        self._models = models
        self._total = np.zeros((pairs, len(VIEW)), np.float64)
        self._least = np.full((pairs, _COMPARED), np.inf, np.float32)
        self._largest = np.full((pairs, _COMPARED), -np.inf, np.float32)
        self._held = np.zeros((pairs, 2), np.int64)

    def add(self, features: Floats) -> None:
        """Take the features of one model."""
        self._total += features
        np.minimum(self._least, features[:, :_COMPARED], out=self._least)
        np.maximum(self._largest, features[:, :_COMPARED], out=self._largest)
        self._held += features[:, [VIEW.index("rank_low"), VIEW.index("rank_high")]] < _HELD

    def columns(self) -> list[Floats]:
        """Return them, and the shares of models that hold the pair: either way, both ways, all."""
        mean = (self._total / self._models).astype(np.float32)
        held = (self._held / self._models).astype(np.float32)
        by_all = (self._held[:, :1] == self._models).astype(np.float32)
        return [mean, self._least, self._largest, held, by_all]
