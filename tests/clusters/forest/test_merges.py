"""The dendrogram as a table answers for every threshold, with SQL; a giant is described whatever the partitions."""

import networkx as nx
import numpy as np
import pytest

from cdp_spark.base import schemas
from cdp_spark.clusters import cut_and_number
from cdp_spark.clusters.forest import components, merges
from tests.clusters.kernels.test_giants import random_graph

LARGEST = 2**63 - 1


def tables(spark, seed=3):
    src, dst, score = random_graph(seed, 20)
    src[src == src.max()] = src.max()
    rows = list(zip(src.tolist(), dst.tolist(), score.tolist(), strict=True))
    edges = spark.createDataFrame(rows, schemas.FOREST).repartition(3, "dst")
    graph = nx.Graph()
    graph.add_weighted_edges_from(rows, weight="score")
    return edges, graph


def component_sizes(graph, threshold):
    kept = nx.Graph((a, b) for a, b, data in graph.edges(data=True) if data["score"] > threshold)
    return sorted(len(part) for part in nx.connected_components(kept))


@pytest.mark.engines
def test_sql_on_the_merges_gives_the_components_of_every_threshold(spark):
    edges, graph = tables(spark)
    merges.merges(edges.coalesce(1)).createOrReplaceTempView("merges")
    for threshold in (0.0, 0.25, 0.5, 0.75, 0.95):
        found = spark.sql(
            f"""
            WITH above AS (SELECT *, left_size + right_size AS size, least(left, right) AS name FROM merges
                           WHERE score > {threshold})
            SELECT max(size) AS size FROM above GROUP BY name
            HAVING name NOT IN (SELECT greatest(left, right) FROM above)
            """
        ).collect()
        assert sorted(row["size"] for row in found) == component_sizes(graph, threshold)


@pytest.mark.parametrize("tasks", [1, 3])
def test_a_giant_is_the_same_in_one_task_and_in_many(spark, tasks):
    edges, graph = tables(spark)
    above = cut_and_number.edges_above(edges, 0.2)
    found = components.components(above, engine="single")
    grouped = cut_and_number.whole_components(above, found, tasks)
    rows = merges.giants(grouped, 0.2).orderBy("size", ascending=False).collect()
    assert rows[0]["size"] == component_sizes(graph, 0.2)[-1]
    alone = merges.giants(above.coalesce(1), 0.2).collect()[0]
    assert rows[0] == alone


def test_ids_take_the_place_of_items(spark):
    merged = spark.createDataFrame([(0.5, 0, LARGEST, 0, LARGEST, 2, 1)], schemas.MERGED_ITEMS)
    items = spark.createDataFrame([("a", 0), ("z", LARGEST)], "id string, item long")
    found = merges.with_ids(merged, items)
    assert found.schema == schemas.merges(items.schema["id"].dataType)
    assert tuple(found.collect()[0]) == (np.float32(0.5), "a", "z", "a", "z", 2, 1)
