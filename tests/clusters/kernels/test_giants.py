"""A giant's size, the score where it falls apart and its bridges, against networkx on every threshold."""

import networkx as nx
import numpy as np
import pytest

from cdp_spark.clusters.kernels.dendrogram import Dendrogram, largest_component


def random_graph(seed: int, scores: int):
    random = np.random.default_rng(seed)
    ends = np.unique(np.sort(random.integers(0, 60, (90, 2)), axis=1), axis=0)
    ends = ends[ends[:, 0] != ends[:, 1]] * 2**50
    return ends[:, 0], ends[:, 1], (random.integers(1, scores, len(ends)) / scores).astype(np.float32)


def components(edges, threshold, within=None):
    graph = nx.Graph()
    graph.add_nodes_from(within or [])
    for src, dst, score in zip(*(column.tolist() for column in edges), strict=True):
        if score > threshold and (within is None or src in within):
            graph.add_edge(src, dst)
    return sorted((set(each) for each in nx.connected_components(graph)), key=lambda each: (-len(each), min(each)))


@pytest.mark.parametrize("scores", [4, 1000])
@pytest.mark.parametrize("seed", range(10))
def test_the_giant_is_that_of_a_plain_search_at_every_threshold(seed, scores):
    edges = random_graph(seed, scores)
    tree = Dendrogram.of_edges(*edges)
    for threshold in (0.0, 0.3, 0.6, 0.9):
        wanted = components(edges, threshold)
        giant = largest_component(tree, threshold)
        if not wanted:
            assert giant is None
            continue
        whole = wanted[0]
        assert (giant.size, giant.component) == (len(whole), min(whole))
        assert len(components(edges, giant.falls_apart, whole)[0]) <= len(whole) / 2
        below = np.nextafter(np.float32(giant.falls_apart), np.float32(-1))
        assert len(components(edges, below, whole)[0]) > len(whole) / 2
        assert set(tree.src[giant.bridges]) <= whole
        assert np.all(np.diff(tree.score[giant.bridges]) >= 0)


def test_bridges_are_the_pairs_between_the_largest_pieces():
    clique = [(i, j) for i in range(6) for j in range(i + 1, 6)]
    inside = [(i + 10 * n, j + 10 * n, 0.9) for n in range(3) for i, j in clique]
    between = [(0, 10, 0.6), (11, 20, 0.5), (21, 99, 0.4)]
    src, dst, score = (np.array(column) for column in zip(*inside, *between, strict=True))
    tree = Dendrogram.of_edges(src, dst, score.astype(np.float32))
    giant = largest_component(tree, 0.3, most_bridges=2)
    bridges = [(int(tree.src[i]), int(tree.dst[i])) for i in giant.bridges]
    assert (giant.size, bridges) == (19, [(11, 20), (0, 10)])
    assert giant.falls_apart == pytest.approx(0.6)
