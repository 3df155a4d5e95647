"""The joint view: neighbours by all models together, without a search of its own.

In: the models' lists. Out: of the union of an item's first 15 in each model, the 15 that are most similar on average
over the models, in background units of the item. Pairs of items are those of these lists.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from cdp_spark.base.compiled import compiled
from cdp_spark.base.numeric.dense_numbers import positions
from cdp_spark.pairs.kernels.neighborhoods import Neighborhoods
from cdp_spark.unlabelled.kernels.background import in_units

Longs = NDArray[np.int64]
Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]
Bools = NDArray[np.bool_]

SEARCHED = 40
"""Neighbours of a model's list."""
NEAREST = 15
"""Neighbours of the joint list, and of a model's that it is made of."""

Cosine = Callable[[int, Longs, Longs], Floats]
"""Cosines in one model of pairs of rows, sorted by the first."""


@dataclass(frozen=True)
class Union:
    """Distinct first 15 neighbours of some rows over all models, and how similar each is in every model.

    The joint lists of any subset of the models are chosen from it, so that each cosine is computed once.

    Attributes
    ----------
    offsets : ndarray of int64, shape (rows + 1,)
    neighbors : ndarray of int64, shape (m,)
        Items, rising within a row.
    held : ndarray of bool, shape (m, models)
        Whether a neighbour is among the first 15 of a model.
    units : ndarray of float64, shape (m, models)
        Cosines in background units of the row.
    """

    offsets: Longs
    neighbors: Longs
    held: Bools
    units: Doubles

    @classmethod
    def of(
        cls, items: Longs, own: Longs, graphs: Sequence[Neighborhoods], backgrounds: Sequence[Doubles], cosine: Cosine
    ) -> Union:
        """Unite the lists of some rows.

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
        """
        nearest = np.full((len(own), len(graphs), NEAREST), -1, np.int64)
        for model, graph in enumerate(graphs):
            row, position = nearest_positions(graph, own)
            rank = position - graph.offsets[row]
            nearest[np.searchsorted(own, row), model, rank] = graph.neighbors[position]
        offsets = np.zeros(len(own) + 1, np.int64)
        neighbors, held = np.empty(nearest.size, np.int64), np.zeros((nearest.size, len(graphs)), bool)
        _unite(nearest, offsets, neighbors, held)
        neighbors, held = neighbors[: offsets[-1]], held[: offsets[-1]]
        first, second = np.repeat(own, np.diff(offsets)), positions(items, neighbors)
        units = np.empty((len(neighbors), len(graphs)))
        for model, of_items in enumerate(backgrounds):
            units[:, model] = in_units(cosine(model, first, second), of_items[first])
        return cls(offsets, neighbors, held, units)

    def joint_lists(self, models: Sequence[int]) -> Neighborhoods:
        """Make the joint lists of some of the models, at least one.

        Returns
        -------
        Neighborhoods
            Row r is that of ``own[r]``; similarities are in background units, ties are broken by item.
        """
        rows = len(self.offsets) - 1
        neighbors, similar = np.empty((rows, NEAREST), np.int64), np.empty((rows, NEAREST), np.float32)
        counts = np.zeros(rows, np.int64)
        known = self.offsets, self.neighbors, self.held, self.units
        _choose(known, np.array(models, np.int64), counts, (neighbors, similar))
        used = np.arange(NEAREST) < counts[:, None]
        offsets = np.concatenate([[0], np.cumsum(counts)]).astype(np.int64)
        return Neighborhoods(offsets, neighbors[used], similar[used])


def joint_lists(
    items: Longs, own: Longs, graphs: Sequence[Neighborhoods], backgrounds: Sequence[Doubles], cosine: Cosine
) -> Neighborhoods:
    """Make the joint lists of some rows by all models; see :meth:`Union.of`."""
    return Union.of(items, own, graphs, backgrounds, cosine).joint_lists(range(len(graphs)))


@compiled
def _unite(nearest: Longs, offsets: Longs, neighbors: Longs, held: Bools) -> None:
    """Merge the lists of each row by insertion: rows are short."""
    end = 0
    for row in range(nearest.shape[0]):
        start = end
        for model in range(nearest.shape[1]):
            for rank in range(nearest.shape[2]):
                item, at = nearest[row, model, rank], end
                if item < 0:
                    break
                while at > start and neighbors[at - 1] > item:
                    at -= 1
                if at > start and neighbors[at - 1] == item:
                    held[at - 1, model] = True
                    continue
                for later in range(end, at, -1):
                    neighbors[later] = neighbors[later - 1]
                    for each in range(held.shape[1]):
                        held[later, each] = held[later - 1, each]
                for each in range(held.shape[1]):
                    held[at, each] = each == model
                neighbors[at] = item
                end += 1
        offsets[row + 1] = end


@compiled
def _choose(
    known: tuple[Longs, Longs, Bools, Doubles], models: Longs, counts: Longs, best: tuple[Longs, Floats]
) -> None:
    """Keep the most similar neighbours of each row; they come by item, so an equal one stays behind the earlier."""
    (offsets, neighbors, held, units), (chosen, similar) = known, best
    for row in range(len(counts)):
        for entry in range(offsets[row], offsets[row + 1]):
            total, wanted = 0.0, False
            for model in models:
                total += units[entry, model]
                wanted |= held[entry, model]
            value, at = np.float32(total / len(models)), counts[row]
            if not wanted or (at == NEAREST and value <= similar[row, at - 1]):
                continue
            at = min(at, NEAREST - 1)
            while at > 0 and similar[row, at - 1] < value:
                chosen[row, at], similar[row, at] = chosen[row, at - 1], similar[row, at - 1]
                at -= 1
            chosen[row, at], similar[row, at] = neighbors[entry], value
            counts[row] = min(counts[row] + 1, NEAREST)


def edges_of_some(graph: Neighborhoods, items: Longs, some: Bools) -> Neighborhoods:
    """Keep the neighbours that are among the items, where one of the two ends is wanted.

    Parameters
    ----------
    graph : Neighborhoods
        One list per item.
    items : ndarray of int64, rising, at least one
    some : ndarray of bool
        Whether an item is wanted.
    """
    at = np.minimum(np.searchsorted(items, graph.neighbors), len(items) - 1)
    kept = (items[at] == graph.neighbors) & (some[at] | np.repeat(some, np.diff(graph.offsets)))
    before = np.concatenate([[0], np.cumsum(kept)])
    return Neighborhoods(before[graph.offsets], graph.neighbors[kept], graph.similarities[kept])


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
