"""Cuts of the tree of merges are those of the pruning kernel, and its components are those of the graph."""

import networkx as nx
import numpy as np
import pytest

from cdp_spark.base.statuses import FORCED
from cdp_spark.clusters.kernels.dendrogram import Dendrogram, cut_by_code, levels
from cdp_spark.clusters.kernels.pruning import Limits, prune_by_code
from cdp_spark.clusters.kernels.spanning_forest import maximum_spanning_forest


def random_pairs(seed: int, items: int = 60, pairs: int = 150):
    random = np.random.default_rng(seed)
    ends = np.unique(np.sort(random.integers(0, items, (pairs, 2)), axis=1), axis=0)
    ends = ends[ends[:, 0] != ends[:, 1]] * 3 + 10
    # Few distinct scores: ties everywhere.
    score = (random.integers(1, 12, len(ends)) / 12).astype(np.float32)
    return ends[:, 0], ends[:, 1], score


def tree_of(pairs):
    kept = maximum_spanning_forest(*pairs)
    return Dendrogram.of_forest(*(column[kept] for column in pairs))


@pytest.mark.parametrize("limits", [Limits(5, 0.1, 100), Limits(5, 0.3, 2), Limits(1, 0.05, 100), Limits(12, 0.05, 0)])
@pytest.mark.parametrize("seed", range(60))
def test_every_cut_is_that_of_the_pruning_kernel(seed, limits):
    src, dst, score = pairs = random_pairs(seed)
    tree = tree_of(pairs)
    for threshold in (-1.0, 0.3, 0.5, float(np.float32(7 / 12)), 0.9):
        above = score > threshold
        if not above.any():
            continue
        start = float(score[above].min())
        pruned = cut_by_code(tree, threshold, start=start, limits=limits)
        wanted = prune_by_code(src[above], dst[above], score[above], start=start, limits=limits)
        for name in ("items", "root", "status", "level"):
            assert getattr(pruned, name).tolist() == getattr(wanted, name).tolist(), name


def test_nothing_above_the_threshold_gives_no_rows():
    assert len(cut_by_code(tree_of(random_pairs(0)), 1.0, start=1.0, limits=Limits(5, 0.1, 9)).items) == 0


def test_nodes_are_the_components_of_their_score():
    pairs = random_pairs(3)
    tree = tree_of(pairs)
    for merge in (0, len(tree.left) // 2, len(tree.left) - 1):
        node, value = len(tree.items) + merge, tree.score[merge]
        if merge + 1 < len(tree.score) and tree.score[merge + 1] == value:
            continue  # among equal scores only the last merge is whole
        graph = nx.Graph([(a, b) for a, b, s in zip(*pairs, strict=True) if s >= value])
        component = nx.node_connected_component(graph, tree.items[tree.smallest[node]])
        assert len(component) == tree.size[node]
        assert min(component) == tree.items[tree.smallest[node]]


def test_equal_scores_that_no_threshold_separates_end_forced():
    src, dst = np.arange(9), np.arange(1, 10)
    tree = Dendrogram.of_forest(src, dst, np.ones(9, np.float32))
    pruned = cut_by_code(tree, 0.5, start=1.0, limits=Limits(3, 0.05, 100))
    assert set(pruned.status.tolist()) == {FORCED}
    assert set(pruned.root.tolist()) == {0}
    assert len(levels(1.0, Limits(3, 0.05, 100))) == 1
