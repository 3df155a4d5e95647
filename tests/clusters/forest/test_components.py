"""Both engines of the components give networkx's answer, named by the smallest item, and clean up after themselves."""

import functools
from pathlib import Path

import networkx as nx
import numpy as np
import pytest
from pyspark.sql import functions as F

from cdp_spark.base import schemas
from cdp_spark.base.errors import CdpError, ConfigError, MissingRequirementError, SchemaError
from cdp_spark.clusters.forest import graphframes_engine
from cdp_spark.clusters.forest.components import COORDINATES, GRAPHX_COORDINATES, choose_engine, components

LARGEST = 2**63 - 1


def random_graph(seed: int, items: int, edges: int) -> list[tuple[int, int]]:
    return [tuple(pair) for pair in np.random.default_rng(seed).integers(0, items, (edges, 2)).tolist()]


def two_cliques_and_a_bridge() -> list[tuple[int, int]]:
    left = nx.complete_graph(range(0, 12))
    right = nx.complete_graph(range(1000, 1012))
    return [*left.edges, *right.edges, (5, 1007)]


def grid(rows: int, columns: int) -> list[tuple[int, int]]:
    numbers = {node: number for number, node in enumerate(np.ndindex(rows, columns))}
    return [(numbers[a], numbers[b]) for a, b in nx.grid_2d_graph(rows, columns).edges]


GRAPHS = {
    "pairs": [(2 * i, 2 * i + 1) for i in range(500)],
    "a star": [(7, leaf) for leaf in range(8, 1500)],
    "a star whose centre is largest": [(leaf, 5000) for leaf in range(600)],
    "a grid": grid(25, 30),
    "cliques joined by a bridge": two_cliques_and_a_bridge(),
    "the largest longs": [(LARGEST - 1, LARGEST), (0, LARGEST - 1), (LARGEST - 3, LARGEST - 2), (2**53, 2**53 + 1)],
    "loops and repeats": [(3, 3), (4, 9), (9, 4), (4, 9), (9, 9)],
    "sparse and random": random_graph(1, 1000, 600),
    "critical and random": random_graph(2, 1000, 1000),
    "dense and random": random_graph(3, 300, 3000),
}

# A run of GraphFrames costs some ten seconds whatever the graph: it gets all of them at once, a billion apart.
ALL_GRAPHS = [
    (src + shift, dst + shift)
    for number, (name, pairs) in enumerate(GRAPHS.items())
    for shift in [0 if name == "the largest longs" else (number + 1) * 10**9]
    for src, dst in pairs
]


def edges_of(spark, pairs):
    rows = [(min(pair), max(pair), 0.5) for pair in pairs]
    return spark.createDataFrame(rows, "src long, dst long, score float")


def path_edges(spark, length):
    """A path whose steps lie in no order, so that no partition holds long stretches of it."""
    return spark.range(length).select(F.col("id").alias("src"), (F.col("id") + 1).alias("dst")).repartition(7, "src")


def expected(pairs):
    graph = nx.Graph()
    graph.add_edges_from(pairs)
    return {item: min(part) for part in nx.connected_components(graph) for item in part}


def as_dict(table):
    assert table.schema == schemas.COMPONENTS
    rows = [tuple(row) for row in table.collect()]
    found = dict(rows)
    assert len(found) == len(rows)
    return found


@pytest.mark.engines("the largest longs", "critical and random")
@pytest.mark.parametrize("name", GRAPHS)
def test_the_single_engine_agrees_with_networkx(spark, name):
    edges = edges_of(spark, GRAPHS[name]).repartition(7)
    assert as_dict(components(edges, engine="single")) == expected(GRAPHS[name])


@pytest.mark.parametrize("partitions", [1, 7, 13])
def test_the_single_engine_ignores_partitions(spark, partitions):
    pairs = random_graph(4, 2000, 1900)
    edges = edges_of(spark, pairs).repartition(partitions)
    assert as_dict(components(edges, engine="single")) == expected(pairs)


def test_the_single_engine_walks_a_path_of_100_000(spark):
    found = components(path_edges(spark, 100_000), engine="single")
    row = found.agg(F.count("item"), F.countDistinct("item"), F.max("component")).head()
    assert tuple(row) == (100_001, 100_001, 0)


def test_no_edges_give_no_rows(spark):
    assert as_dict(components(edges_of(spark, []), engine="single")) == {}


def test_edges_without_ends_are_refused_by_name(spark):
    with pytest.raises(SchemaError, match="edges_above"):
        components(spark.createDataFrame([(1, 2)], "src int, dst int"), engine="single")


@pytest.mark.graphframes
@pytest.mark.parametrize("partitions", [pytest.param(1, marks=pytest.mark.slow), 7])
def test_the_graphframes_engine_agrees_with_networkx_on_all_graphs_side_by_side(
    graphframes_spark, tmp_path, partitions
):
    edges = edges_of(graphframes_spark, ALL_GRAPHS).repartition(partitions)
    found = components(edges, engine="graphframes", checkpoint_folder=str(tmp_path), partitions=partitions)
    assert as_dict(found) == expected(ALL_GRAPHS)


@pytest.mark.graphframes
@pytest.mark.parametrize(("graph", "asked"), [("short", ["graphx"]), ("long", ["graphx", "two_phase"])])
def test_two_phase_takes_over_where_graphx_would_walk_for_long(graphframes_spark, tmp_path, monkeypatch, graph, asked):
    import graphframes

    known, whole = [], graphframes.GraphFrame.connectedComponents

    @functools.wraps(whole)
    def noted(self, **arguments):
        known.append(arguments["algorithm"])
        return whole(self, **arguments)

    monkeypatch.setattr(graphframes.GraphFrame, "connectedComponents", noted)
    edges = path_edges(graphframes_spark, {"short": 10, "long": 300}[graph])
    found = components(edges, engine="graphframes", checkpoint_folder=str(tmp_path), partitions=7)
    assert set(as_dict(found).values()) == {0}
    assert known == asked


@pytest.mark.graphframes
def test_no_edges_give_no_rows_with_graphframes_either(graphframes_spark, tmp_path):
    edges = edges_of(graphframes_spark, [])
    assert as_dict(components(edges, engine="graphframes", checkpoint_folder=str(tmp_path))) == {}


@pytest.mark.graphframes
def test_no_work_of_the_engine_stays_behind(graphframes_spark, tmp_path):
    edges = path_edges(graphframes_spark, 50)
    before = session_state(graphframes_spark)
    components(edges, engine="graphframes", checkpoint_folder=str(tmp_path), partitions=7)
    (folder,) = tmp_path.iterdir()
    assert {path.name for path in folder.iterdir() if path.is_dir()} == {"anchors", "names-graphx", "names-two_phase"}
    assert session_state(graphframes_spark) == before


@pytest.mark.graphframes
def test_a_failure_leaves_no_folder_and_the_session_as_it_was(graphframes_spark, tmp_path, monkeypatch):
    import graphframes

    def fail(self, **arguments):
        folder = Path(self.edges.sparkSession.sparkContext.getCheckpointDir().removeprefix("file:"))
        assert folder.is_relative_to(tmp_path)
        self.edges.sparkSession.conf.set("spark.sql.adaptive.enabled", "false")
        raise RuntimeError("an executor was lost")

    monkeypatch.setattr(graphframes.GraphFrame, "connectedComponents", fail)
    before = session_state(graphframes_spark)
    with pytest.raises(RuntimeError, match="lost"):
        components(
            path_edges(graphframes_spark, 50), engine="graphframes", checkpoint_folder=str(tmp_path), partitions=7
        )
    assert not list(tmp_path.iterdir())
    assert session_state(graphframes_spark) == before


@pytest.mark.graphframes
def test_an_answer_that_parts_an_edge_is_refused(graphframes_spark, tmp_path, monkeypatch):
    import graphframes

    def wrong(self, **arguments):
        return self.vertices.select("id", F.col("id").alias("component"))

    monkeypatch.setattr(graphframes.GraphFrame, "connectedComponents", wrong)
    with pytest.raises(CdpError, match="which an edge joins"):
        components(
            path_edges(graphframes_spark, 50), engine="graphframes", checkpoint_folder=str(tmp_path), partitions=7
        )
    assert not list(tmp_path.iterdir())


@pytest.mark.graphframes
def test_the_choice_names_the_jar_that_was_found(graphframes_spark):
    engine, why = choose_engine("auto", 11, 10, graphframes_spark)
    assert engine == "graphframes"
    assert "graphframes-spark4_2.13" in why
    assert choose_engine("graphframes", 1, 10, graphframes_spark)[0] == "graphframes"


def test_graphframes_without_a_folder_is_refused(spark):
    with pytest.raises(ConfigError, match="folder"):
        components(edges_of(spark, [(1, 2)]), engine="graphframes")


def test_few_edges_and_an_asked_for_single_task_need_no_graphframes(spark):
    assert choose_engine("auto", 10, 10, spark) == ("single", "10 edges fit one task (forest.task_edges 10)")
    assert choose_engine("single", 11, 10, spark)[0] == "single"


@pytest.mark.engines
def test_the_message_says_how_to_get_graphframes(spark, monkeypatch, tmp_path):
    monkeypatch.setattr(graphframes_engine, "_jar_name", lambda spark: None)
    with pytest.raises(MissingRequirementError) as error:
        choose_engine("graphframes", 1, 10, spark)
    for words in (COORDINATES, GRAPHX_COORDINATES, "spark.jars.packages=", "spark.jars.repositories=", "spark.jars)"):
        assert words in str(error.value)
    assert "\n" not in str(error.value)
    with pytest.raises(MissingRequirementError, match=r"jar is not on|no SparkContext"):
        components(edges_of(spark, [(1, 2)]), engine="graphframes", checkpoint_folder=str(tmp_path))
    engine, why = choose_engine("auto", 11, 10, spark)
    assert engine == "single"
    assert why.startswith("warning: 11 edges")


def test_spark_connect_is_told_why_it_cannot_run():
    connect_session = type("SparkSession", (), {"__module__": "pyspark.sql.connect.session"})()
    with pytest.raises(MissingRequirementError, match="Spark Connect has no SparkContext"):
        choose_engine("graphframes", 1, 10, connect_session)


@pytest.mark.parametrize(("version", "algorithm"), [((0, 8, 4), "graphframes"), ((0, 12, 3), "two_phase")])
def test_only_arguments_that_the_installed_version_takes_are_passed(monkeypatch, version, algorithm):
    def connected_components(algorithm="graphframes", checkpointInterval=2, broadcastThreshold=1000000):  # noqa: N803
        raise NotImplementedError

    monkeypatch.setattr(graphframes_engine, "_python_version", lambda: version)
    arguments = graphframes_engine._arguments(connected_components, "two_phase")
    assert arguments["algorithm"] == algorithm
    assert "use_local_checkpoints" not in arguments
    assert ("broadcastThreshold" in arguments) == (algorithm == "two_phase")
    assert graphframes_engine._arguments(connected_components, "graphx") == {"algorithm": "graphx"}


def session_state(spark):
    context = spark.sparkContext
    return (
        spark.conf.get("spark.sql.adaptive.enabled"),
        context.getCheckpointDir(),
        {int(number) for number in context._jsc.getPersistentRDDs()},
    )
