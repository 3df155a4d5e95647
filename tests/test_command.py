"""The command line, end to end, as a user would type it."""

from __future__ import annotations

import json

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cdp_spark import cli
from tests import command, data
from tests.conftest import ENGINE


@pytest.fixture(scope="module")
def lake(tmp_path_factory):
    """Embeddings of three models, labels, and a folder for runs."""
    folder = tmp_path_factory.mktemp("lake")
    ids, labels, models = data.embeddings()
    data.write(folder, ids, models)
    pq.write_table(pa.table({"id": ids, "label": labels}), folder / "labels.parquet")
    return folder


@pytest.fixture(scope="module")
def finished(lake):
    """One run by the command line."""
    return command.run(
        "cluster", "--base", "base", "--committee", "one", "two", "--labels", "labels.parquet", "--output", "run",
        "--set", "consensus.threshold=0.3", "--set", "knn.k=5", "--json", cwd=lake,
    )  # fmt: skip


@pytest.mark.engines
def test_the_run_record_alone_is_on_stdout_and_progress_on_stderr(lake, finished):
    assert finished.returncode == 0, finished.stderr
    record = json.loads(finished.stdout)
    assert record == json.loads((lake / "run" / "run.json").read_text())
    assert record["counts"]["items"] == sum(record["counts"]["statuses"].values())
    assert 0 < record["metrics"]["kept"]["pairwise_f"] < 1
    assert record["driver_peak_bytes"] < 2**30
    lines = finished.stderr.splitlines()
    assert any(line.startswith("knn/base ") and line.endswith("rows") for line in lines)
    assert "Traceback" not in finished.stderr


def test_the_same_command_again_does_nothing_and_says_so(lake, finished):
    again = command.run("cluster", "--config", "run/config.yaml", cwd=lake)
    assert again.returncode == 0, again.stderr
    assert "nothing to do, all stages reused" in again.stdout
    assert "report     run/report.html" in again.stdout


def same_metrics(found, wanted):
    """Up to the last digits: sums are made in the order in which partitions come."""
    assert found.keys() == wanted.keys()
    for way, figures in wanted.items():
        assert found[way] == (pytest.approx(figures, rel=1e-12) if isinstance(figures, dict) else figures)


@pytest.mark.engines
def test_evaluate_prints_the_metrics_of_the_run(lake, finished):
    found = command.run("evaluate", "--clusters", "run/clusters", "--labels", "labels.parquet", "--json", cwd=lake)
    assert found.returncode == 0, found.stderr
    metrics = json.loads(found.stdout)
    same_metrics(metrics, json.loads(finished.stdout)["metrics"])
    assert set(metrics["kept"]) == {
        "pairwise_precision", "pairwise_recall", "pairwise_f", "bcubed_precision", "bcubed_recall", "bcubed_f", "nmi",
        "ami", "v_measure", "ari", "clusters", "identities", "singletons", "largest", "discarded_share",
    }  # fmt: skip


def test_the_report_is_one_file_that_asks_no_network(lake, finished):
    found = command.run("report", "--run", "run", cwd=lake)
    assert found.returncode == 0, found.stderr
    page = (lake / "run" / "report.html").read_text(encoding="utf-8")
    assert found.stdout.strip().endswith("run/report.html")
    assert len(page) < 5_000_000
    assert page.count("<svg") == 7
    assert not any(sign in page for sign in ("<script", "<link", 'src="http', 'href="http'))


@pytest.mark.engines
def test_doctor_says_ok_for_everything_a_run_needs():
    found = command.run("doctor", "--json")
    assert found.returncode == 0, found.stderr
    needed = ("engine", "workers", "faiss-cpu", "disk", *(("java",) if ENGINE == "spark" else ()))
    assert all(json.loads(found.stdout)[name]["ok"] for name in needed)


@pytest.mark.parametrize(
    ("words", "code", "message"),
    [
        (["cluster", "--output", "x"], 2, "no input: give --base PATH"),
        (["cluster", "--bass", "x"], 2, "unrecognized arguments: --bass x (did you mean '--base'?)"),
        (["cluster", "--config", "none.yaml"], 2, "config none.yaml: No such file or directory"),
        (["evaluate", "--clusters", "x"], 2, "the following arguments are required: --labels"),
        (["dance"], 2, "invalid choice: 'dance'"),
        (
            ["explain", "--run", "r", "-abc", "x"],
            2,
            "put values that begin with a dash after --, as in: -- -abc",
        ),
        (["explain", "--run", "r", "--jsn", "x"], 2, "unrecognized arguments: --jsn (did you mean '--json'?)"),
        (["cluster", "--k", "1_0"], 2, "argument --k: '1_0' is not a whole number: write it as 15"),
        (["cluster", "--k", "٣"], 2, "argument --k: '٣' is not a whole number"),
        (["cluster", "--threshold", "yes"], 2, "argument --threshold: 'yes' is not a number: write it as 0.5"),
        (["export", "--run", "r", "--output", "o", "--split", "a=0_1"], 2, "--split a=0_1: write it as name=share"),
        (["sweep", "--run", "r", "--thresholds=0.3:0.9:1e-9"], 2, "give 1 to 1,000 values, such as"),
        (["sweep", "--run", "r", "--thresholds=0.9:0.3:0.1"], 2, "there are none"),
        (["sweep", "--run", "r", "--thresholds=0.3:1e308:1e-308"], 2, "there are too many"),
        (["sweep", "--run", "r", "--thresholds=0.3:0.9:0"], 2, "there are none"),
        (["sweep", "--run", "r", "--thresholds=0.3:nan:0.1"], 2, "write first:last:step or a list"),
        (
            ["cluster", "--base", "b", "--output", "x", "--conf", "nonsense"],
            2,
            "--conf nonsense: needs the form key=value",
        ),
    ],
)
def test_wrong_words_get_one_line_and_exit_code_2(capsys, words, code, message):
    assert cli.main(words) == code
    said = capsys.readouterr()
    assert said.out == ""
    assert message in said.err
    assert said.err.count("\n") == 1


def test_missing_input_is_one_line_before_any_work(lake):
    found = command.run("cluster", "--base", "nowhere.parquet", "--output", "other", cwd=lake)
    assert (found.returncode, found.stdout) == (2, "")
    assert "cdp-spark: model nowhere: nowhere.parquet does not exist: check the path" in found.stderr.splitlines()
    assert "Traceback" not in found.stderr


def test_help_answers_without_starting_spark():
    found = command.run("cluster", "--help")
    assert found.returncode == 0
    assert "--committee" in found.stdout


@pytest.mark.engines
def test_python_gives_the_clusters_of_the_command_line(spark, lake, finished, tmp_path):
    import cdp_spark as cdp

    base, one, two = (spark.read.parquet(str(lake / name)) for name in data.MODELS)
    run = cdp.cluster(base, {"one": one, "two": two}, output=str(tmp_path / "run"), threshold=0.3, k=5)
    table = pq.read_table(lake / "run" / "clusters").sort_by("id").to_pylist()
    assert [row.asDict() for row in run.clusters.orderBy("id").collect()] == table
    labels = spark.read.parquet(str(lake / "labels.parquet"))
    same_metrics(cdp.evaluate(run.clusters, labels), json.loads(finished.stdout)["metrics"])
    assert np.isfinite(run.record["seconds"])
