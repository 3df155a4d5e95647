"""The whole job against the plain oracle: with defaults, and by the large scale's path on small data."""

import json

import numpy as np
import pyarrow.parquet as pq
import pytest

from cdp_spark.base.errors import GuardError, InputError
from cdp_spark.commands import cluster as task
from cdp_spark.config.loading import load_config
from cdp_spark.runs.lease import Lease
from tests import data, reference

SMALL = {"knn": {"k": 5}}
LARGE = {"knn": {"k": 5, "exact_below": 0, "shard_items": 60, "recall_target": 1.0}, "forest": {"task_edges": 100}}
PATHS = pytest.mark.parametrize("path", [SMALL, LARGE], ids=["defaults", "large scale path"])


@pytest.fixture(scope="module")
def inputs(tmp_path_factory):
    folder = tmp_path_factory.mktemp("embeddings")
    ids, _, models = data.embeddings()
    data.write(folder, ids, models)
    return folder, ids, models


def settings(folder, output, path, **more):
    found = {
        "input": {"base": f"{folder}/base", "committee": [f"{folder}/one", f"{folder}/two"]},
        "output": str(output),
        "knn": dict(path["knn"]),
        "forest": dict(path.get("forest", {})),
        "consensus": {"accept": 1, "threshold": 0.3},
        "clusters": {"max_cluster_size": 10, "threshold_step": 0.1},
    }
    for section, values in more.items():
        found[section] = {**found[section], **values}
    return load_config(found)


def rows_of(run):
    return {row["id"]: tuple(row)[1:] for row in run.clusters.collect()}


def oracle(ids, models, config):
    """Cluster by the plain algorithm; the same shape as :func:`rows_of`."""
    order = np.argsort(ids)
    lists = {model: reference.knn(data.unit(rows[order]), config.knn.k) for model, rows in models.items()}
    pairs = reference.vote(lists["base"], [lists["one"][0], lists["two"][0]], 1)
    limits, threshold = config.clusters, config.consensus.threshold
    labels = reference.clusters(
        len(ids), pairs, threshold, max_size=limits.max_cluster_size, step=limits.threshold_step,
        max_iter=limits.max_iter, rule=limits.rule,
    )  # fmt: skip
    roots = sorted({root for root, _, _ in labels.values() if root is not None})
    best = {}
    for (i, j), score in pairs.items():
        if score > threshold:
            for item in (i, j):
                best[item] = max(score, best.get(item, -2.0))
    sizes = {root: sum(label[0] == root for label in labels.values()) for root in roots}
    return {
        int(ids[order[item]]): (
            -1 if root is None else roots.index(root), status, sizes.get(root, 0), best.get(item), level,
        )
        for item, (root, status, level) in labels.items()
    }  # fmt: skip


@pytest.mark.engines("path1-paper", "path2-code")
@pytest.mark.parametrize(("path", "rule"), [(SMALL, "code"), (SMALL, "paper"), (LARGE, "code")])
def test_clusters_are_those_of_the_plain_algorithm(spark, tmp_path, inputs, path, rule):
    folder, ids, models = inputs
    config = settings(folder, tmp_path / "run", path, clusters={"rule": rule})
    run = task.cluster(config, spark=spark)
    assert rows_of(run) == oracle(ids, models, config)
    assert sum(run.record["counts"]["statuses"].values()) == len(ids)
    if path is LARGE:
        assert not run.record["forest_complete"]
        assert all(found["shards"] >= 4 for found in run.record["recall"].values())


@PATHS
def test_a_run_stopped_at_any_stage_continues_there_and_ends_the_same(spark, tmp_path, inputs, path, monkeypatch):
    folder, _, _ = inputs
    wanted = task.cluster(settings(folder, tmp_path / "whole", path), spark=spark)
    config = settings(folder, tmp_path / "run", path)
    original = task.StageStore._make

    class Killed(BaseException):
        pass

    names = [stage["name"] for stage in wanted.record["stages"]]
    for name in (names[1], "items", "knn/one", "scored_pairs", "labelled"):

        def make(self, path, stage, *rest, _name=name):
            if stage == _name:
                # As a killed task would: files, but no manifest.
                self.folder.write(f"{path}/part-00000.parquet", "half")
                raise Killed
            return original(self, path, stage, *rest)

        monkeypatch.setattr(task.StageStore, "_make", make)
        with pytest.raises(Killed):
            task.cluster(config, spark=spark)
    monkeypatch.setattr(task.StageStore, "_make", original)
    run = task.cluster(config, spark=spark)
    reused = {stage["name"] for stage in run.record["stages"] if stage["reused"]}
    assert {"items", "knn/one", "scored_pairs"} <= reused
    assert rows_of(run) == rows_of(wanted)


def test_the_same_run_again_makes_nothing_and_a_new_threshold_only_what_needs_it(spark, tmp_path, inputs):
    folder, _, _ = inputs
    config = settings(folder, tmp_path / "run", SMALL)
    task.cluster(config, spark=spark)
    again = task.cluster(config, spark=spark)
    assert all(stage["reused"] for stage in again.record["stages"])
    other = task.cluster(settings(folder, tmp_path / "run", SMALL, consensus={"threshold": 0.5}), spark=spark)
    made = [stage["name"] for stage in other.record["stages"] if not stage["reused"]]
    assert made == ["components", "labelled", "clusters"]


def test_a_run_stopped_before_its_record_leaves_no_clusters_of_its_own_to_an_earlier_run(
    spark, tmp_path, inputs, monkeypatch
):
    first, other = (settings(inputs[0], tmp_path / "run", SMALL, consensus={"threshold": t}) for t in (0.3, 0.8))
    wanted = rows_of(task.cluster(first, spark=spark))

    class Killed(BaseException):
        pass

    def killed(*_):
        raise Killed

    with monkeypatch.context() as patched:
        patched.setattr(task, "_report", killed)
        with pytest.raises(Killed):
            task.cluster(other, spark=spark)
    published = str(tmp_path / "run" / "clusters")
    assert sorted(pq.read_table(published)["cluster"].to_pylist()) != sorted(row[0] for row in wanted.values())
    again = task.cluster(first, spark=spark)
    assert all(stage["reused"] for stage in again.record["stages"])
    table = pq.read_table(published)
    assert dict(zip(table["id"].to_pylist(), table["cluster"].to_pylist(), strict=True)) == {
        item: row[0] for item, row in wanted.items()
    }


def test_every_input_row_is_an_item_or_in_quarantine(spark, tmp_path):
    ids, _, models = data.embeddings(people=200)
    models["one"][3] = np.nan
    models["two"][4] = 0
    data.write(tmp_path / "in", ids, models)
    config = settings(tmp_path / "in", tmp_path / "run", SMALL, input={"max_bad_fraction": 0.1})
    counts = task.cluster(config, spark=spark).record["counts"]
    assert counts["quarantined"]["one"] == {"nan": 1, "missing_in:two": 1}
    assert counts["quarantined"]["base"] == {"missing_in:one": 1, "missing_in:two": 1}
    for model, rows in counts["rows"].items():
        assert rows == counts["items"] + sum(counts["quarantined"][model].values())


def test_too_many_bad_rows_are_refused_with_their_reasons(spark, tmp_path):
    ids, _, models = data.embeddings()
    models["one"][3] = np.nan
    data.write(tmp_path / "in", ids, models)
    with pytest.raises(InputError, match=r"rows cannot be used \(.*nan 1.*max_bad_fraction"):
        task.cluster(settings(tmp_path / "in", tmp_path / "run", SMALL), spark=spark)


def test_all_vectors_equal_end_forced(spark, tmp_path):
    ids = np.arange(60)
    data.write(tmp_path / "in", ids, {model: np.ones((60, 8), np.float32) for model in data.MODELS})
    run = task.cluster(settings(tmp_path / "in", tmp_path / "run", SMALL), spark=spark)
    assert {row[1] for row in rows_of(run).values()} == {"forced"}


@pytest.mark.engines("0")
@pytest.mark.parametrize("rows", [0, 1])
def test_no_row_and_one_row_are_fine(spark, tmp_path, rows):
    ids = np.arange(rows)
    data.write(tmp_path / "in", ids, {model: np.ones((rows, 8), np.float32) for model in data.MODELS})
    run = task.cluster(settings(tmp_path / "in", tmp_path / "run", SMALL), spark=spark)
    assert [row[1] for row in rows_of(run).values()] == ["discarded"] * rows


def test_an_output_held_by_a_living_run_is_refused(spark, tmp_path, inputs):
    config = settings(inputs[0], tmp_path / "run", SMALL)
    with Lease(config.output), pytest.raises(GuardError, match="is held by process"):
        task.cluster(config, spark=spark)


def test_an_output_with_foreign_files_or_inside_the_input_is_refused(spark, tmp_path, inputs):
    (tmp_path / "run").mkdir()
    (tmp_path / "run" / "thesis.docx").write_text("mine")
    with pytest.raises(InputError, match=r"thesis\.docx"):
        task.cluster(settings(inputs[0], tmp_path / "run", SMALL), spark=spark)
    with pytest.raises(InputError, match="overlap"):
        task.cluster(settings(inputs[0], inputs[0] / "base" / "run", SMALL), spark=spark)


@pytest.mark.engines
@pytest.mark.report
def test_the_output_is_what_the_documents_say(spark, tmp_path, inputs):
    config = settings(inputs[0], tmp_path / "run", SMALL)
    run = task.cluster(config, spark=spark)
    assert run.clusters.columns == ["id", "cluster", "status", "size", "best_score", "level"]
    found = {entry.name for entry in (tmp_path / "run").iterdir()}
    shown = {"clusters", "merges", "quarantine", "run.json", "config.yaml", "report.html", "openlineage.json"}
    assert found == shown | {"stages", "latest.json"}
    record = json.loads((tmp_path / "run" / "run.json").read_text())
    assert {"config", "versions", "stages", "counts", "recall", "metrics", "warnings"} <= set(record)
    assert all(stage["peak_worker_bytes"] for stage in record["stages"] if stage["name"].startswith("knn/"))


def test_a_run_warns_where_its_output_was_made_another_way(spark, tmp_path, inputs):
    folder, _, _ = inputs
    left_out = settings(folder, tmp_path / "run", SMALL)
    task.cluster(settings(folder, tmp_path / "run", SMALL, clusters={"rule": "paper"}), spark=spark)
    warned = task.cluster(left_out, spark=spark).record["warnings"]
    assert any("was made with consensus.strategy vote and clusters.rule paper" in warning for warning in warned)
    assert not any("was made with" in warning for warning in task.cluster(left_out, spark=spark).record["warnings"])
