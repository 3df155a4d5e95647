import networkx
import numpy as np
import pytest

from cdp_spark.clusters.forest.grow import filtered_pairs, grown_forest

SCHEMA = "src long, dst long, score float"


def random_pairs(seed: int, items: int = 60, count: int = 400) -> list:
    random = np.random.default_rng(seed)
    ends = {tuple(sorted(pair)) for pair in random.integers(0, items, (count, 2)).tolist() if pair[0] != pair[1]}
    return [(src, dst, round(float(random.random()), 1)) for src, dst in sorted(ends)]


def edges_of(table) -> set:
    return {(row["src"], row["dst"], round(row["score"], 4)) for row in table.collect()}


def true_forest(pairs) -> set:
    """Kruskal with ties broken by (src, dst)."""
    parts = networkx.utils.UnionFind()
    kept = set()
    for src, dst, score in sorted(pairs, key=lambda pair: (-pair[2], pair[0], pair[1])):
        if parts[src] != parts[dst]:
            parts.union(src, dst)
            kept.add((src, dst, round(score, 4)))
    return kept


def grow(spark, folder, pairs, task_edges):
    rounds = []

    def materialise(name, table):
        rounds.append(name)
        table.write.parquet(f"{folder}/{name}")
        stored = spark.read.parquet(f"{folder}/{name}")
        return stored, stored.count()

    table = spark.createDataFrame(pairs, SCHEMA).repartition(7)
    forest = grown_forest(table, item_count=60, pair_count=len(pairs), task_edges=task_edges, materialise=materialise)
    return forest, rounds


@pytest.mark.engines("0-1000", "1-100")
@pytest.mark.parametrize("task_edges", [1000, 100])
@pytest.mark.parametrize("seed", range(2))
def test_the_forest_is_the_one_of_kruskal_however_it_was_merged(spark, tmp_path, seed, task_edges):
    pairs = random_pairs(seed)
    grown, rounds = grow(spark, tmp_path, pairs, task_edges)
    assert (rounds == ["forest/whole"]) == (task_edges == 1000)
    assert grown.complete
    assert edges_of(grown.table) == true_forest(pairs)
    assert grown.rows == len(true_forest(pairs))


def test_rounds_of_fewer_tasks_merge_while_they_shrink_it(spark, tmp_path):
    grown, rounds = grow(spark, tmp_path, random_pairs(1), 59)
    assert grown.complete
    assert len(rounds) >= 2
    assert edges_of(grown.table) == true_forest(random_pairs(1))


def test_beyond_the_bound_a_superset_with_the_same_components_is_left(spark, tmp_path):
    pairs = random_pairs(2)
    grown, _ = grow(spark, tmp_path, pairs, 20)
    assert not grown.complete
    assert true_forest(pairs) <= edges_of(grown.table) <= {(i, j, round(s, 4)) for i, j, s in pairs}


def test_one_task_filters_pairs_that_are_not_many(spark, tmp_path):
    pairs = random_pairs(3)
    grown, rounds = grow(spark, tmp_path, pairs, 1000)
    assert rounds == ["forest/whole"]
    assert edges_of(grown.table) == true_forest(pairs)


def test_no_pairs_have_an_empty_forest(spark):
    assert filtered_pairs(spark.createDataFrame([], SCHEMA), task_edges=10).count() == 0
