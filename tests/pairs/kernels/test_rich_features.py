"""The rich features equal a plain implementation, whichever end comes first and whichever block owns the pair."""

from dataclasses import replace

import numpy as np
import pytest

from cdp_spark.pairs.kernels.features import STRUCTURE, chosen_columns, feature_names, pair_features
from tests import reference
from tests.pairs.kernels.test_features import K, block_of, candidates, models


def plain(vectors: list[np.ndarray], pair: tuple[int, int], k: int = K) -> list[float]:
    """Return all features of one pair, by definition."""
    graphs = [reference.knn(rows, k) for rows in vectors]
    exact = [rows.astype(np.float64) for rows in vectors]
    i, j = pair
    cosines = [row[i] @ row[j] / np.sqrt((row[i] @ row[i]) * (row[j] @ row[j])) for row in exact]
    relationship = [float(j in near[i] or i in near[j]) for near, _ in graphs[1:]]
    structures = [structure(graph, cosine, pair, k) for graph, cosine in zip(graphs, cosines, strict=True)]
    overlaps = [each[1] for each in structures]
    return [
        *relationship, *cosines, np.mean(cosines), min(cosines), np.std(cosines),
        *np.concatenate(structures), np.mean(overlaps), min(overlaps),
    ]  # fmt: skip


def structure(graph, cosine: float, pair: tuple[int, int], k: int) -> list[float]:
    near, similarities = graph
    i, j = pair
    shared = len({*near[i], i} & {*near[j], j}) / (k + 1)
    weight = {end: dict(zip(near[end], similarities[end], strict=True)) for end in pair}
    common = sum(max(0, min(weight[i][c], weight[j][c])) for c in weight[i].keys() & weight[j].keys())
    union = sum(max(0, s) for end in pair for s in similarities[end]) - common
    means, deviations = ([figure(similarities[end]) for end in pair] for figure in (np.mean, np.std))
    best = max(similarities[end][0] if similarities[end] else 0 for end in pair)
    ranks = sorted(near[a].index(b) if b in near[a] else k for a, b in ((i, j), (j, i)))
    return [
        shared, common / union if union > 0 else 0, min(means), max(means), min(deviations), max(deviations),
        cosine - min(means), cosine - max(means), cosine - best, *np.log1p(ranks),
    ]  # fmt: skip


@pytest.mark.parametrize("graphs", [1, 3], ids=["base pairs", "pairs of all models"])
@pytest.mark.parametrize("blocks", [1, 4])
def test_features_are_those_of_the_definitions(graphs, blocks):
    vectors = models()
    rows = {}
    for number in range(blocks):
        block = block_of(vectors, np.arange(60) % blocks == number, graphs)
        features = pair_features(block, "rich", K)
        for a, b, row in zip(block.items[block.first], block.items[block.second], features, strict=True):
            rows[min(int(a), int(b)), max(int(a), int(b))] = row
    assert set(rows) == candidates(vectors, graphs)
    for pair, row in rows.items():
        np.testing.assert_allclose(row, plain(vectors, pair), atol=2e-6)


def test_the_order_of_the_ends_changes_no_bit():
    block = block_of(models(), np.ones(60, bool), 3)
    order = np.argsort(block.second, kind="stable")
    turned = replace(block, first=block.second[order], second=block.first[order])
    np.testing.assert_array_equal(pair_features(block, "rich", K)[order], pair_features(turned, "rich", K))


def test_names_distinguish_the_three_groups():
    names = feature_names("abcde", "rich")
    assert len(set(names)) == len(names) == 69
    assert len(chosen_columns(names, ["relationship"])) == 4
    assert len(chosen_columns(names, ["affinity"])) == 5 + 3
    assert len(chosen_columns(names, ["structure"])) == 5 * len(STRUCTURE) + 2


def test_an_item_without_neighbours_has_features_too():
    block = block_of(models(), np.ones(60, bool), 3)
    first_list = block.graphs[1]
    emptied = first_list.ordered(np.arange(60), first_list.offsets, first_list.neighbors, first_list.similarities)
    offsets = np.maximum(emptied.offsets - emptied.offsets[1], 0)
    lost = emptied._replace(offsets=offsets, neighbors=emptied.neighbors[emptied.offsets[1] :],
                   similarities=emptied.similarities[emptied.offsets[1] :])  # fmt: skip
    features = pair_features(replace(block, graphs=[block.graphs[0], lost, block.graphs[2]]), "rich", K)
    assert np.isfinite(features).all()
