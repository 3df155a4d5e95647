import numpy as np
import pandas as pd
import pytest

from cdp_spark.report import summaries

PAIRS = "src long, dst long, score float"
CLUSTERS = "id long, cluster long, size long, level double"
# Cluster 0 is the chain 0-1-2-3 with a weak middle, cluster 1 the pair 4-5; 6 has none.
FOREST = [(0, 1, 0.9), (1, 2, 0.5), (2, 3, 0.9), (4, 5, 0.7), (3, 4, 0.2)]
ROWS = [(10 + i, 0 if i < 4 else 1 if i < 6 else -1, [4, 4, 4, 4, 2, 2, 0][i], 0.4) for i in range(7)]


def test_scores_are_counted_in_bins_of_a_hundredth(spark):
    pairs = [(0, 1, 0.5), (0, 2, 0.509), (0, 3, -0.001), (0, 4, 1.0), (0, 5, 0.999), (0, 6, -1.0)]
    found = summaries.score_histogram(spark.createDataFrame(pairs, PAIRS).repartition(7)).collect()
    assert {row["bin"]: row["pairs"] for row in found} == {50: 2, -1: 1, 99: 2, -100: 1}


def test_sizes_count_clusters_not_items(spark):
    found = summaries.cluster_sizes(spark.createDataFrame(ROWS, CLUSTERS).repartition(7)).collect()
    assert {row["size"]: row["clusters"] for row in found} == {4: 1, 2: 1}


def test_the_largest_come_first_and_members_are_always_the_same(spark):
    clusters = spark.createDataFrame(ROWS, CLUSTERS).repartition(7)
    assert [row["cluster"] for row in summaries.largest_clusters(clusters, 5).collect()] == [0, 1]
    some = {row["id"] for row in summaries.some_members(clusters, 2).where("cluster = 0").collect()}
    assert len(some) == 2
    whole = summaries.some_members(clusters, 2, whole=[0]).collect()
    assert len([row for row in whole if row["cluster"] == 0]) == 4
    assert {row["id"] for row in whole if row["cluster"] == 0 and row["rank"] <= 2} == some
    assert some == {
        row["id"] for row in summaries.some_members(clusters.repartition(3), 2).where("cluster = 0").collect()
    }


def test_edges_between_clusters_are_not_inside(spark):
    edges = [(10 + src, 10 + dst, score) for src, dst, score in FOREST]
    merges = spark.createDataFrame(edges, PAIRS).repartition(7)
    inside = summaries.edges_inside(merges, spark.createDataFrame(ROWS, CLUSTERS).repartition(3))
    assert {(row["cluster"], row["size"], row["src"], row["dst"]) for row in inside.collect()} == {
        (0, 4, 10, 11), (0, 4, 11, 12), (0, 4, 12, 13), (1, 2, 14, 15),
    }  # fmt: skip


def random_run(seed: int = 1):
    """Clusters of sizes 2 to 12 held together by chains of random scores, and what pandas makes of them."""
    random = np.random.default_rng(seed)
    edges, rows, start = [], [], 0
    for cluster in range(40):
        size = int(random.integers(2, 13))
        rows += [(item, cluster, size) for item in range(start, start + size)]
        edges += [(i, i + 1, round(float(random.uniform(0.3, 1)), 3)) for i in range(start, start + size - 1)]
        start += size
    inside = pd.DataFrame(edges, columns=["src", "dst", "score"])
    inside["score"] = inside["score"].astype("float32").astype("float64")
    inside = inside.merge(pd.DataFrame(rows, columns=["src", "cluster", "size"]), on="src")
    return (
        edges,
        rows,
        inside.groupby("cluster").agg(size=("size", "max"), mean=("score", "mean"), weakest=("score", "min")),
    )


@pytest.mark.engines
def test_suspects_are_those_of_plain_pandas(spark):
    edges, rows, each = random_run()
    forest = spark.createDataFrame(edges, PAIRS).repartition(7)
    of_clusters = spark.createDataFrame(rows, "id long, cluster long, size long").repartition(7)
    inside = summaries.edges_inside(forest, of_clusters)
    limits = summaries.Limits(12, smallest=4, count=3, largest=11, weak_count=7, threshold=0.35)
    found = summaries.suspects(inside, limits).collect()
    each = each[each["size"] >= 4].reset_index()
    wanted = {
        "loose": each.sort_values(["mean", "cluster"]),
        "bridge": each.assign(gap=each["weakest"] - each["mean"]).sort_values(["gap", "cluster"]),
        "large": each[each["size"] >= 10.8].sort_values(["size", "cluster"], ascending=[False, True]),
        "weak": each[(each["size"] <= 11) & (each["weakest"] > 0.35)].sort_values(["weakest", "cluster"]),
    }
    for sign, whole in wanted.items():
        table = whole.head(7 if sign == "weak" else 3)
        chosen = {row["cluster"]: row for row in sorted(found, key=lambda row: row["rank"]) if row["sign"] == sign}
        assert list(chosen) == table["cluster"].tolist(), sign
        for row in table.itertuples():
            assert chosen[row.cluster]["mean_score"] == pytest.approx(row.mean, abs=1e-6)
            assert chosen[row.cluster]["weakest"] == pytest.approx(row.weakest)
            assert chosen[row.cluster]["size"] == row.size


def test_pairs_on_which_much_depends_are_near_the_threshold_and_join_much(spark):
    random = np.random.default_rng(0)
    rows = [
        (float(score), f"s{n}", f"d{n}", "l", "r", int(left), int(right))
        for n, (score, left, right) in enumerate(
            zip(random.permutation(200) / 200, random.integers(1, 50, 200), random.integers(1, 50, 200), strict=True)
        )
    ]
    schema = "score float, src string, dst string, left string, right string, left_size long, right_size long"
    merges = spark.createDataFrame(rows, schema).repartition(7)
    found = summaries.deciding_merges(merges, threshold=0.5, near=30, count=5).collect()
    table = pd.DataFrame(rows, columns=merges.columns)
    table["gap"] = (table["score"].astype("float32").astype("float64") - 0.5).abs()
    nearest = table.sort_values(["gap", "src"]).head(30)
    smaller = nearest.assign(smaller=nearest[["left_size", "right_size"]].min(axis=1))
    wanted = smaller.sort_values(["smaller", "gap"], ascending=[False, True]).head(5)
    assert [row["src"] for row in found] == wanted["src"].tolist()


SURE = "id long, cluster long, size long, cluster_confidence float, best_other long, best_other_probability float"


def test_the_least_sure_and_the_nearly_joined_clusters_are_chosen(spark):
    clusters = {  # size, confidence, best other, how probable
        0: (5, 0.9, 1, 0.4), 1: (3, 0.5, 0, 0.4), 2: (4, 0.7, 3, 0.45), 3: (4, 0.3, 2, 0.45), 4: (4, 0.3, None, None),
        5: (2, 0.1, 0, 0.2),
    }  # fmt: skip
    rows = [(10 * each + n, each, *facts) for each, facts in clusters.items() for n in range(facts[0])]
    table = spark.createDataFrame([*rows, (99, -1, 0, None, None, None)], SURE).repartition(7)
    least = summaries.least_sure(table, smallest=3, count=3).collect()
    assert [(row["cluster"], row["size"]) for row in least] == [(3, 4), (4, 4), (1, 3)]
    joined = summaries.likeliest_merges(table, count=3).collect()  # 4 x .45, 3 x .4, 2 x .2 items
    assert [(row["cluster"], row["other"], row["size"], row["other_size"]) for row in joined] == [
        (2, 3, 4, 4), (0, 1, 5, 3), (0, 5, 5, 2),
    ]  # fmt: skip
    (first,) = summaries.likeliest_merges(table, count=1).collect()
    assert round(first["probability"], 2) == 0.45
