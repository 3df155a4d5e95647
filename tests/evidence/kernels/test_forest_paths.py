"""No other path has a stronger weakest edge than the strongest path, and it is a path."""

import networkx as nx
import numpy as np
import pytest

from cdp_spark.clusters.kernels.spanning_forest import maximum_spanning_forest
from cdp_spark.evidence.kernels.forest_paths import strongest_path
from tests.clusters.kernels.test_giants import random_graph


def widest(graph, start, end):
    """Find the largest threshold whose edges still join two nodes."""
    for score in sorted({data["score"] for _, _, data in graph.edges(data=True)}, reverse=True):
        kept = nx.Graph((a, b) for a, b, data in graph.edges(data=True) if data["score"] >= score)
        if start in kept and end in kept and nx.has_path(kept, start, end):
            return score
    return None


@pytest.mark.parametrize("seed", range(6))
def test_its_weakest_edge_is_as_strong_as_that_of_any_path(seed):
    src, dst, score = random_graph(seed, 12)
    graph = nx.Graph()
    graph.add_weighted_edges_from(zip(src.tolist(), dst.tolist(), score.tolist(), strict=True), weight="score")
    kept = maximum_spanning_forest(src, dst, score)
    nodes = sorted(graph)
    random = np.random.default_rng(seed)
    for _ in range(15):
        start, end = (nodes[i] for i in random.choice(len(nodes), 2, replace=False))
        path = kept[strongest_path(src[kept], dst[kept], start, end)]
        wanted = widest(graph, start, end)
        if wanted is None:
            assert not len(path)
            continue
        assert score[path].min() == np.float32(wanted)
        here = start
        for edge in path:
            assert here in (src[edge], dst[edge])
            here = src[edge] + dst[edge] - here
        assert here == end


def test_an_unknown_item_or_the_same_one_has_no_path():
    src, dst = np.array([1, 2]), np.array([2, 3])
    assert not len(strongest_path(src, dst, 1, 7))
    assert not len(strongest_path(src, dst, 0, 3))
    assert not len(strongest_path(src, dst, 2, 2))


def test_a_long_path_is_followed_to_its_end():
    src = np.arange(100_000)
    assert len(strongest_path(src, src + 1, 0, 100_000)) == 100_000
