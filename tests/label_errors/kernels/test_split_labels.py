"""Fragments of labels against networkx and plain sums."""

import networkx as nx
import numpy as np
import pytest

from cdp_spark.label_errors.kernels.split_labels import fragments_of_labels


def plain(label_of, pairs, k):
    """Return {item: (label, root, score)}, by dictionaries."""
    fragments = {}
    for label in sorted({label_of[src] for src, _ in pairs}):
        own = {pair: strength for pair, strength in pairs.items() if label_of[pair[0]] == label}
        graph = nx.Graph()
        graph.add_nodes_from(end for pair in own for end in pair)
        graph.add_edges_from(pair for pair, strength in own.items() if strength > 0.5)
        components = sorted(nx.connected_components(graph), key=lambda each: (-len(each), min(each)))
        for mine in components[1:]:
            inside = sum(s for (a, b), s in own.items() if a in mine and b in mine)
            across = sum(s for (a, b), s in own.items() if (a in mine) != (b in mine))
            if len(mine) < 2:
                continue
            wanted = 2 * inside * min(len(graph) - len(mine), k) / (len(mine) - 1)
            score = max(0.0, 1 - across / wanted) * len(mine) / (len(mine) + 1)
            fragments |= {item: (label, min(mine), pytest.approx(score)) for item in mine}
    return fragments


@pytest.mark.parametrize("seed", range(12))
def test_fragments_are_those_of_plain_sums(seed):
    random = np.random.default_rng(seed)
    label_of = dict(enumerate((random.integers(0, 4, 40) * 10).tolist()))
    pairs = {}
    for src, dst in np.sort(random.integers(0, 40, (160, 2)), axis=1).tolist():
        if src != dst and label_of[src] == label_of[dst]:
            pairs[src, dst] = float(random.choice([0.1, 0.3, 0.9]))
    src, dst = (np.array(end) for end in zip(*pairs, strict=True))
    order = random.permutation(len(pairs))
    columns = (np.array([label_of[item] for item in src.tolist()]), src, dst, np.array(list(pairs.values())))
    fragments = fragments_of_labels(*(column[order] for column in columns), k=6)
    rows = zip(fragments.items, fragments.labels, fragments.roots, fragments.scores, strict=True)
    assert {int(item): (label, root, score) for item, label, root, score in rows} == plain(label_of, pairs, 6)


def test_a_weak_bridge_between_fragments_lowers_the_score():
    src, dst = np.array([0, 0, 1, 3, 3, 4, 2]), np.array([1, 2, 2, 4, 5, 5, 3])
    label = np.zeros(7, int)
    strength = np.array([1.0] * 6 + [0.4])
    weak = fragments_of_labels(label, src, dst, strength, k=5)
    none = fragments_of_labels(label[:-1], src[:-1], dst[:-1], strength[:-1], k=5)
    assert set(weak.items.tolist()) == set(none.items.tolist()) == {3, 4, 5}
    assert 0 < weak.scores[0] < none.scores[0] == 0.75


def test_no_pairs_give_no_fragments():
    nothing = np.empty(0, np.int64)
    assert not len(fragments_of_labels(nothing, nothing, nothing, np.empty(0), k=5).items)
