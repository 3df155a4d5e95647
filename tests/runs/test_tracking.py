"""What others are told of a run: MLflow with a store of files, and an event of OpenLineage."""

import json

import pytest

from cdp_spark.base.errors import MissingRequirementError
from cdp_spark.files.folder import Folder
from cdp_spark.runs.tracking import lineage_event, log_to_mlflow

RECORD = {
    "config": {
        "input": {
            "base": {"name": "v3", "path": "s3a://key:hunter2@lake/v3", "table": None},
            "committee": [{"name": "casia", "path": None, "table": "lake.faces.casia"}],
            "labels": {"path": "labels.parquet"}, "images": None,
        },
        "knn": {"k": 15}, "consensus": {"threshold": 0.5, "mediator": None},
    },
    "versions": {"cdp-spark": "0.1.0"}, "started": 1_700_000_000.5, "finished": 1_700_000_060.25, "seconds": 59.75,
    "counts": {"items": 9, "statuses": {"clustered": 7}}, "threshold": 0.5, "metrics": None, "warnings": [],
    "recall": {"v3 [a]": {"recall": 0.97, "method": "ivf"}}, "stages": [{"name": "knn/v3", "made_seconds": 2.0}],
    "published": {"table": "lake.faces.clusters", "run": "monday", "rows": 9},
}  # fmt: skip


def test_a_run_is_an_event_of_openlineage(tmp_path):
    event = lineage_event(RECORD, Folder(str(tmp_path / "run")), rows=9, size=700)
    assert {"eventType", "eventTime", "run", "job", "inputs", "outputs", "producer", "schemaURL"} == set(event)
    assert event["eventTime"] == "2023-11-14T22:14:20.250+00:00"
    assert event["inputs"][0] == {"namespace": "s3://lake", "name": "v3"}
    assert event["inputs"][1] == {"namespace": "spark", "name": "lake.faces.casia"}
    assert event["inputs"][2]["name"].endswith("/labels.parquet")
    assert event["outputs"][0]["name"] == f"{tmp_path}/run/clusters"
    assert event["outputs"][0]["outputFacets"]["outputStatistics"]["rowCount"] == 9
    assert event["outputs"][1] == {"namespace": "spark", "name": "lake.faces.clusters"}
    assert event == lineage_event(RECORD, Folder(str(tmp_path / "run")), rows=9, size=700)
    assert "hunter2" not in json.dumps(event)


@pytest.fixture
def client(tmp_path, monkeypatch):
    mlflow = pytest.importorskip("mlflow", reason="the extra mlflow is not installed")
    monkeypatch.setenv("MLFLOW_ALLOW_FILE_STORE", "true")
    monkeypatch.setenv("MLFLOW_TRACKING_URI", f"file://{tmp_path}/mlruns")
    mlflow.set_tracking_uri(f"file://{tmp_path}/mlruns")
    return mlflow.MlflowClient()


def test_mlflow_gets_settings_figures_and_the_report(tmp_path, client):
    folder = Folder(str(tmp_path / "run"))
    folder.write("report.html", "<html>report</html>")
    name = log_to_mlflow(RECORD, folder, "faces")
    run = client.get_run(name)
    assert client.get_experiment(run.info.experiment_id).name == "faces"
    assert run.info.status == "FINISHED"
    assert run.data.params["knn.k"] == "15"
    assert run.data.metrics["counts.items"] == 9
    assert run.data.metrics["recall.v3 _a_.recall"] == 0.97
    assert {file.path for file in client.list_artifacts(name)} == {"report.html", "run.json"}


def test_a_server_that_is_not_there_is_one_line(tmp_path, client, monkeypatch):
    import mlflow

    monkeypatch.setenv("MLFLOW_HTTP_REQUEST_MAX_RETRIES", "0")
    mlflow.set_tracking_uri("http://127.0.0.1:9")
    with pytest.raises(MissingRequirementError, match="mlflow does not take the run"):
        log_to_mlflow(RECORD, Folder(str(tmp_path / "run")), "faces")
