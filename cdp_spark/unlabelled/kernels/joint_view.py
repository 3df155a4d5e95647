"""The joint view: neighbours by all models together, without a search of its own.

In: the models' lists. Out: of the union of an item's first 15 in each model, the 15 that are most similar on average
over the models, in background units of the item. Pairs of items are those of these lists.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray

from cdp_spark.base.numeric.pair_order import first_of_each_pair
from cdp_spark.pairs.kernels.neighborhoods import Neighborhoods
from cdp_spark.unlabelled.kernels.background import in_units

Longs = NDArray[np.int64]
Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]

SEARCHED = 40
"""Neighbours of a model's list."""
NEAREST = 15
"""Neighbours of the joint list, and of a model's that it is made of."""

Cosine = Callable[[int, Longs, Longs], Floats]
"""Cosines in one model of pairs of rows, sorted by the first."""


def joint_lists(
    items: Longs, own: Longs, graphs: Sequence[Neighborhoods], backgrounds: Sequence[Doubles], cosine: Cosine
) -> Neighborhoods:
    """Make the joint lists of some rows.

    Parameters
    ----------
    items : ndarray of int64, rising
        Own items of a block, and all that are among the first 15 of one of these in a model.
    own : ndarray of int64, rising
        Rows whose lists are made.
    graphs : sequence of Neighborhoods
        Lists of all rows, or at least of the own ones, by model.
    backgrounds : sequence of ndarray of float64, shape (n, 2)
        Backgrounds of all rows, or at least of the own ones, by model.
    cosine : callable
        Reads vectors of all rows.

    Returns
    -------
    Neighborhoods
        Row r is that of ``own[r]``; similarities are in background units, ties are broken by item.
    """
    first, neighbors = _united(own, graphs)
    second = np.searchsorted(items, neighbors)
    total = np.zeros(len(first), np.float64)
    for model, of_items in enumerate(backgrounds):
        total += in_units(cosine(model, first, second), of_items[first])
    similar = (total / len(graphs)).astype(np.float32)
    order = np.lexsort((neighbors, -similar, first))
    counts = np.bincount(np.searchsorted(own, first), minlength=len(own))
    starts = np.cumsum(counts) - counts
    kept = order[np.arange(len(order)) - np.repeat(starts, counts) < NEAREST]
    offsets = np.concatenate([[0], np.cumsum(np.minimum(counts, NEAREST))]).astype(np.int64)
    return Neighborhoods(offsets, neighbors[kept], similar[kept])


def _united(own: Longs, graphs: Sequence[Neighborhoods]) -> tuple[Longs, Longs]:
    """Return the distinct first 15 neighbours of each row over all models: rows, items; sorted."""
    rows, neighbors = [], []
    for graph in graphs:
        row, position = nearest_positions(graph, own)
        rows.append(row)
        neighbors.append(graph.neighbors[position])
    first, second = np.concatenate(rows), np.concatenate(neighbors)
    distinct = first_of_each_pair(first, second)
    return first[distinct], second[distinct]


def nearest_positions(graph: Neighborhoods, rows: Longs) -> tuple[Longs, Longs]:
    """Return where the first 15 neighbours of some rows lie in a graph: their rows, and their positions."""
    lengths = np.minimum(graph.offsets[rows + 1] - graph.offsets[rows], NEAREST)
    starts = np.cumsum(lengths) - lengths
    position = np.arange(int(lengths.sum())) + np.repeat(graph.offsets[rows] - starts, lengths)
    return np.repeat(rows, lengths), position


def times_near(graph: Neighborhoods, rows: Longs, items: Longs) -> Longs:
    """Count in how many lists of 15 of some rows each item is; counts of disjoint rows add up."""
    _, position = nearest_positions(graph, rows)
    near = np.searchsorted(items, graph.neighbors[position])
    counts: Longs = np.bincount(near, minlength=len(items)).astype(np.int64)
    return counts
