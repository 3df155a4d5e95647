"""A sweep's row is what a full run at that threshold gives: both rules, on the way of small and of large inputs."""

import json

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cdp_spark.base.errors import ConfigError, InputError
from cdp_spark.commands.cluster import cluster
from cdp_spark.commands.sweep import apply_threshold, chosen_threshold, sweep
from cdp_spark.config.loading import load_config
from tests import data

THRESHOLDS = [0.2, 0.45, 0.6, 0.99]
PATHS = {
    "defaults": {"knn": {"k": 5}},
    "many tasks": {"knn": {"k": 5, "exact_below": 0, "shard_items": 30}, "forest": {"task_edges": 60}},
}


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("embeddings")
    ids, labels, models = data.embeddings()
    data.write(folder, ids, models)
    pq.write_table(
        pa.table({"id": ids[:-3], "label": [f"p{label}" for label in labels[:-3]]}), folder / "labels.parquet"
    )
    return folder


def config(folder, output, path, threshold=0.45, **clusters):
    settings = {
        "input": {"base": f"{folder}/base", "committee": [f"{folder}/one"], "labels": f"{folder}/labels.parquet"},
        "output": str(output),
        "consensus": {"accept": 1, "threshold": threshold},
        "clusters": {"max_cluster_size": 10, "threshold_step": 0.1, **clusters},
        **PATHS[path],
    }
    return load_config(settings)


@pytest.mark.parametrize(("path", "rule"), [*((path, "code") for path in PATHS), (next(iter(PATHS)), "paper")])
def test_rows_are_those_of_full_runs(spark, tmp_path, inputs, path, rule):
    cluster(config(inputs, tmp_path / "run", path), spark=spark)
    found = sweep(str(tmp_path / "run"), THRESHOLDS, spark=spark, clusters={"rule": rule, "max_cluster_size": 8})
    assert [row["threshold"] for row in found.rows] == THRESHOLDS
    for row in found.rows:
        # Of the same folder, so that only what depends on the threshold is made.
        whole = config(inputs, tmp_path / "run", path, row["threshold"], rule=rule, max_cluster_size=8)
        record = cluster(whole, spark=spark).record
        counts, kept = record["counts"], record["metrics"]["kept"]
        statuses = counts["statuses"]
        assert row["clusters"] == counts["clusters"]
        assert row["largest"] == counts["largest"]
        assert row["largest_component"] == max(counts["largest_component"], row["largest_component"] == 1)
        for name, status in (("singletons", "singleton"), ("discarded", "discarded"), ("forced", "forced")):
            assert row[name] == statuses.get(status, 0)
        for name in ("pairwise_precision", "pairwise_f", "bcubed_f", "nmi", "ami", "v_measure", "ari"):
            assert row[name] == (None if kept[name] is None else pytest.approx(kept[name], abs=1e-9)), name
    best = max((row for row in found.rows if row["pairwise_f"] is not None), key=lambda row: row["pairwise_f"])
    assert found.best == best["threshold"]
    assert found.current == 0.45


@pytest.mark.engines
def test_without_labels_it_takes_the_threshold_with_the_most_clusters(spark, tmp_path, inputs):
    given = config(inputs, tmp_path / "run", "defaults").model_dump()
    given["input"]["labels"] = None
    cluster(load_config(given), spark=spark)
    found = sweep(str(tmp_path / "run"), [step / 50 for step in range(10, 49)], spark=spark)
    assert "heuristic" in found.why
    clusters = {row["threshold"]: row["clusters"] - row["singletons"] for row in found.rows}
    assert clusters[found.best] == max(clusters.values())
    assert min(clusters) < found.best < max(clusters)
    assert all(row["pairwise_f"] is None for row in found.rows)
    assert json.loads((tmp_path / "run" / "sweep.json").read_text())["best"] == found.best


def unlabelled(inputs, output, **consensus):
    given = config(inputs, output, "defaults").model_dump()
    given["input"]["labels"] = None
    given["input"]["committee"] = [{"name": name, "path": f"{inputs}/{name}"} for name in ("one", "two")]
    given["consensus"] |= consensus
    return load_config(given)


def test_without_labels_two_halves_of_the_committee_choose_the_threshold(spark, tmp_path, inputs):
    cluster(unlabelled(inputs, tmp_path / "run"), spark=spark)
    wanted = [step / 50 for step in range(10, 49)]
    found = sweep(str(tmp_path / "run"), wanted, spark=spark)
    assert "two halves of the committee" in found.why
    alike = {row["threshold"]: row["alike"] for row in found.rows}
    assert alike == alike_by_runs(spark, tmp_path, inputs, wanted)
    assert alike[found.best] == max(alike.values())
    assert sweep(str(tmp_path / "run"), wanted, spark=spark).rows == found.rows


def alike_by_runs(spark, folder, inputs, thresholds):
    """Count as one would by hand: a run of the base with each member, and the clusters that both have."""
    for member in ("one", "two"):
        given = unlabelled(inputs, folder / member).model_dump()
        given["input"]["committee"] = [{"name": member, "path": f"{inputs}/{member}"}]
        cluster(load_config(given), spark=spark)
    found = {}
    for threshold in thresholds:
        one, two = (
            {frozenset(group["id"]) for _, group in rows.groupby("cluster") if len(group) > 1}
            for rows in (
                apply_threshold(str(folder / member), threshold, spark=spark)
                .clusters.where("cluster >= 0")
                .select("id", "cluster")
                .toPandas()
                for member in ("one", "two")
            )
        )
        found[threshold] = sum(len(cluster) for cluster in one & two)
    return found


@pytest.mark.parametrize(("accept", "rule"), [(0, "code"), (1, "paper")])
def test_a_vote_that_asks_no_member_and_the_rule_of_the_paper_keep_the_heuristic(spark, tmp_path, inputs, accept, rule):
    cluster(unlabelled(inputs, tmp_path / "run", accept=accept), spark=spark)
    found = sweep(str(tmp_path / "run"), [0.45, 0.6], spark=spark, clusters={"rule": rule})
    assert "heuristic" in found.why
    assert "alike" not in found.rows[0]


def test_a_threshold_can_be_applied_and_the_same_sweep_again_makes_nothing(spark, tmp_path, inputs):
    cluster(config(inputs, tmp_path / "run", "defaults"), spark=spark)
    found = sweep(str(tmp_path / "run"), THRESHOLDS, spark=spark)
    run = apply_threshold(str(tmp_path / "run"), chosen_threshold(found, "best"), spark=spark)
    assert run.record["threshold"] == found.best
    made = [stage["name"] for stage in run.record["stages"] if not stage["reused"]]
    assert set(made) <= {"components", "labelled", "clusters"}
    row = next(row for row in found.rows if row["threshold"] == found.best)
    assert run.record["metrics"]["kept"]["pairwise_f"] == pytest.approx(row["pairwise_f"])
    assert sweep(str(tmp_path / "run"), THRESHOLDS, spark=spark).rows == found.rows


def test_a_run_made_from_dataframes_is_given_them_again(spark, tmp_path, inputs):
    given = config(inputs, tmp_path / "run", "defaults")
    tables = {source.model: spark.read.parquet(source.path) for source in given.input.sources}
    named = [source.model_copy(update={"path": None, "table": source.model}) for source in given.input.sources]
    base, *committee = named
    source = given.input.model_copy(update={"base": base, "committee": tuple(committee)})
    cluster(given.model_copy(update={"input": source}), spark=spark, tables=tables)
    with pytest.raises(ConfigError, match=r"needs table .*DataFrames.*threshold=0\.5"):
        apply_threshold(str(tmp_path / "run"), 0.5, spark=spark)
    run = apply_threshold(str(tmp_path / "run"), 0.5, spark=spark, tables=tables)
    assert run.record["threshold"] == 0.5
    made = [stage["name"] for stage in run.record["stages"] if not stage["reused"]]
    assert set(made) <= {"components", "labelled", "clusters"}


def test_what_cannot_be_swept_is_refused_in_one_line(spark, tmp_path, inputs):
    with pytest.raises(InputError, match="holds no finished run"):
        sweep(str(tmp_path / "none"), THRESHOLDS, spark=spark)
    with pytest.raises(ConfigError, match="1 to 1,000 thresholds from -1 to 1"):
        sweep(str(tmp_path / "none"), [2.0], spark=spark)
    with pytest.raises(ConfigError, match="no metric speed; choose one of pairwise_precision"):
        sweep(str(tmp_path / "none"), THRESHOLDS, spark=spark, metric="speed")
