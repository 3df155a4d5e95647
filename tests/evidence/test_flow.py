"""Explanations of a run against its own clusters, networkx and the plain features; guard and merges on the way."""

import json
from dataclasses import asdict
from itertools import pairwise

import networkx as nx
import numpy as np
import pyarrow.parquet as pq
import pytest

from cdp_spark.base.errors import GuardError, InputError
from cdp_spark.commands import cluster as task
from cdp_spark.commands.clean import clean
from cdp_spark.evidence.as_text import text
from cdp_spark.evidence.flow import _can_be_held, _id_of, explain
from cdp_spark.networks.kernels.mlp import probabilities
from cdp_spark.scoring.mediator_folder import write_mediator
from tests import data
from tests.commands.test_cluster import LARGE, SMALL, inputs, settings
from tests.pairs.kernels.test_features import plain
from tests.scoring.test_flow import lake, run_config
from tests.scoring.test_mediator_folder import some_mediator

__all__ = ["inputs", "lake"]

# A bound so small that one component is beyond it: it is brought down in rounds.
BEYOND = {"knn": LARGE["knn"], "forest": {"task_edges": 10}}
PATHS = {"defaults": SMALL, "large": LARGE, "component beyond the bound": BEYOND}


def pairs_of(output, record):
    path = next(stage["path"] for stage in record["stages"] if stage["name"] == "scored_pairs")
    rows = pq.read_table(output / path, columns=["src", "dst", "score"]).to_pylist()
    graph = nx.Graph()
    graph.add_weighted_edges_from(((row["src"], row["dst"], row["score"]) for row in rows), weight="score")
    return graph


@pytest.fixture(scope="module")
def outputs(tmp_path_factory):
    """A folder per path: what does not depend on a test's settings is made once."""
    folder = tmp_path_factory.mktemp("runs")
    return {path: folder / str(number) for number, path in enumerate(PATHS)}


@pytest.mark.engines("defaults")
@pytest.mark.parametrize("path", PATHS)
def test_two_items_are_explained_as_clusters_and_graph_have_it(spark, outputs, inputs, path):
    folder, ids, models = inputs
    output = outputs[path]
    run = task.cluster(settings(folder, output, PATHS[path]), spark=spark)
    complete = run.record["forest_complete"]
    assert complete == (path == "defaults")
    names = [stage["name"] for stage in run.record["stages"]]
    assert ("trees" in names) == (path == "component beyond the bound")
    graph, ordered = pairs_of(output, run.record), np.sort(ids)
    tree = nx.maximum_spanning_tree(graph, weight="score")
    rows = {row["id"]: row for row in run.clusters.collect()}
    vectors = data.unit(models["base"][np.argsort(ids)])
    largest = max(row["size"] for row in rows.values())
    same = [each for each, row in rows.items() if row["size"] == largest][:2]
    component = max(
        nx.connected_components(nx.Graph((a, b) for a, b, d in graph.edges(data=True) if d["score"] > 0.3)), key=len
    )
    cut = sorted(component)
    far = next(each for each, row in rows.items() if row["cluster"] not in (rows[same[0]]["cluster"], -1))
    for a, b in [same, (int(ordered[cut[0]]), int(ordered[cut[-1]])), (same[0], far)]:
        found = explain(str(output), str(a), b, spark=spark)
        i, j = (int(np.searchsorted(ordered, each)) for each in (a, b))
        assert found.together == (rows[a]["cluster"] == rows[b]["cluster"] >= 0)
        joined = nx.has_path(tree, i, j)
        steps = list(nx.shortest_path(tree, i, j)) if joined else []
        weakest = min((graph[x][y]["score"] for x, y in pairwise(steps)), default=None)
        if not complete and (weakest is None or weakest <= 0.3):
            assert found.meet is None
            continue
        assert found.meet == weakest
        if joined:
            assert [found.path[0].src, *(pair.dst for pair in found.path)][:: len(found.path)] == [a, b]
        for pair in found.path:
            x, y = (int(np.searchsorted(ordered, each)) for each in (pair.src, pair.dst))
            assert pair.score == graph[x][y]["score"] == pytest.approx(pair.features["affinity.base"], abs=1e-6)
            exact = vectors[x].astype(float) @ vectors[y].astype(float)
            assert pair.features["affinity.base"] == pytest.approx(exact, abs=1e-3)
        json.dumps(asdict(found))
        assert str(a) in text(found)


def test_each_edge_of_one_item_is_kept_or_not_for_the_reason_that_is_given(spark, outputs, inputs):
    folder, ids, _ = inputs
    output = outputs["defaults"]
    run = task.cluster(settings(folder, output, SMALL, consensus={"accept": 2, "threshold": 0.75}), spark=spark)
    graph, ordered = pairs_of(output, run.record), np.sort(ids)
    reasons = set()
    for item in range(0, len(ids), 60):
        found = explain(str(output), int(ordered[item]), spark=spark)
        scored = {int(ordered[other]): each["score"] for other, each in graph[item].items()} if item in graph else {}
        assert {pair.dst: pair.score for pair in found.neighbors if pair.score is not None} == scored
        for pair in found.neighbors:
            assert pair.kept == (pair.score is not None and pair.score > 0.75)
            assert (pair.why == "kept") == pair.kept
            reasons.add(pair.why.split()[0] if pair.score is None or pair.kept else "score")
        assert "its edges:" in text(found)
    assert {"kept", "score", "no"} <= reasons
    assert reasons & {"0", "1"}


def test_a_mediator_saw_the_features_that_are_shown(spark, tmp_path, lake):
    folder, ids, models = lake
    write_mediator(str(tmp_path / "m"), some_mediator(0.5))
    run = task.cluster(run_config(folder, tmp_path / "run", tmp_path / "m", threshold=0.5), spark=spark)
    ordered = np.sort(ids)
    found = explain(str(tmp_path / "run"), int(ordered[7]), spark=spark)
    vectors = [data.unit(rows[np.argsort(ids)]) for rows in models.values()]
    assert run.record["config"]["consensus"]["strategy"] == "mediator"
    for pair in found.neighbors:
        ends = tuple(sorted(int(np.searchsorted(ordered, each)) for each in (pair.src, pair.dst)))
        values = list(pair.features.values())
        assert values == pytest.approx(list(plain(vectors, ends, "code", 5)), abs=1e-5)
        if pair.score is not None:
            scored = probabilities(some_mediator(0.5).pairs, np.float32([values]))[0]
            assert pair.score == pytest.approx(scored, abs=1e-6)


def test_unknown_items_are_refused(spark, outputs, inputs):
    folder, ids, _ = inputs
    output = outputs["defaults"]
    task.cluster(settings(folder, output, SMALL), spark=spark)
    with pytest.raises(InputError, match="no item 99999"):
        explain(str(output), 99999, spark=spark)
    with pytest.raises(InputError, match="whole numbers such as 4711, got 'x'"):
        explain(str(output), "x", spark=spark)
    with pytest.raises(InputError, match="twice"):
        explain(str(output), int(ids[0]), int(ids[0]), spark=spark)
    for beyond in (2**63, -(2**63) - 1, str(2**70)):
        with pytest.raises(InputError, match=f"has no item {beyond}: check the id"):
            explain(str(output), beyond, spark=spark)
    for other in ("1_0", "٣", "0.7", "007", "+7", " 7", "1e1", "", 0.7, 7.0, np.float64(7), True, b"7", (7,)):
        with pytest.raises(InputError, match="the ids of this run are whole numbers such as 4711, got"):
            explain(str(output), other, spark=spark)
    assert explain(str(output), np.int32(ids[0]), spark=spark).a.id == ids[0]


@pytest.mark.engines
def test_ids_that_are_text_are_taken_as_they_are(spark):
    items = spark.createDataFrame([("007",)], "id string")
    assert [_id_of(each, items) for each in ("007", "-abc", "1_0", 7, np.int64(7))] == ["007", "-abc", "1_0", "7", "7"]
    for other in (0.7, True, b"007", None):
        with pytest.raises(InputError, match="the ids of this run are text, got"):
            _id_of(other, items)
    assert not _can_be_held("\udcff")


def test_a_run_whose_vectors_were_removed_asks_to_cluster_again_which_makes_them(spark, tmp_path, inputs):
    folder, ids, _ = inputs
    config = settings(folder, tmp_path / "run", SMALL)
    task.cluster(config, spark=spark)
    asked = [int(each) for each in ids[:2]]
    before = explain(str(tmp_path / "run"), *asked, spark=spark)
    clean(str(tmp_path / "run"), vectors=True, remove=True)
    said = r"no longer has its stage shards/base, as after cdp-spark clean: run cdp-spark cluster again"
    with pytest.raises(InputError, match=said):
        explain(str(tmp_path / "run"), *asked, spark=spark)
    task.cluster(config, spark=spark)
    assert explain(str(tmp_path / "run"), *asked, spark=spark) == before


@pytest.mark.parametrize("path", PATHS)
def test_a_giant_is_reported_with_the_pairs_that_made_it_or_refused(spark, outputs, inputs, path):
    folder, ids, _ = inputs
    output = outputs[path]
    config = settings(folder, output, PATHS[path], consensus={"accept": 0, "threshold": -1.0})
    record = task.cluster(config, spark=spark).record
    giant = record["giant"]
    assert giant["size"] == record["counts"]["largest_component"] > 0.1 * len(ids)
    assert any("one component holds" in warning and f"{giant['size']:,}" in warning for warning in record["warnings"])
    graph, ordered = pairs_of(output, record), np.sort(ids)
    largest = [
        max(map(len, nx.connected_components(nx.Graph(
            (a, b) for a, b, d in graph.edges(data=True) if d["score"] > limit
        )))) for limit in (giant["falls_apart"], np.nextafter(np.float32(giant["falls_apart"]), np.float32(-1)))
    ]  # fmt: skip
    assert largest[0] <= giant["size"] / 2 < largest[1]
    for bridge in giant["bridges"]:
        x, y = (int(np.searchsorted(ordered, bridge[end])) for end in ("src", "dst"))
        assert graph[x][y]["score"] == bridge["score"]
    refused = settings(
        folder, output, PATHS[path], consensus={"accept": 0, "threshold": -1.0}, clusters={"on_giant": "refuse"}
    )
    with pytest.raises(GuardError, match="has fallen apart"):
        task.cluster(refused, spark=spark)


@pytest.mark.parametrize("path", PATHS)
def test_merges_count_the_components_of_the_runs_threshold(spark, outputs, inputs, path):
    folder, ids, _ = inputs
    output = outputs[path]
    record = task.cluster(settings(folder, output, PATHS[path]), spark=spark).record
    rows = pq.read_table(output / "merges").to_pylist()
    above = [row for row in rows if row["score"] > 0.3]
    graph = pairs_of(output, record)
    kept = nx.Graph((a, b) for a, b, d in graph.edges(data=True) if d["score"] > 0.3)
    assert len(above) == len(kept) - nx.number_connected_components(kept)
    assert max(row["left_size"] + row["right_size"] for row in above) == record["counts"]["largest_component"]
    assert {each for row in rows for each in (row["src"], row["dst"])} <= set(ids.tolist())
