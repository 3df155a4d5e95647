"""Whole runs of random configurations give the same rows on both engines."""

from __future__ import annotations

import itertools
from pathlib import Path

import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from cdp_spark.scoring.mediator_folder import write_mediator
from cdp_spark.spark.sail import sail_installed
from tests import data
from tests.other_engine import clustered, other_engine
from tests.scoring.test_mediator_folder import some_mediator

pytestmark = [
    pytest.mark.spark("compares both engines"),
    pytest.mark.skipif(not sail_installed(), reason="Sail is not installed beside Spark"),
]
EXAMPLES = 4
K = 5
"""What the mediator was trained for."""

LIMITS = {"max_cluster_size": st.integers(2, 25), "threshold_step": st.sampled_from([0.05, 0.1, 0.3])}
ROOM = {
    "knn": st.one_of(
        st.just({}),
        st.fixed_dictionaries(
            {
                "exact_below": st.just(0),
                "shard_items": st.integers(25, 150),
                "recall_target": st.sampled_from([0.5, 1.0]),
            }
        ),
    ),
    "forest": st.one_of(st.just({}), st.fixed_dictionaries({"task_edges": st.integers(20, 600)})),
}
VOTE = {
    "k": st.integers(1, 9),
    "consensus": st.fixed_dictionaries({"accept": st.integers(0, 2), "threshold": st.sampled_from([0.2, 0.45, 0.7])}),
    "clusters": st.fixed_dictionaries({"rule": st.sampled_from(["code", "paper"]), **LIMITS}),
}
MEDIATED = {
    "k": st.just(K),
    "consensus": st.fixed_dictionaries({"strategy": st.just("mediator")}),
    "clusters": st.one_of(
        st.fixed_dictionaries({"rule": st.sampled_from(["code", "paper"]), **LIMITS}),
        st.fixed_dictionaries({"rule": st.just("contraction"), "piece_items": st.sampled_from([8, 1000])}),
    ),
}
CONFIGS = st.one_of(st.fixed_dictionaries({**VOTE, **ROOM}), st.fixed_dictionaries({**MEDIATED, **ROOM}))
"""By vote and by a mediator; in one task, or in shards, cells, merge rounds and pieces."""


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    folder = tmp_path_factory.mktemp("same")
    ids, _, models = data.embeddings(people=30)
    data.write(folder, ids, models, files=3)
    write_mediator(str(folder / "mediator"), some_mediator(0.5))
    return folder


@pytest.fixture(scope="module")
def sail():
    with other_engine("sail") as other:
        yield other


runs = itertools.count()


@pytest.mark.slow
@settings(
    max_examples=EXAMPLES, deadline=None, derandomize=True, database=None, phases=[Phase.generate],
    suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow],
)  # fmt: skip
@given(drawn=CONFIGS)
def test_clusters_are_the_same_on_both_engines(spark, folder, sail, drawn):
    name = f"run-{next(runs)}"
    here, there = (settings_of(folder, f"{name}-{engine}", drawn) for engine in ("spark", "sail"))
    on_spark, on_sail = rounded(clustered(here, spark)), rounded(sail.cluster(there))
    assert (on_spark.pop("engine", None), on_sail.pop("engine", None)) in {("spark", "sail"), (None, None)}
    assert on_sail == on_spark
    if "error" not in on_spark:
        assert rows_of(there) == rows_of(here)


def rounded(said):
    """Means of recall are sums in the order of partitions."""
    if isinstance(said, dict):
        return {name: rounded(value) for name, value in said.items()}
    return round(said, 9) if isinstance(said, float) else said


def settings_of(folder: Path, output: str, drawn: dict) -> dict:
    consensus = dict(drawn["consensus"])
    if "strategy" in consensus:
        consensus["mediator"] = str(folder / "mediator")
    return {
        "input": {"base": f"{folder}/base", "committee": [f"{folder}/one", f"{folder}/two"]},
        "output": str(folder / output),
        "knn": {"k": drawn["k"], **drawn["knn"]},
        "consensus": consensus,
        "forest": drawn["forest"],
        "clusters": drawn["clusters"],
    }


def rows_of(given: dict) -> list:
    return pq.read_table(f"{given['output']}/clusters").sort_by("id").to_pylist()
