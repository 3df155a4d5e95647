"""Compile all kernels ahead of a run: ``python -m cdp_spark.warm``.

numba compiles one function at a time per process while a run waits. Here several processes fill the cache that all
later processes read. Each step calls kernels as the stages do, on a handful of rows, since only the types matter.
"""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Callable, Sequence

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from cdp_spark.agglomeration.kernels.agglomeration import Rule, agglomerated
from cdp_spark.agglomeration.kernels.link_features import Centroids
from cdp_spark.agglomeration.kernels.links import ItemPairs, Links
from cdp_spark.base.compiled import read_only
from cdp_spark.base.numeric.hashing import in_share
from cdp_spark.clusters.kernels.dendrogram import Dendrogram, largest_component
from cdp_spark.clusters.kernels.pruning import Limits, cut_by_code
from cdp_spark.clusters.kernels.spanning_forest import maximum_spanning_forest
from cdp_spark.evaluation.kernels import metrics
from cdp_spark.knn.kernels import neighbor_lists
from cdp_spark.knn.kernels.nearest_cells import Ranking
from cdp_spark.knn.kernels.neighbors_of_neighbors import expanded
from cdp_spark.knn.kernels.search_cells import Block, Lists, everything, search
from cdp_spark.networks.kernels import mlp
from cdp_spark.networks.kernels.mlp import mixture_logits
from cdp_spark.pairs.kernels.features import pair_features
from cdp_spark.pairs.kernels.neighborhoods import Neighborhoods, PairBlock, owned_pairs
from cdp_spark.scoring.kernels.count_votes import votes
from cdp_spark.training.kernels.cluster_examples import true_share
from cdp_spark.unlabelled.kernels.copied_rows import copy_rows
from cdp_spark.unlabelled.kernels.networks import Training, trained
from cdp_spark.unlabelled.kernels.reference import cluster_without_labels
from cdp_spark.unlabelled.shipped import load_unlabelled

Float16s = NDArray[np.float16]

_ROWS, _DIMENSION, _K = 40, 8, 5
_SRC, _DST = np.array([0, 1, 0, 2]), np.array([1, 2, 2, 3])
_SCORES = np.array([3.0, 2.0, -1.0, -4.0], np.float32)


def _vectors() -> Float16s:
    """Return distinct unit vectors of float16."""
    angles = np.linspace(0, 1, _ROWS)[:, None] * np.arange(1, _DIMENSION + 1)
    vectors: Float16s = (np.cos(angles) / np.linalg.norm(np.cos(angles), axis=1, keepdims=True)).astype(np.float16)
    return vectors


def _whole(vectors: Float16s) -> Lists:
    block = Block.of(np.arange(len(vectors)), vectors)
    return search(block, block, np.array([0, len(vectors)]), everything(len(vectors)), _K)


def _search() -> None:
    _whole(_vectors())
    Ranking(_vectors()).scores(_vectors(), np.zeros(_ROWS, np.int64))


def _fine_search() -> None:
    """Compile the search for vectors without unit norm, and for equal ones."""
    _whole(_vectors() * np.float16(0.5))
    _whole(np.repeat(_vectors()[:1], _ROWS, axis=0))


def _cells() -> None:
    near = np.argsort(np.abs(np.arange(_ROWS)[:, None] - np.arange(_ROWS)), axis=1, kind="stable")[:, 1 : _K + 1]
    rows = Block.of(np.arange(_ROWS), _vectors())
    expanded(rows, near.astype(np.int32), np.zeros(near.shape, np.float32))
    Ranking(_vectors()).nearest(_vectors(), 3)
    long = _vectors() * np.float16(2)  # not unit vectors either
    Ranking(long).nearest(long, 3)


def _lists() -> None:
    offsets, neighbors = np.array([0, 2, 3]), np.array([1, 2, 0])
    votes((offsets, neighbors), [(offsets, neighbors)])
    entries = neighbor_lists.Entries(offsets, neighbors, _SCORES[:3])
    merged = neighbor_lists.merge(entries, _K)
    neighbor_lists.of_twin(np.array([7, 8]), np.array([0, 1]), entries, _K)
    twins = neighbor_lists.Twins.of(np.array([0]), pa.array([[7]], pa.list_(pa.int64())))
    neighbor_lists.with_twins(np.array([0, 1]), merged, twins)


def _trees() -> None:
    maximum_spanning_forest(_SRC, _DST, _SCORES)
    tree = Dendrogram.of_edges(_SRC, _DST, _SCORES)
    cut_by_code(tree, 0.5, start=0.6, limits=Limits(2, 0.5, 3))
    largest_component(tree, 0.0)
    metrics.scores(metrics.sums_of(_SRC, _DST))


def _pairs() -> None:
    lists = _whole(_vectors())
    lengths = np.concatenate([[0], np.cumsum(lists.counts)])
    graph = Neighborhoods(lengths, lists.neighbors.ravel(), lists.similarities.ravel())
    items = np.arange(_ROWS)
    first, second = owned_pairs(items, np.ones(_ROWS, np.bool_), [graph])
    block = PairBlock(items, [graph, graph], lambda model: _vectors() if model else None, first, second)
    pair_features(block, "code", _K)
    pair_features(block, "rich", _K)


def _clusters() -> None:
    layer = np.zeros((3, 4), np.float32), np.zeros(4, np.float32)
    net = mlp.Mlp(np.zeros(3, np.float32), np.ones(3, np.float32), (layer,))
    mixture_logits(mlp.outputs(net, np.zeros((2, 3), np.float32)), np.full(2, 0.5))
    near = Centroids.of(_vectors()[:4], [_DIMENSION])
    rule = Rule(lambda rows: rows[:, 2].astype(np.float64), _K)
    agglomerated(ItemPairs(_SRC, _DST, _SCORES, 4), rule, centroids=near)
    links = Links.of_pairs(_SRC, _DST, _SCORES, rivals=2)
    true_share(links, np.arange(4), np.array([0, 0, 1, 1]), np.ones(4, np.int64))


def _samples() -> None:
    in_share(np.arange(_ROWS), "warm", 0.5)


def _unlabelled() -> None:
    mediator, _ = load_unlabelled()
    models = [_vectors(), _vectors()[::-1].copy()]
    cluster_without_labels(models, mediator)
    features = np.linspace(-1, 1, _ROWS * 4, dtype=np.float16).reshape(_ROWS, 4)
    weight = np.ones(_ROWS, np.float32)
    trained(features, (features[:, 0] > 0).astype(np.float32), weight, Training(epochs=1))
    ends, rows = np.arange(3), np.array([1, 0])
    for dtype in (np.int64, np.uint8):
        copy_rows(ends, read_only(np.zeros(2, dtype)), rows, rows, np.empty(2, dtype))


STEPS: dict[str, Callable[[], None]] = {
    "pairs": _pairs,
    "cells": _cells,
    "clusters": _clusters,
    "search": _search,
    "fine": _fine_search,
    "lists": _lists,
    "trees": _trees,
    "samples": _samples,
    "unlabelled": _unlabelled,
}


def warm(processes: int | None = None) -> None:
    """Compile every kernel that is not in the cache.

    Parameters
    ----------
    processes : int, optional
        Default: the number of cores, at most three, since each process must import numba first.

    Raises
    ------
    subprocess.CalledProcessError
        If a process fails.
    """
    count = processes or min(3, os.cpu_count() or 1)
    names = list(STEPS)
    shares = [share for share in (names[number::count] for number in range(count)) if share]
    running = [subprocess.Popen([sys.executable, "-m", __spec__.name, *share]) for share in shares]
    codes = [process.wait() for process in running]
    for process, code in zip(running, codes, strict=True):
        if code:
            raise subprocess.CalledProcessError(code, process.args)


def main(names: Sequence[str]) -> None:
    """Compile the named steps here; without names, all steps in several processes."""
    for name in names:
        STEPS[name]()
    if not names:
        warm()


if __name__ == "__main__":
    main(sys.argv[1:])
