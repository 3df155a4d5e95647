import networkx
import numpy as np
import pytest

from cdp_spark.base.statuses import STATUSES
from cdp_spark.clusters.kernels.dendrogram import Dendrogram
from cdp_spark.clusters.kernels.pruning import Limits, cut_by_code, levels, prune_by_paper
from cdp_spark.clusters.kernels.spanning_forest import Forest, maximum_spanning_forest
from tests import reference

KINDS = ("ties", "smooth", "weakest off the forest")


def random_pairs(seed: int) -> reference.Pairs:
    """Return pairs of up to 40 items: with many ties, none, or a weak pair that closes a cycle."""
    random = np.random.default_rng(seed)
    count, kind = int(random.integers(2, 40)), KINDS[seed % 3]
    ends = random.integers(0, count, (int(random.integers(1, 3 * count)), 2))
    score = random.uniform(0.1, 1.0, len(ends)).astype(np.float32)
    if kind == "ties":
        score = np.round(score * 5).astype(np.float32) / np.float32(5)
    pairs = {(int(min(i, j)), int(max(i, j))): float(s) for (i, j), s in zip(ends, score, strict=True) if i != j}
    if kind == "weakest off the forest":
        pairs |= {(0, 1): 0.75, (0, 2): 0.875, (1, 2): 0.0625}
    return pairs


def columns(pairs: reference.Pairs) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rows = sorted(pairs)
    ends = np.array(rows, np.int64).reshape(-1, 2)
    return ends[:, 0].copy(), ends[:, 1].copy(), np.float32([pairs[row] for row in rows])


def as_labels(pruned) -> reference.Labels:
    return {
        int(item): (int(root) if root >= 0 else None, STATUSES[status], float(level) if root >= 0 else None)
        for item, root, status, level in zip(pruned.items, pruned.root, pruned.status, pruned.level, strict=True)
    }


@pytest.mark.parametrize("rule", ["code", "paper"])
@pytest.mark.parametrize("max_iter", [0, 2, 100])
def test_clusters_equal_those_of_the_plain_algorithm(rule, max_iter):
    for seed in range(200):
        pairs = random_pairs(seed)
        if not pairs:
            continue
        max_size = 1 + seed % 7
        wanted = reference.clusters(40, pairs, 0.0, max_size=max_size, step=0.1, max_iter=max_iter, rule=rule)
        wanted = {item: value for item, value in wanted.items() if value[1] != "discarded"}
        src, dst, score = columns(pairs)
        limits = Limits(max_size, 0.1, max_iter)
        if rule == "code":
            pruned = cut_by_code(Dendrogram.of_edges(src, dst, score), 0.0, start=float(score.min()), limits=limits)
        else:
            pruned = prune_by_paper(src, dst, score, limits=limits)
        assert as_labels(pruned) == wanted, seed


@pytest.mark.parametrize("threshold", [-1.0, 0.3, float(np.float32(0.6)), 0.9, 1.0])
def test_a_cut_of_the_whole_forest_is_that_of_the_pairs_above_any_threshold(threshold):
    for seed in range(60):
        pairs = random_pairs(seed)
        if not pairs:
            continue
        wanted = reference.clusters(40, pairs, threshold, max_size=5, step=0.1, max_iter=9, rule="code")
        wanted = {item: value for item, value in wanted.items() if value[1] != "discarded"}
        src, dst, score = columns(pairs)
        start = float(score[score > threshold].min(initial=1.0))
        pruned = cut_by_code(Dendrogram.of_edges(src, dst, score), threshold, start=start, limits=Limits(5, 0.1, 9))
        assert as_labels(pruned) == wanted, seed


def test_the_forest_has_networkx_weight_and_does_not_depend_on_batches():
    for seed in range(100):
        src, dst, score = columns(random_pairs(seed))
        kept = maximum_spanning_forest(src, dst, score)
        graph = networkx.Graph()
        graph.add_weighted_edges_from(zip(src.tolist(), dst.tolist(), score.tolist(), strict=True))
        assert score[kept].sum() == pytest.approx(networkx.maximum_spanning_tree(graph).size("weight"), rel=1e-5)
        forest, shuffled = Forest(gather=3), np.random.default_rng(seed).permutation(len(src))
        for start in range(0, len(src), 4):
            rows = shuffled[start : start + 4]
            forest.add(src[rows], dst[rows], score[rows])
        for column, wanted in zip(forest.edges(), (src[kept], dst[kept], score[kept]), strict=True):
            np.testing.assert_array_equal(column, wanted)


def test_all_scores_one_end_forced_and_connected_items_stay_together():
    src, dst = np.array([0, 1, 5, 6]), np.array([1, 2, 6, 7])
    tree = Dendrogram.of_edges(src, dst, np.ones(4, np.float32))
    pruned = cut_by_code(tree, 0.5, start=1.0, limits=Limits(2, 0.05, 100))
    assert {STATUSES[status] for status in pruned.status} == {"forced"}
    assert pruned.root.tolist() == [0, 0, 0, 5, 5, 5]
    assert len(levels(1.0, Limits(2, 0.05, 100))) == 1


def test_ids_up_to_the_largest_long_are_fine():
    top = 2**63 - 1
    kept = maximum_spanning_forest(np.array([0, 0]), np.array([top, top]), np.float32([0.5, 0.6]))
    assert kept.tolist() == [1]
