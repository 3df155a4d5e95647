import numpy as np
import pytest
from pyspark.sql import functions as F

from cdp_spark.scoring import vote

GRAPH = "item long, neighbors array<long>, similarities array<float>"


def make(spark, lists):
    rows = [(item, near, [float(np.float32(0.9 - 0.1 * i)) for i in range(len(near))]) for item, near in lists.items()]
    return spark.createDataFrame(rows, GRAPH).repartition(7)


def pairs(table):
    return sorted((row["src"], row["dst"], round(row["score"], 2)) for row in table.collect())


def test_without_a_committee_every_base_edge_is_one_pair(spark):
    base = make(spark, {0: [1, 2], 1: [0], 2: [3], 3: [2]})
    found = pairs(vote.scored_pairs(base, [], accept=0, item_count=4))
    assert found == [(0, 1, 0.9), (0, 2, 0.8), (2, 3, 0.9)]


def test_a_pair_passes_when_either_direction_has_the_votes(spark):
    base = make(spark, {0: [1], 1: [0, 2], 2: [1]})
    one = make(spark, {0: [2], 1: [0], 2: [0]})
    two = make(spark, {0: [2], 1: [0], 2: [1]})
    assert pairs(vote.scored_pairs(base, [one, two], accept=2, item_count=3)) == [(0, 1, 0.9)]
    assert pairs(vote.scored_pairs(base, [one, two], accept=1, item_count=3)) == [(0, 1, 0.9), (1, 2, 0.9)]


def test_votes_of_different_directions_are_not_added_up(spark):
    base = make(spark, {0: [1], 1: [0]})
    one, two = make(spark, {0: [1], 1: []}), make(spark, {0: [], 1: [0]})
    assert pairs(vote.scored_pairs(base, [one, two], accept=2, item_count=2)) == []


@pytest.mark.engines("3")
@pytest.mark.parametrize("block", [3, 1000])
def test_pairs_are_the_same_however_items_are_blocked(spark, monkeypatch, block):
    random = np.random.default_rng(0)
    lists = {i: [int(j) for j in random.permutation(60)[:5] if j != i] for i in range(60)}
    monkeypatch.setattr(vote, "_BLOCK_ITEMS", block)
    found = vote.scored_pairs(make(spark, lists), [], accept=0, item_count=60).collect()
    wanted = {(min(i, j), max(i, j)) for i, near in lists.items() for j in near}
    assert sorted((row["src"], row["dst"]) for row in found) == sorted(wanted)


@pytest.mark.spark("keys are made for Spark's hash; with another they decide on speed alone")
def test_tasks_have_about_as_many_pairs_each(spark, monkeypatch):
    random = np.random.default_rng(1)
    lists = {i: [int(j) for j in random.permutation(400)[:9] if j != i] for i in range(400)}
    monkeypatch.setattr(vote, "_BLOCK_ITEMS", 50)
    found = vote.scored_pairs(make(spark, lists), [], accept=0, item_count=400)
    counts = [row["count"] for row in found.groupBy(F.spark_partition_id()).count().collect()]
    assert len(counts) == 8  # none is empty, though pairs are sent by a hash
    assert max(counts) < 1.25 * min(counts)  # though the first items have nearly all pairs, the last none
