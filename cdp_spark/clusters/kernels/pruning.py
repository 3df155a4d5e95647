"""Cut large components by rising thresholds, by the rule of the authors' code or of the paper.

In: all pairs of whole components above the consensus threshold; for the code's rule the tree of a spanning forest, of
which a cut visits each node once, whatever the number of thresholds. Out: the cluster of each item, its status, and the
threshold at which the cluster was final.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple, TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from cdp_spark.base.compiled import compiled
from cdp_spark.base.numeric.dense_numbers import numbered
from cdp_spark.base.statuses import CLUSTERED, FORCED, SINGLETON, UNLABELLED
from cdp_spark.clusters.kernels.dendrogram import Dendrogram

Longs = NDArray[np.int64]
Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]


_Threshold = TypeVar("_Threshold", np.float64, Doubles)


@dataclass(frozen=True)
class Limits:
    """Limits of pruning; see ``ClustersConfig``."""

    max_cluster_size: int
    threshold_step: float
    max_iter: int

    def raised(self, threshold: _Threshold) -> _Threshold:
        """Return the next threshold: th + (1 - th) * step."""
        return threshold + (1.0 - threshold) * self.threshold_step


@dataclass(frozen=True)
class Pruned:
    """One entry per item, items ascending.

    Attributes
    ----------
    items : ndarray of int64
    root : ndarray of int64
        Smallest item of the item's cluster; -1 if it has no cluster.
    status : ndarray of int64
        Index in ``STATUSES``.
    level : ndarray of float64
        Threshold at which the cluster was final; NaN if there is no cluster.
    """

    items: Longs
    root: Longs
    status: Longs
    level: Doubles


def levels(start: float, limits: Limits) -> Doubles:
    """Return the thresholds of a cut, from ``start`` up.

    >>> levels(0.5, Limits(10, 0.5, 2)).tolist()
    [0.5, 0.75, 0.875]
    """
    thresholds = [np.float64(start)]
    while len(thresholds) <= limits.max_iter and limits.raised(thresholds[-1]) != thresholds[-1]:
        thresholds.append(limits.raised(thresholds[-1]))
    return np.array(thresholds)


def cut_by_code(tree: Dendrogram, threshold: float, *, start: float, limits: Limits) -> Pruned:
    """Cut by the rule of the authors' code: one rising threshold for all components.

    Parameters
    ----------
    tree : Dendrogram
        Tree of the forest of all pairs.
    threshold : float
        The consensus graph has the pairs with score > threshold.
    start : float
        Smallest score above the threshold, over all pairs.
    limits : Limits

    Notes
    -----
    Follows ``graph_propagation`` of the authors' code, except that components left after ``max_iter`` stay apart.
    """
    known = levels(start, limits)
    final, at = np.full(len(tree.size), -1, np.int64), np.full(len(tree.size), -1, np.int64)
    merges, rising = _Merges(tree.left, tree.right, tree.score), _Levels(threshold, known, limits.max_cluster_size)
    _cut(merges, tree.size, rising, final, at)
    leaves = np.flatnonzero(final[: len(tree.items)] >= 0)
    node = final[leaves]
    size = tree.size[node]
    status = np.where(size > limits.max_cluster_size, FORCED, np.where(size == 1, SINGLETON, CLUSTERED))
    return Pruned(tree.items[leaves], tree.items[tree.smallest[node]], status, known[at[leaves]])


def prune_by_paper(src: Longs, dst: Longs, score: Floats, *, limits: Limits) -> Pruned:
    """Prune as the paper's Algorithm 1 does, with a threshold for each component.

    Each cut of a component starts from the smallest score among its surviving pairs and keeps the pairs above the
    raised threshold; an item that a cut leaves alone gets no label.

    Parameters
    ----------
    src, dst, score : ndarray, shape (m,)
        All pairs above the consensus threshold, not only those of a forest.
    limits : Limits
    """
    state = _State(src, dst, score)
    components = state.components(np.ones(len(score), bool))
    smallest = _smallest(components.of_item[state.src], state.score, len(components.sizes))
    state.settle(components, smallest, limits=limits, last=limits.max_iter == 0)
    for cut in range(1, limits.max_iter + 1):
        if not len(state.left):
            break
        own, owners = state.components(np.ones(len(state.score), bool))
        threshold = limits.raised(_smallest(own[state.src], state.score, len(owners)))
        components = state.components(state.score > threshold[own[state.src]])
        level = np.empty(len(components.sizes))
        level[components.of_item] = threshold[own]
        state.settle(components, level, limits=limits, last=cut == limits.max_iter)
    return state.result()


def _smallest(group: Longs, score: Doubles, groups: int) -> Doubles:
    smallest = np.full(groups, np.inf)
    np.minimum.at(smallest, group, score)
    return smallest


class _Components(NamedTuple):
    """Component of each item that is left, and the sizes."""

    of_item: Longs
    sizes: Longs


class _State:
    """Settled items, and the items and edges left; ends are indices in ``left``."""

    def __init__(self, src: Longs, dst: Longs, score: Floats) -> None:
        self.items, index = numbered(np.concatenate((src, dst)))
        self.left = np.arange(len(self.items))
        self.src, self.dst = index[: len(src)], index[len(src) :]
        self.score = score.astype(np.float64)
        self.root = np.full(len(self.items), -1, np.int64)
        self.status = np.full(len(self.items), UNLABELLED, np.int64)
        self.level = np.full(len(self.items), np.nan)

    def components(self, kept: NDArray[np.bool_]) -> _Components:
        """Drop the other edges, and return the components."""
        self.src, self.dst, self.score = self.src[kept], self.dst[kept], self.score[kept]
        links = (np.ones(len(self.src), np.int8), (self.src, self.dst))
        count, component = connected_components(coo_matrix(links, shape=(len(self.left),) * 2), directed=False)
        component = component.astype(np.int64)
        return _Components(component, np.bincount(component, minlength=count))

    def settle(self, components: _Components, level: Doubles, *, limits: Limits, last: bool) -> None:
        """Make clusters of the small components, or of all in the last step."""
        component, sizes = components
        status = np.where(sizes == 1, UNLABELLED, CLUSTERED)
        final = sizes <= limits.max_cluster_size
        if last:
            status = np.where(final, status, FORCED)
            final = np.ones(len(sizes), bool)
        smallest = np.full(len(sizes), np.iinfo(np.int64).max)
        np.minimum.at(smallest, component, self.left)
        done = final[component]
        rows, own = self.left[done], component[done]
        self.status[rows] = status[own]
        labelled = status[own] != UNLABELLED
        self.root[rows[labelled]] = self.items[smallest[own[labelled]]]
        self.level[rows[labelled]] = level[own[labelled]]
        self._keep(~done)

    def _keep(self, items: NDArray[np.bool_]) -> None:
        number = np.cumsum(items) - 1
        edges = items[self.src] & items[self.dst]
        self.src, self.dst, self.score = number[self.src[edges]], number[self.dst[edges]], self.score[edges]
        self.left = self.left[items]

    def result(self) -> Pruned:
        return Pruned(self.items, self.root, self.status, self.level)


class _Merges(NamedTuple):
    """The two nodes and the score of each merge."""

    left: Longs
    right: Longs
    score: Floats


class _Levels(NamedTuple):
    """Threshold of the consensus graph, thresholds of the cut, largest cluster size."""

    threshold: float
    known: Doubles
    most: int


@compiled
def _cut(tree: _Merges, size: Longs, limits: _Levels, final: Longs, at: Longs) -> None:
    """Find each node's cluster (-1: no pair above the threshold) and its final level.

    Meanwhile ``at`` is the level at which a node is cut, -1 where its parent is not in the consensus graph.
    """
    (left, right, score), (threshold, known, most) = tree, limits
    merges = len(left)
    count = len(size) - merges
    last = len(known) - 1
    for merge in range(merges - 1, -1, -1):
        node = count + merge
        if np.float64(score[merge]) <= threshold:
            continue
        if final[node] < 0:
            level = max(at[node], 0)
            value = np.float64(score[merge])
            if value >= known[level]:
                if size[node] <= most or level == last:
                    final[node], at[node] = node, level
                else:
                    while level <= last and known[level] <= value:
                        level += 1
                    if level > last:
                        final[node], at[node] = node, last
            if final[node] < 0:
                for child in (left[merge], right[merge]):
                    at[child] = level
                    if child < count:
                        final[child] = child
                continue
        for child in (left[merge], right[merge]):
            final[child], at[child] = final[node], at[node]
