"""Cut components that are too large by rising thresholds, by the rule of the authors' code or of the paper.

In: the edges of whole components (for the code's rule a spanning forest is enough, for the paper's all pairs), all
above the consensus threshold. Out: each item's cluster, its status, and the level at which the cluster was final.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TypeVar

import numpy as np
from numpy.typing import NDArray
from scipy.sparse import coo_matrix
from scipy.sparse.csgraph import connected_components

from cdp_spark.base.numeric.dense_numbers import numbered
from cdp_spark.base.statuses import CLUSTERED, FORCED, SINGLETON, UNLABELLED

Longs = NDArray[np.int64]
Floats = NDArray[np.float32]
Doubles = NDArray[np.float64]


_Threshold = TypeVar("_Threshold", np.float64, Doubles)


@dataclass(frozen=True)
class Limits:
    """How far pruning goes: see ``ClustersConfig``."""

    max_cluster_size: int
    threshold_step: float
    max_iter: int

    def raised(self, threshold: _Threshold) -> _Threshold:
        """Return the next threshold: th + (1 - th) * step."""
        return threshold + (1.0 - threshold) * self.threshold_step


@dataclass(frozen=True)
class Pruned:
    """One entry per item, items rising.

    Attributes
    ----------
    items : ndarray of int64
    root : ndarray of int64
        Smallest item of the item's cluster; -1 when it has none.
    status : ndarray of int64
        Place in ``STATUSES``.
    level : ndarray of float64
        Threshold at which the cluster was final; NaN when there is none.
    """

    items: Longs
    root: Longs
    status: Longs
    level: Doubles


def prune_by_code(src: Longs, dst: Longs, score: Floats, *, start: float, limits: Limits) -> Pruned:
    """Prune as the authors' code does: one rising threshold for all components.

    Parameters
    ----------
    src, dst, score : ndarray, shape (m,)
        Edges above the consensus threshold.
    start : float
        Smallest score of the consensus graph, over all its pairs.
    limits : Limits

    Notes
    -----
    Follows ``graph_propagation`` of the authors' code, save that what is left after ``max_iter`` stays apart.
    """
    state = _State(src, dst, score)
    threshold = np.float64(start)
    for cut in range(limits.max_iter + 1):
        part, sizes = state.components(state.score >= threshold)
        last = cut == limits.max_iter or limits.raised(threshold) == threshold
        state.settle(part, sizes, np.full(len(sizes), threshold), limits=limits, alone=SINGLETON, last=last)
        if not len(state.left):
            break
        threshold = limits.raised(threshold)
    return state.result()


def prune_by_paper(src: Longs, dst: Longs, score: Floats, *, limits: Limits) -> Pruned:
    """Prune as the paper's Algorithm 1 does: every component has a threshold of its own.

    Each cut of a component starts from the smallest score among its surviving pairs and keeps the pairs above the
    raised threshold; items that a cut leaves alone get no label.

    Parameters
    ----------
    src, dst, score : ndarray, shape (m,)
        All pairs above the consensus threshold, not only those of a forest.
    limits : Limits
    """
    state = _State(src, dst, score)
    part, sizes = state.components(np.ones(len(score), bool))
    smallest = _smallest(part[state.src], state.score, len(sizes))
    state.settle(part, sizes, smallest, limits=limits, alone=UNLABELLED, last=limits.max_iter == 0)
    for cut in range(1, limits.max_iter + 1):
        if not len(state.left):
            break
        own, owners = state.components(np.ones(len(state.score), bool))
        threshold = limits.raised(_smallest(own[state.src], state.score, len(owners)))
        part, sizes = state.components(state.score > threshold[own[state.src]])
        level = np.empty(len(sizes))
        level[part] = threshold[own]
        state.settle(part, sizes, level, limits=limits, alone=UNLABELLED, last=cut == limits.max_iter)
    return state.result()


def _smallest(group: Longs, score: Doubles, groups: int) -> Doubles:
    smallest = np.full(groups, np.inf)
    np.minimum.at(smallest, group, score)
    return smallest


class _State:
    """What is settled, and the items and edges that are left (ends as places in ``left``)."""

    def __init__(self, src: Longs, dst: Longs, score: Floats) -> None:
        self.items, index = numbered(np.concatenate((src, dst)))
        self.left = np.arange(len(self.items))
        self.src, self.dst = index[: len(src)], index[len(src) :]
        self.score = score.astype(np.float64)
        self.root = np.full(len(self.items), -1, np.int64)
        self.status = np.full(len(self.items), UNLABELLED, np.int64)
        self.level = np.full(len(self.items), np.nan)

    def components(self, kept: NDArray[np.bool_]) -> tuple[Longs, Longs]:
        """Drop the other edges; return the component of each item left, and the sizes."""
        self.src, self.dst, self.score = self.src[kept], self.dst[kept], self.score[kept]
        links = (np.ones(len(self.src), np.int8), (self.src, self.dst))
        count, part = connected_components(coo_matrix(links, shape=(len(self.left),) * 2), directed=False)
        part = part.astype(np.int64)
        return part, np.bincount(part, minlength=count)

    def settle(self, part: Longs, sizes: Longs, level: Doubles, *, limits: Limits, alone: int, last: bool) -> None:
        """Make clusters of the components that are small enough (the last time, of all) and keep the others."""
        status = np.where(sizes == 1, alone, CLUSTERED)
        final = sizes <= limits.max_cluster_size
        if last:
            status = np.where(final, status, FORCED)
            final = np.ones(len(sizes), bool)
        smallest = np.full(len(sizes), np.iinfo(np.int64).max)
        np.minimum.at(smallest, part, self.left)
        done = final[part]
        places, done_part = self.left[done], part[done]
        self.status[places] = status[done_part]
        labelled = status[done_part] != UNLABELLED
        self.root[places[labelled]] = self.items[smallest[done_part[labelled]]]
        self.level[places[labelled]] = level[done_part[labelled]]
        self._keep(~done)

    def _keep(self, items: NDArray[np.bool_]) -> None:
        number = np.cumsum(items) - 1
        edges = items[self.src] & items[self.dst]
        self.src, self.dst, self.score = number[self.src[edges]], number[self.dst[edges]], self.score[edges]
        self.left = self.left[items]

    def result(self) -> Pruned:
        return Pruned(self.items, self.root, self.status, self.level)
