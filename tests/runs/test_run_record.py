"""The run record: what ran, and no secrets."""

from __future__ import annotations

import json

import pytest

from cdp_spark.config.loading import load_config
from cdp_spark.runs.run_record import RunRecord, write_record
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
