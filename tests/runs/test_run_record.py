"""The run record: what ran, and no secrets."""

from __future__ import annotations

import json

import pytest
import yaml

from cdp_spark.config.loading import load_config
from cdp_spark.files.folder import Folder
from cdp_spark.runs.run_record import RunRecord, write_config, write_record
from cdp_spark.runs.stage_store import StageStore
from cdp_spark.spark.differences import is_sail
from cdp_spark.spark.engine import engine_of


@pytest.mark.engines
def test_a_record_says_what_ran_and_keeps_secrets_out(spark, tmp_path):
    settings = {"input": {"base": "s3a://AKIA:hidden@lake/v3.parquet"}, "output": str(tmp_path)}
    store = StageStore(spark, str(tmp_path))
    store.stage("numbers", "f" * 64, lambda: spark.range(5), schema=spark.range(5).schema)
    record = RunRecord(load_config(settings))
    record.note(counts={"items": 5}, recall={"v3": {"recall": 1.0}})
    write_record(store, record.finished(store))
    text = (tmp_path / "run.json").read_text()
    found = json.loads(text)
    assert "hidden" not in text
    assert {"python", "numpy", "faiss-cpu", "numba"} <= set(found["versions"])
    assert {"spark", "java"} <= set(found["versions"]) or is_sail(spark)
    engine = engine_of(spark)
    named = (found["engine"], found["engine_version"], found["engine_reason"])
    assert named == (engine.name, engine.version, engine.reason)
    assert found["versions"][engine.name] == engine.version
    assert [(stage["name"], stage["rows"], stage["reused"]) for stage in found["stages"]] == [("numbers", 5, False)]
    assert found["driver_peak_bytes"] > 2**20
    assert found["finished"] >= found["started"]
    assert found["counts"] == {"items": 5}


def test_a_config_that_says_the_same_keeps_its_comments(tmp_path):
    folder, settings = Folder(str(tmp_path)), {"input": {"base": "ä"}, "output": "run", "knn": {"k": 15}}
    write_config(folder, settings)
    written = (tmp_path / "config.yaml").read_text(encoding="utf-8")
    (tmp_path / "config.yaml").write_text(f"# why 15: see the notes\n{written}", encoding="utf-8")
    write_config(folder, settings)
    assert (tmp_path / "config.yaml").read_text(encoding="utf-8").startswith("# why 15")
    write_config(folder, {**settings, "knn": {"k": 9}})
    assert yaml.safe_load((tmp_path / "config.yaml").read_text(encoding="utf-8"))["knn"] == {"k": 9}
    (tmp_path / "config.yaml").write_bytes(b"\xff")
    write_config(folder, settings)
    assert (tmp_path / "config.yaml").read_text(encoding="utf-8") == written
