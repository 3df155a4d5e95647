import numpy as np
import pandas as pd
import pytest

from cdp_spark.knn import choose_search, search_shards, shards
from cdp_spark.knn.flow import cell_sizes
from cdp_spark.knn.kernels.cells import Cells
from cdp_spark.knn.kernels.choose_probing import Probing
from cdp_spark.knn.kernels.search_cells import Block, search
from cdp_spark.knn.kernels.train_cells import train_cells
from cdp_spark.spark import placement
from cdp_spark.spark.keyed_table import KeyedTable
from tests.knn.kernels.test_search_cells import brute_force, unit

ROWS, DIMENSION, K = 900, 12, 6
EVERYTHING = Probing(9.0, 10**6)


@pytest.fixture(scope="module")
def points() -> np.ndarray:
    vectors = unit(ROWS, DIMENSION)
    vectors[100:140] = vectors[5]
    vectors[300:310] = vectors[200:210]
    return vectors


def table(spark, points):
    rows = pd.DataFrame(
        {"item": np.arange(len(points)), "vector": [row.astype(np.float16).tobytes() for row in points]}
    )
    return spark.createDataFrame(rows, "item long, vector binary").repartition(7)


def graph(vectors, cells, probing, k=K):
    twins = shards.twins(vectors).cache()
    count = twins.count()
    placed = shards.shards(vectors, KeyedTable(twins, count, ""), cells, probing=probing, k=k).cache()
    sizes = cell_sizes(placed, cells)
    if len(cells.centroids) == 1:
        lists = search_shards.exact_lists(placed, rows=int(sizes[0].sum()), dimension=cells.centroids.shape[1], k=k)
    else:
        lists = search_shards.expanded_lists(placed, cells, sizes, search_shards.Search(probing.nprobe, k))
    return search_shards.knn_graph(lists, placed, k=k, shards=cells.shards, twin_count=count)


def rows_of(graph_table):
    rows = sorted(graph_table.collect())
    return np.array([r["neighbors"] for r in rows]), np.float32([r["similarities"] for r in rows])


def test_twins_point_to_the_smallest_item_of_the_same_vector(spark, points):
    found = {row["item"]: row["twin_of"] for row in shards.twins(table(spark, points)).collect()}
    assert found == {**dict.fromkeys(range(100, 140), 5), **{i: i - 100 for i in range(300, 310)}}


def test_one_cell_gives_the_lists_of_a_brute_force_search_over_all_rows(spark, points):
    one = Cells(np.zeros((1, DIMENSION), np.float16), np.zeros(1, np.int64))
    neighbors, similarities = rows_of(graph(table(spark, points), one, Probing(0.0, 1)))
    wanted, wanted_similarities = brute_force(points, K)
    np.testing.assert_array_equal(neighbors, wanted)
    np.testing.assert_array_equal(similarities, wanted_similarities)


@pytest.mark.engines
def test_many_shards_probed_whole_miss_only_what_no_shared_shard_shows(spark, points):
    cells = train_cells(points, 64, 3)
    neighbors, similarities = rows_of(graph(table(spark, points), cells, EVERYTHING))
    wanted, wanted_similarities = brute_force(points, K)
    np.testing.assert_array_equal(neighbors, wanted)
    np.testing.assert_array_equal(similarities, wanted_similarities)


def test_all_vectors_equal_link_everything_to_the_smallest_items(spark):
    points = np.repeat(unit(1, DIMENSION), 50, axis=0)
    one = Cells(np.zeros((1, DIMENSION), np.float16), np.zeros(1, np.int64))
    neighbors, similarities = rows_of(graph(table(spark, points), one, Probing(0.0, 1)))
    np.testing.assert_array_equal(neighbors, brute_force(points, K)[0])
    assert (similarities == 1).all()


@pytest.mark.engines
def test_sample_queries_are_answered_exactly_and_recall_is_their_share(spark, points):
    vectors = table(spark, points)
    asked = np.arange(0, ROWS, 10)
    truth = choose_search.exact_neighbors(vectors, asked, points[asked].astype(np.float16), k=K).cache()
    found = {row["item"]: row["neighbors"] for row in truth.collect()}
    wanted, _ = brute_force(points, K)
    assert found == {int(i): wanted[i].tolist() for i in asked}
    half = truth.selectExpr("item", "slice(neighbors, 1, 3) as neighbors")
    figures = choose_search.recall_figures(half, truth).collect()[0]
    assert (figures["mean"], figures["deviation"], figures["queries"]) == (0.5, 0.0, len(asked))


def test_the_number_of_partitions_changes_no_list(spark, points):
    cells = train_cells(points, 64, 4)
    seven = rows_of(graph(table(spark, points), cells, Probing(0.05, 3)))
    one = rows_of(graph(table(spark, points).coalesce(1), cells, Probing(0.05, 3)))
    for first, second in zip(seven, one, strict=True):
        np.testing.assert_array_equal(first, second)


def test_lists_of_the_pilot_do_not_depend_on_which_shards_share_a_partition(spark, points):
    cells = train_cells(points, 64, 4)
    vectors = table(spark, points)
    placed = shards.shards(vectors, KeyedTable(shards.twins(vectors), 49, ""), cells, probing=EVERYTHING, k=K).cache()
    asked = Block.of(np.arange(30), points[:30])
    probes = np.broadcast_to(np.arange(64, dtype=np.int32).reshape(1, 2, 32), (30, 2, 32))
    few = placed.where("shard < 3").repartition(1)
    each = [
        choose_search.lists_by_step(part.coalesce(7), asked, probes, 64, k=K)
        for part in (few, few.repartition("shard"))
    ]
    one, several = (rows_of(lists) for lists in each)
    for first, second in zip(one, several, strict=True):
        np.testing.assert_array_equal(first, second)
    assert all(len(set(row)) == K for row in one[0].tolist())


def test_neighbours_of_neighbours_bring_back_what_few_probes_miss(spark, points):
    cells = train_cells(points, 64, 1)
    wanted, _ = brute_force(points, K)
    shard = cells.in_shard(0)
    home = shard.nearest(points)[0]
    order = np.argsort(home, kind="stable")
    rows, offsets = Block.of(order, points[order]), np.searchsorted(home[order], np.arange(len(cells.centroids) + 1))
    alone = search(rows, rows, offsets, shard.probes(points[order], 4).astype(np.int32), K)
    found, _ = rows_of(graph(table(spark, points), cells, Probing(0.0, 4)))

    def recall(neighbors):
        return np.mean([np.isin(a, b).mean() for a, b in zip(neighbors, wanted, strict=True)])

    assert 1 - recall(found) < 0.7 * (1 - recall(alone.neighbors[np.argsort(order)]))


@pytest.mark.spark("keys are made for Spark's hash; with another they decide on speed alone")
@pytest.mark.parametrize("partitions", [1, 7, 100])
def test_placement_keys_send_each_row_to_its_partition(spark, partitions):
    from pyspark.sql import functions as F

    keys = placement.placement_keys(partitions)
    rows = spark.createDataFrame([(key, i) for i, key in enumerate(keys)], "key int, wanted int")
    placed = rows.repartition(partitions, "key").withColumn("partition", F.spark_partition_id())
    assert placed.where("partition != wanted").count() == 0
