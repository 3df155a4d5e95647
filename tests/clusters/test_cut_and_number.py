"""Soft labels against the same diffusion in plain Python."""

from collections import defaultdict

import numpy as np
import pytest

from cdp_spark.base import schemas
from cdp_spark.clusters.cut_and_number import KEPT, ROUNDS, clusters, soft_labels

WHOLE, STRONGEST = 1 << 20, 1 << 16


def plain(pairs, root):
    """Spread labels by dictionaries of whole numbers."""
    edges = defaultdict(dict)
    for src, dst, score in pairs:
        strength = round(score * STRONGEST)
        if strength > 0:
            edges[src][dst] = edges[dst][src] = strength
    state = {item: {label: WHOLE // 2} for item, label in root.items() if label is not None}
    seeds = state
    for _ in range(ROUNDS):
        after = {}
        for item in {*seeds, *edges}:
            got = defaultdict(int)
            for other, strength in edges[item].items():
                for label, weight in state.get(other, {}).items():
                    got[label] += strength * weight
            degree = sum(edges[item].values())
            found = {label: value // (2 * degree) for label, value in got.items()}
            for label, weight in seeds.get(item, {}).items():
                found[label] = found.get(label, 0) + weight
            best = sorted((-weight, label) for label, weight in found.items() if weight > 0)[:KEPT]
            after[item] = {label: -weight for weight, label in best}
        state = after
    return {item: weights for item, weights in state.items() if weights}


def tables(spark, pairs, root, parts=1):
    edges = spark.createDataFrame(pairs, schemas.SCORED_PAIRS).repartition(parts, "dst")
    rows = [(item, label, "clustered", 2, 0.5, 0.5) for item, label in root.items()]
    return edges, spark.createDataFrame(rows, schemas.LABELLED_ITEMS)


@pytest.mark.engines("5")
@pytest.mark.parametrize("parts", [1, 5])
def test_weights_are_those_of_a_plain_diffusion(spark, parts):
    random = np.random.default_rng(4)
    ends = {tuple(sorted(pair)) for pair in random.integers(0, 40, (140, 2)).tolist() if pair[0] != pair[1]}
    pairs = [(a, b, float(np.float32(random.uniform(-0.2, 1)))) for a, b in sorted(ends)]
    root = {item: (item // 7) * 7 if item % 9 else None for item in range(40)}
    found = defaultdict(dict)
    for row in soft_labels(*tables(spark, pairs, root, parts)).collect():
        found[row["item"]][row["root"]] = row["weight"]
    assert dict(found) == plain(pairs, root)


def test_an_item_between_two_clusters_gets_both_and_shares_add_up(spark):
    pairs = [(0, 1, 0.9), (1, 2, 0.9), (2, 3, 0.6), (3, 4, 0.9)]
    edges, labelled = tables(spark, pairs, {0: 0, 1: 0, 2: 0, 3: 3, 4: 3})
    items = spark.createDataFrame([(10 + item, item) for item in range(6)], "id long, item long")
    rows = {row["id"]: row["soft_labels"] for row in clusters(items, labelled, soft_labels(edges, labelled)).collect()}
    assert rows[15] is None
    for labels in [labels for labels in rows.values() if labels]:
        assert sum(label["weight"] for label in labels) == pytest.approx(1)
        assert [label["weight"] for label in labels] == sorted((label["weight"] for label in labels), reverse=True)
    assert [label["cluster"] for label in rows[12]] == [0, 1]
    assert rows[12][0]["weight"] > rows[13][1]["weight"] > rows[10][-1]["weight"]
