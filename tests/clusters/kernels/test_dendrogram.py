"""The nodes of the tree of merges are the components of the graph."""

import networkx as nx
import numpy as np

from cdp_spark.clusters.kernels.dendrogram import Dendrogram
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
