"""A set in memory: lists and backgrounds of its models, and the pairs of any of these, with features.

In: vectors. Out: what a run without labels computes block by block, here as one block: the reference for it, and what
the shipped mediator learns from.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cdp_spark.base.numeric.unit_vectors import unit_rows
from cdp_spark.knn.kernels.search_cells import Block, Lists, everything, search
from cdp_spark.pairs.kernels.neighborhoods import Neighborhoods, cosines, owned_pairs
from cdp_spark.unlabelled.kernels.background import background, drawn_items
from cdp_spark.unlabelled.kernels.joint_view import SEARCHED, joint_lists, times_near
from cdp_spark.unlabelled.kernels.pair_features import JointPairs, ModelViews, PairNumbers, pair_numbers
from cdp_spark.unlabelled.kernels.set_features import Standing
from cdp_spark.unlabelled.kernels.view_features import JOINT_SCALE, View

Longs = NDArray[np.int64]
Halves = NDArray[np.float16]
Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]


@dataclass(frozen=True)
class Model:
    """One model's vectors of all items, numbered 0 to n - 1.

    Attributes
    ----------
    vectors : ndarray of float16, shape (n, d)
    norms : ndarray of float64, shape (n,)
    graph : Neighborhoods
        Lists of 40.
    background : ndarray of float64, shape (n, 2)
    near : ndarray of int64, shape (n,)
        In how many lists of 15 each item is.
    """

    vectors: Halves
    norms: Doubles
    graph: Neighborhoods
    background: Doubles
    near: Longs

    @classmethod
    def of(cls, vectors: NDArray[Any]) -> Model:
        """Search the neighbours of vectors, and take their backgrounds. At least one row, none of length 0.

        Vectors of float16 are of length 1 already: rounded again, one in thousands would change.
        """
        halves = vectors if vectors.dtype == np.float16 else unit_rows(vectors)[0]
        items = np.arange(len(halves))
        block = Block.of(items, halves)
        lists = search(block, block, np.array([0, len(items)]), everything(len(items)), SEARCHED)
        graph = neighborhoods(lists)
        near = times_near(graph, items, items)
        return cls(halves, block.norms, graph, background(halves, halves[drawn_items(items)]), near)


def neighborhoods(lists: Lists) -> Neighborhoods:
    """Leave out the unused ends of lists."""
    used = np.arange(lists.neighbors.shape[1]) < lists.counts[:, None]
    offsets = np.concatenate([[0], np.cumsum(lists.counts)]).astype(np.int64)
    return Neighborhoods(offsets, lists.neighbors[used], lists.similarities[used])


@dataclass(frozen=True)
class SetPairs:
    """The candidate pairs of a set.

    Attributes
    ----------
    count : int
        Items.
    src, dst : ndarray of int64, shape (m,)
        Sorted, src < dst.
    numbers : PairNumbers
    nearest : ndarray of int64, shape (n,)
        First neighbour of each item in the joint view; -1: none.
    """

    count: int
    src: Longs
    dst: Longs
    numbers: PairNumbers
    nearest: Longs

    @classmethod
    def of(cls, models: Sequence[Model]) -> SetPairs:
        """Make the joint view of some models, and compute the features of its pairs."""
        items = np.arange(len(models[0].norms))

        def cosine(model: int, first: Longs, second: Longs) -> Floats:
            return cosines(models[model].vectors, models[model].norms, first, second)

        joint = joint_lists(items, items, [each.graph for each in models], [each.background for each in models], cosine)
        standing = Standing.of(joint)
        units = np.broadcast_to(np.array([0.0, 1.0]), (len(items), 2))
        first, second = owned_pairs(items, np.ones(len(items), bool), [joint])
        views = [View(each.graph, each.background, each.near) for each in models]
        joint_view = View(joint, units, times_near(joint, items, items), JOINT_SCALE)
        features = standing.features(standing.counts())
        numbers = pair_numbers(
            ModelViews(items, views, cosine), JointPairs(range(len(models)), joint_view, features, first, second)
        )
        src, dst = np.minimum(first, second), np.maximum(first, second)
        order = np.lexsort((dst, src))
        nearest = np.full(len(items), -1)
        some = np.diff(joint.offsets) > 0
        nearest[some] = joint.neighbors[joint.offsets[:-1][some]]
        sorted_numbers = PairNumbers(numbers.features[order], numbers.own[order])
        return cls(len(items), src[order], dst[order], sorted_numbers, nearest)
