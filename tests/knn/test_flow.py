"""The search of cells: how many are visited is tried out, and the target is kept."""

import json

import numpy as np
import pytest

from cdp_spark.config.sections import KnnConfig
from cdp_spark.intake.flow import Vectors
from cdp_spark.knn.flow import knn_graph
from cdp_spark.runs.stage_store import StageStore
from cdp_spark.spark.progress import Progress
from tests.knn.kernels.test_search_cells import unit
from tests.knn.test_search_shards import table


def graph_of(spark, folder, points, **settings):
    config = KnnConfig(k=6, exact_below=0, **settings)
    vectors = Vectors(table(spark, points), len(points), "points", "m", points.shape[1])
    return knn_graph(StageStore(spark, str(folder), Progress()), vectors, config)


def facts(folder, name):
    (found,) = (folder / "stages").glob(f"{name}/**/*.json")
    return json.loads(found.read_text())


@pytest.mark.parametrize("shard_items", [None, 1500])
def test_few_cells_are_enough_where_neighbours_of_neighbours_complete_the_lists(spark, tmp_path, shard_items):
    random = np.random.default_rng(1)
    points = np.repeat(unit(200, 32), 20, axis=0) + 0.2 * random.standard_normal((4000, 32))
    points[50:90] = points[7]
    points = (points / np.linalg.norm(points, axis=1, keepdims=True)).astype(np.float16).astype(np.float32)
    graph = graph_of(spark, tmp_path, points, recall_target=0.9, shard_items=shard_items)
    alone = facts(tmp_path, "probing")["nprobe"]
    assert facts(tmp_path, "pilot")["nprobe"] <= min(alone, graph.recall["nprobe"])
    assert facts(tmp_path, "pilot")["nprobe"] < alone or shard_items is not None  # cells of a small shard are few
    assert graph.recall["met"]
    assert (graph.recall["shards"] > 1) == (shard_items is not None)


@pytest.mark.parametrize("items", [2, 9])
def test_a_handful_of_vectors_needs_no_pilot(spark, tmp_path, items):
    graph = graph_of(spark, tmp_path, unit(items, 8))
    lists = {row["item"]: set(row["neighbors"]) for row in graph.table.collect()}
    assert lists == {item: set(range(items)) - {item} for item in range(items)} or items > 7
    assert graph.recall["recall"] == 1.0
