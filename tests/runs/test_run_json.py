"""Types of ``run.json``: what any version wrote is read."""

import pytest

from cdp_spark.base.errors import InputError
from cdp_spark.files.folder import Folder
from cdp_spark.runs.finished_run import finished_record
from cdp_spark.runs.run_json import ClusterRecord


def test_a_record_of_version_0_1_is_read():
    old = {"config": {}, "engine": {"components": "single", "why": "9 edges"}, "counts": {"items": 3, "later": 1}}
    record = ClusterRecord.model_validate(old)
    assert (record.engine, record.components_engine.why, record.counts.items) == ("spark", "9 edges", 3)


def test_what_a_later_version_adds_is_kept():
    assert ClusterRecord.model_validate({"config": {}, "new": 1}).model_dump()["new"] == 1


def test_a_damaged_record_is_one_line(tmp_path):
    for name, text in (("run.json", '{"config": {}, "counts": []}'), ("latest.json", "{}")):
        (tmp_path / name).write_text(text)
    with pytest.raises(InputError, match=r"run\.json is damaged, counts: "):
        finished_record(Folder(str(tmp_path)))
