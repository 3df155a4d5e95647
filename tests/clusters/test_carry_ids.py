"""Which run's ids are carried over, where --previous is the folder of all outputs."""

import json

from cdp_spark.clusters.carry_ids import earlier_run


def finish(folder, when, previous=None):
    folder.mkdir(parents=True, exist_ok=True)
    lineage = {"lineage": {"previous": previous}} if previous else {}
    (folder / "run.json").write_text(
        json.dumps({"config": {"input": {"base": "a"}, "output": "a"}, "finished": when, **lineage})
    )
    (folder / "latest.json").write_text("{}")


def test_a_run_is_taken_as_it_is(tmp_path):
    assert earlier_run(str(tmp_path / "runs" / "b"), str(tmp_path / "a")) == str(tmp_path / "a")


def test_the_newest_finished_run_beside_the_output_or_none(tmp_path):
    root = str(tmp_path)
    assert earlier_run(f"{root}/today", root) is None
    (tmp_path / "half").mkdir()
    finish(tmp_path / "b", 1.0)
    finish(tmp_path / "a", 2.0)
    assert earlier_run(f"{root}/today", f"{root}/") == f"{root}/a"


def test_an_output_that_is_there_stays_with_the_run_it_took_its_ids_from(tmp_path):
    root = str(tmp_path)
    finish(tmp_path / "a", 1.0)
    finish(tmp_path / "b", 2.0, previous=f"{root}/a")
    finish(tmp_path / "c", 3.0, previous=f"{root}/b")
    assert earlier_run(f"{root}/b", root) == f"{root}/a"
    assert earlier_run(f"{root}/a", root) is None
