"""Pieces and their clusters in tables equal those of the kernels, however the rows lie."""

import numpy as np
import pytest

from cdp_spark.agglomeration import pieces_to_clusters
from cdp_spark.agglomeration import pieces_to_clusters as stage
from cdp_spark.agglomeration.kernels.agglomeration import Rule
from cdp_spark.agglomeration.kernels.labelled_pieces import clustered
from cdp_spark.agglomeration.kernels.link_features import LINK_FEATURES, MEAN, Centroids
from cdp_spark.base import schemas
from cdp_spark.base.numeric.connected import connected_components
from cdp_spark.networks.kernels.mlp import log_odds
from tests.agglomeration.kernels.test_agglomeration import plain


def mean_and_size(features):
    """Stand in for a cluster mediator."""
    return np.round(features[:, MEAN].astype(np.float64) - 0.3 * features[:, 0] + 0.1, 6)


RULES = pytest.mark.parametrize("rule", [Rule(), Rule(mean_and_size, 5)], ids=["contraction", "learned"])


def scored(seed=0, items=120):
    random = np.random.default_rng(seed)
    ends = np.unique(np.sort(random.integers(0, items, (6 * items, 2))), axis=0)
    ends = ends[ends[:, 0] != ends[:, 1]]
    group = random.integers(0, items // 8, items)
    z = random.normal(np.where(group[ends[:, 0]] == group[ends[:, 1]], 2.5, -3.0), 1.5)
    return 10 * ends[:, 0], 10 * ends[:, 1], (1 / (1 + np.exp(-z))).astype(np.float32)


def table(spark, schema, columns, parts=1):
    rows = [tuple(value.item() for value in row) for row in zip(*columns, strict=True)]
    return spark.createDataFrame(rows, schema).repartition(parts)


def found_by(spark, pairs, rule, most, parts):
    all_pairs = table(spark, schemas.SCORED_PAIRS, pairs, parts)
    grouped = all_pairs.where("score > 0.5").repartition(1)
    piece_of = stage.pieces(grouped, most=most)
    inner = stage.inside(all_pairs, piece_of, item_count=1_000)
    labelled = stage.agglomerated(inner, rule, tasks=parts)
    return (
        {row["item"]: row["piece"] for row in piece_of.collect()},
        {row["item"]: row.asDict() for row in labelled.collect()},
    )


@pytest.mark.engines("5-contraction", "5-learned")
@RULES
@pytest.mark.parametrize("parts", [1, 5])
def test_clusters_are_those_of_the_plain_algorithm_inside_each_piece(spark, rule, parts):
    src, dst, score = pairs = scored()
    piece_of, rows = found_by(spark, pairs, rule, 10_000, parts)
    above = score > 0.5
    items, root = connected_components(src[above], dst[above])
    assert piece_of == dict(zip(items.tolist(), root.tolist(), strict=True))
    assert set(rows) == set(piece_of)
    inside = np.array([piece_of.get(a, -1) == piece_of.get(b, -2) for a, b in zip(src, dst, strict=True)])
    # z as the links keep it: a multiple of 2^-20.
    z = (np.round(log_odds(score[inside]).astype(np.float64) * 2**20) / 2**20).astype(np.float32)
    place = {item: number for number, item in enumerate(items.tolist())}
    ends = [np.array([place[item] for item in column[inside].tolist()]) for column in (src, dst)]
    wanted = plain(*ends, z, rule, len(items))
    assert {item: row["root"] for item, row in rows.items()} == {
        item: int(items[wanted[number]]) for item, number in place.items()
    }
    sizes = {root: sum(row["root"] == root for row in rows.values()) for root in {r["root"] for r in rows.values()}}
    for row in rows.values():
        assert row["size"] == sizes[row["root"]]
        assert row["status"] == ("clustered" if row["size"] > 1 else "singleton")
        assert row["level"] == 0.5
        assert 0 < row["confidence"] <= 1
        other = row["best_other"]
        assert other is None or (other in sizes and other != row["root"])


@RULES
def test_rows_in_another_order_and_number_of_parts_change_nothing(spark, rule):
    pairs = scored(3)
    order = np.random.default_rng(1).permutation(len(pairs[0]))
    assert found_by(spark, pairs, rule, 20, 1) == found_by(spark, [column[order] for column in pairs], rule, 20, 4)


def test_vectors_come_along_once_and_decide_as_in_the_kernel(spark):
    pairs = scored(4)
    items, dimensions = 10 * np.arange(120), (3, 5)
    vectors = np.random.default_rng(2).normal(size=(120, 8)).astype(np.float16)
    rule = Rule(lambda features: np.round(features[:, MEAN] + 4 * features[:, len(LINK_FEATURES)] - 0.5, 6), 5)
    models = [
        spark.createDataFrame(
            [(int(item), bytearray(row[part].tobytes())) for item, row in zip(items, vectors, strict=True)],
            "item long, vector binary",
        ).repartition(3)
        for part in (slice(0, 3), slice(3, 8))
    ]  # fmt: skip
    all_pairs = table(spark, schemas.SCORED_PAIRS, pairs, 3)
    piece_of = stage.pieces(all_pairs.where("score > 0.5").repartition(1), most=10_000)
    inner = stage.inside(all_pairs, piece_of, item_count=1_000)
    rows = pieces_to_clusters.with_vectors(
        inner, piece_of.select("item", "piece"), pieces_to_clusters.side_by_side(models)
    )

    def found(tasks):
        labelled = stage.agglomerated(rows, rule, tasks=tasks, dimensions=dimensions).collect()
        return {row["item"]: row["root"] for row in labelled}

    inside = [row.asDict() for row in inner.collect()]
    ends = [np.array([row[end] for row in inside]) for end in ("src", "dst")]
    wanted = clustered(
        *ends, np.float32([row["score"] for row in inside]), rule,
        centroids=lambda known: Centroids.of(vectors[known // 10], dimensions),
    )  # fmt: skip
    assert found(1) == found(4) == dict(zip(wanted.items.tolist(), wanted.root.tolist(), strict=True))
    without = clustered(*ends, np.float32([row["score"] for row in inside]), Rule(mean_and_size, 5))
    assert (without.root != wanted.root).any()


def test_pieces_keep_to_their_size_and_lose_no_item(spark):
    pairs = scored(5)
    whole, _ = found_by(spark, pairs, Rule(), 10_000, 2)
    cut, rows = found_by(spark, pairs, Rule(), 10, 2)
    assert max(np.unique(list(whole.values()), return_counts=True)[1]) > 10
    assert max(np.unique(list(cut.values()), return_counts=True)[1]) <= 10
    assert set(cut) == set(whole) == set(rows)
    assert any(row["level"] > 0.5 for row in rows.values())
    assert all(cut[row["root"]] == cut[item] for item, row in rows.items())
