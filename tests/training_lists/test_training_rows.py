"""Which items are exported, with which label, weight and split: exact rows on repartitioned input."""

from collections import Counter, defaultdict

import numpy as np
import pytest
from pyspark.sql import functions as F

from cdp_spark.base import schemas
from cdp_spark.training_lists import training_rows as stage

# Cluster 0: ids 1-4; cluster 1: ids 5, 6; cluster 2: id 7; id 8 has none.
BEST = {1: 0.9, 2: 0.8, 3: 0.8, 4: 0.3, 5: 0.7, 6: 0.2, 7: 0.95, 8: None}
CLUSTER = {1: 0, 2: 0, 3: 0, 4: 0, 5: 1, 6: 1, 7: 2, 8: -1}


def clusters(spark):
    rows = [(id, CLUSTER[id], "clustered", 1, best, 0.5) for id, best in BEST.items()]
    return spark.createDataFrame(rows, schemas.clusters(spark.range(1).schema["id"].dataType)).repartition(7)


def outcomes(table):
    return {row["id"]: row["outcome"] for row in table.collect()}


def kept(spark):
    return stage.confident(clusters(spark), min_size=1, min_confidence=-1).where(F.col("outcome") == stage.KEPT)


@pytest.mark.engines
def test_items_are_left_out_for_one_reason(spark):
    found = stage.confident(clusters(spark), min_size=2, min_confidence=0.25)
    assert outcomes(found) == {
        1: "kept", 2: "kept", 3: "kept", 4: "kept", 5: "small_cluster", 6: "low_confidence", 7: "small_cluster",
        8: "no_cluster",
    }  # fmt: skip
    assert outcomes(stage.at_most(found.repartition(5), 2)) == {
        1: "kept", 2: "kept", 3: "beyond_share", 4: "beyond_share", 5: "small_cluster", 6: "low_confidence",
        7: "small_cluster", 8: "no_cluster",
    }  # fmt: skip


def test_a_column_of_confidence_counts_before_the_best_score(spark):
    known = clusters(spark).withColumn("confidence", F.lit(0.1))
    assert set(outcomes(stage.confident(known, min_size=1, min_confidence=0.2)).values()) == {
        "low_confidence", "no_cluster",
    }  # fmt: skip


def test_labels_of_the_two_sets_never_meet(spark):
    labelled = spark.createDataFrame([(1, "b"), (2, "a"), (3, "b")], "id long, label string")
    numbers = stage.label_numbers(labelled.repartition(3))
    made = stage.cluster_numbers(kept(spark), None, 2)
    rows = stage.cluster_rows(kept(spark), made, None).unionByName(
        stage.labelled_rows(labelled, numbers, soft=False)
    ).collect()  # fmt: skip
    found = {(row["source"], row["id"]): (row["label"], row["identity"]) for row in rows}
    assert {key: value for key, value in found.items() if key[0] == "labelled"} == {
        ("labelled", 1): (1, "b"), ("labelled", 2): (0, "a"), ("labelled", 3): (1, "b"),
    }  # fmt: skip
    assert {id: found["cluster", id] for id in CLUSTER if CLUSTER[id] >= 0} == {
        id: (2 + CLUSTER[id], str(CLUSTER[id])) for id in CLUSTER if CLUSTER[id] >= 0
    }
    assert {row["id"]: row["weight"] for row in rows if row["source"] == "cluster"} == {
        id: pytest.approx(best) for id, best in BEST.items() if best is not None
    }
    assert all(row["weight"] == 1 for row in rows if row["source"] == "labelled")


def test_a_cluster_takes_over_the_label_of_most_of_its_labelled_items(spark):
    labelled = spark.createDataFrame([(1, 40), (2, 40), (3, 50), (5, 50), (6, 40), (100, 60)], "id long, label long")
    numbers = stage.label_numbers(labelled)
    for share, wanted in ((0.5, {0: 0, 1: 0}), (0.6, {0: 0}), (0.7, {})):
        known = stage.matched_clusters(clusters(spark), labelled.repartition(3), numbers, share=share)
        assert {row["cluster"]: row["number"] for row in known.collect()} == wanted
        made = stage.cluster_numbers(kept(spark), known, 3)
        fresh = {cluster: 3 + place for place, cluster in enumerate(sorted({0, 1, 2} - set(wanted)))}
        assert {row["cluster"]: row["number"] for row in made.collect()} == wanted | fresh


def test_soft_labels_of_what_is_left_add_up(spark):
    soft = spark.createDataFrame(
        [(1, [(0, 0.5), (1, 0.25), (9, 0.25)]), (5, [(1, 1.0)])],
        "id long, soft_labels array<struct<cluster: long, weight: float>>",
    )
    numbers = spark.createDataFrame([(0, 7), (1, 8), (2, 7)], stage.CLUSTER_NUMBERS)
    rows = stage.cluster_rows(kept(spark), numbers, soft).collect()
    found = {row["id"]: [tuple(entry) for entry in row["soft_labels"]] for row in rows}
    assert found[1] == [(7, pytest.approx(2 / 3, abs=1e-5)), (8, pytest.approx(1 / 3, abs=1e-5))]
    assert found[5] == [(8, 1.0)]
    assert found[7] == [(7, 1.0)]


def rows_of(spark, count=4000):
    return spark.range(count).selectExpr("id", "cast(id div 5 as long) as label")


def test_splits_depend_on_the_id_alone_and_have_their_shares(spark):
    shares = {"validation": 0.2, "test": 0.1}
    found = {row["id"]: row["split"] for row in stage.with_splits(
        rows_of(spark).repartition(7), shares, by="item", seed=1
    ).collect()}  # fmt: skip
    counts = Counter(found.values())
    assert counts["validation"] == pytest.approx(800, abs=100)
    assert counts["test"] == pytest.approx(400, abs=80)
    half = stage.with_splits(rows_of(spark, 2000), shares, by="item", seed=1).collect()
    assert all(found[row["id"]] == row["split"] for row in half)
    other = stage.with_splits(rows_of(spark), shares, by="item", seed=2).collect()
    assert sum(found[row["id"]] != row["split"] for row in other) > 1000


def test_split_by_identity_keeps_labels_whole(spark):
    splits = defaultdict(set)
    for row in stage.with_splits(rows_of(spark).repartition(7), {"test": 0.5}, by="identity", seed=0).collect():
        splits[row["label"]].add(row["split"])
    assert all(len(each) == 1 for each in splits.values())
    assert np.mean(["test" in each for each in splits.values()]) == pytest.approx(0.5, abs=0.08)


@pytest.mark.engines
def test_all_rows_of_a_file_lie_in_one_partition(spark):
    rows = stage.with_splits(rows_of(spark), {"test": 0.5}, by="item", seed=0)
    placed = stage.in_files(rows, {"train": 3, "test": 2}, seed=0, shuffled=True)
    places = placed.select("split", "file", F.spark_partition_id().alias("partition")).distinct().collect()
    assert len(places) == len({(row["split"], row["file"]) for row in places}) == 5
    assert placed.count() == 4000
