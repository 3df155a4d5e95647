from cdp_spark.stages import summaries

PAIRS = "src long, dst long, score float"
CLUSTERS = "id long, cluster long, size long, level double"
# Cluster 0 is the chain 0-1-2-3 with a weak middle, cluster 1 the pair 4-5; 6 has none.
FOREST = [(0, 1, 0.9), (1, 2, 0.5), (2, 3, 0.9), (4, 5, 0.7), (3, 4, 0.2)]
ROWS = [(10 + i, 0 if i < 4 else 1 if i < 6 else -1, [4, 4, 4, 4, 2, 2, 0][i], 0.4) for i in range(7)]


def members(spark):
    return spark.createDataFrame(
        [(i - 10, c, s) for i, c, s, _ in ROWS if c >= 0], "item long, cluster long, size long"
    )


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
    assert some == {
        row["id"] for row in summaries.some_members(clusters.repartition(3), 2).where("cluster = 0").collect()
    }


def test_the_weakest_link_is_the_one_inside_not_the_one_between(spark):
    forest = spark.createDataFrame(FOREST, PAIRS).repartition(7)
    found = summaries.weakest_links(forest, members(spark), smallest=2, largest=9).collect()
    assert {row["cluster"]: round(row["score"], 2) for row in found} == {0: 0.5, 1: 0.7}
    assert summaries.weakest_links(forest, members(spark), smallest=3, largest=3).count() == 0
