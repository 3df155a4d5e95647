"""A row of coarser or finer clusters is what a full run of that granularity gives, and no search is made for it."""

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import yaml

from cdp_spark.base.errors import ConfigError
from cdp_spark.cli import main
from cdp_spark.commands.cluster import cluster
from cdp_spark.commands.granularity import apply_granularity, sweep_granularity
from cdp_spark.commands.sweep import sweep
from cdp_spark.config.loading import load_config
from cdp_spark.training.kernels.simulation import simulated_set
from tests.unlabelled.sets import written

COUNT = 80
ROWS = np.concatenate([np.arange(COUNT), np.arange(0, COUNT, 10)])
MADE_ANEW = {"scored_pairs", "forest/whole", "components", "pieces", "labelled", "clusters", "merges"}


@pytest.fixture(scope="module")
def place(spark, tmp_path_factory):
    """A folder with a finished run; a tenth of its items repeat others."""
    folder = tmp_path_factory.mktemp("granularity")
    drawn = simulated_set(3, items=4 * COUNT)
    base, *committee = written(folder / "in", [np.float32(each[ROWS]) for each in drawn.models[:2]])
    pq.write_table(pa.table({"id": np.arange(len(ROWS)), "label": drawn.identity[ROWS]}), folder / "labels.parquet")
    settings = {
        "input": {"base": base, "committee": committee, "labels": str(folder / "labels.parquet")},
        "output": str(folder / "run"),
    }
    cluster(load_config(settings), spark=spark)
    return folder


def clusters_of(run):
    return sorted((row["id"], row["cluster"]) for row in run.clusters.collect())


def test_rows_are_those_of_runs_that_repeat_an_applied_one_exactly(spark, place, tmp_path):
    run = str(place / "run")
    found = sweep_granularity(run, [3, -3, 0], spark=spark)
    assert [row["granularity"] for row in found.rows] == [-3, 0, 3]
    assert found.current == 0
    discarded = [row["discarded"] for row in found.rows]
    assert discarded[0] > discarded[1] > discarded[2]
    best = max(found.rows, key=lambda row: (row["pairwise_f"], -abs(row["granularity"])))
    assert found.best == best["granularity"]
    for row in (found.rows[0], found.rows[2], found.rows[1]):
        applied = apply_granularity(run, found, str(row["granularity"]), spark=spark)
        counts, told = applied.record["counts"], applied.record["without_labels"]
        assert {stage["name"] for stage in applied.record["stages"] if not stage["reused"]} <= MADE_ANEW
        assert (row["clusters"], row["largest"]) == (counts["clusters"], counts["largest"])
        assert row["discarded"] == counts["statuses"].get("discarded", 0)
        assert row["pairwise_f"] == applied.record["metrics"]["kept"]["pairwise_f"]
        assert told["granularity"] == row["granularity"]
        if row is found.rows[0]:
            assert sweep_granularity(run, [-3, 0, 3], spark=spark).rows == found.rows
            again = yaml.safe_load((place / "run" / "config.yaml").read_text())
            whole = cluster(load_config({**again, "output": str(tmp_path / "again")}), spark=spark)
            assert clusters_of(whole) == clusters_of(applied)


def test_the_command_sweeps_what_the_run_has(spark, place, capsys):
    run = str(place / "run")
    assert main(["sweep", "--run", run, "--granularity", "-1:0:1", "--json"]) == 0
    rows = json.loads(capsys.readouterr().out)["rows"]
    assert [row["granularity"] for row in rows] == [-1, 0]
    assert main(["sweep", "--run", run, "--granularity", "-1,0"]) == 0
    assert "the run's granularity is" in capsys.readouterr().out
    assert main(["sweep", "--run", run, "--thresholds", "0.5"]) == 2
    assert "sweep --granularity -2:2:0.5" in capsys.readouterr().err


def test_other_runs_are_refused_in_one_line(spark, place, tmp_path):
    given = yaml.safe_load((place / "run" / "config.yaml").read_text())
    given |= {"output": str(tmp_path / "vote"), "consensus": {"strategy": "vote"}, "clusters": {}}
    cluster(load_config(given), spark=spark)
    with pytest.raises(ConfigError, match=r"by vote.* give --thresholds"):
        sweep_granularity(given["output"], [0], spark=spark)
    assert sweep(given["output"], [0.5], spark=spark).rows
    with pytest.raises(ConfigError, match=r"consensus\.granularity is for clusters without labels"):
        load_config({**given, "consensus": {"strategy": "vote", "granularity": 1}})
    with pytest.raises(ConfigError, match="1 to 100 granularities"):
        sweep_granularity(given["output"], [50], spark=spark)
