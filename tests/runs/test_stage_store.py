"""Durable stages: reused when whole, made anew when half-written, refused when damaged."""

from __future__ import annotations

import json
import shutil
import time
from pathlib import Path

import pytest
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.types import BinaryType, IntegerType, LongType, StructField, StructType

from cdp_spark.base.errors import ConfigError, DamagedStageError, GuardError, InputError, MissingRequirementError
from cdp_spark.runs.manifests import MANIFEST
from cdp_spark.runs.stage_store import StageResult, StageStore
from cdp_spark.spark.arrow import map_batches

SCHEMA = StructType([StructField("item", LongType()), StructField("shard", IntegerType())])
KEY = "0123456789abcdef" * 4


def numbers(spark: SparkSession, count: int = 100) -> DataFrame:
    return spark.range(count).selectExpr("id AS item", "CAST(id % 3 AS int) AS shard").repartition(3)


def made(spark: SparkSession, output: Path, name: str = "numbers", **options) -> StageResult:
    return StageStore(spark, str(output)).stage(name, KEY, lambda: numbers(spark), schema=SCHEMA, **options)


def never() -> DataFrame:
    raise AssertionError("a finished stage was made again")


def data_files(folder: Path) -> list[Path]:
    return sorted(folder.rglob("*.parquet"))


@pytest.mark.engines
def test_a_stage_is_written_once_and_read_back(spark, tmp_path):
    first = made(spark, tmp_path)
    again = StageStore(spark, str(tmp_path)).stage("numbers", KEY, never, schema=SCHEMA)
    assert (first.reused, first.rows, again.reused, again.rows) == (False, 100, True, 100)
    assert {row["item"] for row in again.table.collect()} == set(range(100))


def test_a_stage_asked_for_again_in_the_same_run_is_listed_once(spark, tmp_path):
    store = StageStore(spark, str(tmp_path))
    for build in (lambda: numbers(spark), never):
        store.stage("numbers", KEY, build, schema=SCHEMA)
    assert [(each.name, each.reused) for each in store.results] == [("numbers", False)]


def test_a_partitioned_stage_with_a_slash_in_its_name_is_read_back(spark, tmp_path):
    found = made(spark, tmp_path, "shards/v3", partition_by=("shard",))
    assert (tmp_path / f"stages/shards/v3-{KEY[:16]}/shard=2").is_dir()
    assert found.rows == found.table.count() == 100


def test_another_fingerprint_is_another_folder(spark, tmp_path):
    made(spark, tmp_path)
    other = StageStore(spark, str(tmp_path)).stage("numbers", "f" * 64, lambda: numbers(spark, 7), schema=SCHEMA)
    assert (other.reused, other.rows) == (False, 7)


def test_files_without_a_manifest_are_never_read(spark, tmp_path):
    first = made(spark, tmp_path)
    (tmp_path / first.path / MANIFEST).unlink()
    shutil.copy(data_files(tmp_path)[0], tmp_path / first.path / "part-99999-of-a-killed-run.snappy.parquet")
    again = made(spark, tmp_path)
    assert (again.reused, again.rows, again.table.count()) == (False, 100, 100)


def test_a_run_killed_between_data_and_manifest_makes_the_stage_anew(spark, tmp_path):
    def killed() -> None:
        raise KeyboardInterrupt

    store = StageStore(spark, str(tmp_path), guard=killed)
    with pytest.raises(KeyboardInterrupt):
        store.stage("numbers", KEY, lambda: numbers(spark, 7), schema=SCHEMA)
    assert data_files(tmp_path)
    assert made(spark, tmp_path).table.count() == 100


def test_a_write_that_fails_leaves_no_stage(spark, tmp_path):
    store = StageStore(spark, str(tmp_path))
    with pytest.raises(Exception, match="boom"):
        store.stage("numbers", KEY, lambda: numbers(spark).selectExpr("raise_error('boom') AS item"), schema=SCHEMA)
    assert not list(tmp_path.rglob(MANIFEST))


@pytest.mark.parametrize("harm", ["longer", "gone", "more", "manifest"])
def test_a_finished_stage_with_other_files_than_its_manifest_lists_is_refused(spark, tmp_path, harm):
    first = made(spark, tmp_path)
    file = data_files(tmp_path)[0]
    if harm == "longer":
        file.write_bytes(file.read_bytes() + b"x")
    elif harm == "gone":
        file.unlink()
    elif harm == "more":
        shutil.copy(file, file.with_name("more.parquet"))
    else:
        (tmp_path / first.path / MANIFEST).write_text('{"rows"')
    with pytest.raises(DamagedStageError, match=r"stages/numbers-0123456789abcdef .* remove that folder"):
        made(spark, tmp_path)


@pytest.mark.spark("Sail checks no checksum of a page while it reads")
def test_a_flipped_byte_in_a_data_page_is_refused(spark, tmp_path):
    schema = StructType([StructField("item", LongType()), StructField("vector", BinaryType())])
    table = spark.range(2000).selectExpr("id AS item", "unhex(sha2(CAST(id AS string), 256)) AS vector")
    result = StageStore(spark, str(tmp_path)).stage("vectors", KEY, lambda: table.coalesce(1), schema=schema)
    file = data_files(tmp_path)[0]
    for checksum in file.parent.glob(".*.crc"):
        checksum.unlink()  # object stores have none: Parquet's own checksums must do
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    with pytest.raises(Exception, match=r"CRC checksum verification failed|verify page integrity|FAILED_READ_FILE"):
        result.table.collect()


def test_facts_are_computed_once(spark, tmp_path):
    store = StageStore(spark, str(tmp_path))
    assert store.facts("recall/v3", KEY, lambda: {"recall": 0.97}) == {"recall": 0.97}
    assert store.facts("recall/v3", KEY, never) == {"recall": 0.97}


def test_damaged_facts_are_refused(spark, tmp_path):
    store = StageStore(spark, str(tmp_path))
    store.facts("recall", KEY, lambda: {"recall": 0.97})
    (tmp_path / f"stages/recall-{KEY[:16]}.json").write_text("{")
    with pytest.raises(DamagedStageError, match="remove that file"):
        store.facts("recall", KEY, never)


@pytest.mark.parametrize(
    "name", ["knn/../../../outside", "knn/_hidden", "knn/a b[1]{2}*?", "knn/" + "é" * 300, "knn/.."]
)
def test_whatever_a_model_is_called_its_stage_lies_inside_and_is_read_back(spark, tmp_path, name):
    output = tmp_path / "run"
    assert made(spark, output, name).table.count() == 100
    assert sorted(path.name for path in tmp_path.iterdir()) == ["run"]
    assert {path.name for path in output.iterdir()} == {"stages"}


@pytest.mark.engines
def test_the_peak_of_python_workers_is_known_and_stays_so(spark, tmp_path):
    build = lambda: map_batches(numbers(spark), lambda batches: batches, SCHEMA)  # noqa: E731
    first = StageStore(spark, str(tmp_path)).stage("mapped", KEY, build, schema=SCHEMA)
    again = StageStore(spark, str(tmp_path)).stage("mapped", KEY, never, schema=SCHEMA)
    assert first.peak_worker_bytes is not None
    assert 10 * 2**20 < first.peak_worker_bytes == again.peak_worker_bytes


@pytest.mark.spark("Sail has no observations")
def test_an_observation_that_no_write_touched_does_not_block(spark, tmp_path):
    def build() -> DataFrame:
        map_batches(numbers(spark), lambda batches: batches, SCHEMA)  # made, and not part of what is written
        return numbers(spark)

    found = StageStore(spark, str(tmp_path)).stage("numbers", KEY, build, schema=SCHEMA)
    assert found.peak_worker_bytes is None


def test_publishing_copies_a_stage_and_does_nothing_the_second_time(spark, tmp_path):
    store = StageStore(spark, str(tmp_path))
    result = made(spark, tmp_path)
    store.publish("clusters", result)
    before = (tmp_path / "clusters" / MANIFEST).stat().st_mtime_ns
    store.publish("clusters", result)
    assert (tmp_path / "clusters" / MANIFEST).stat().st_mtime_ns == before
    assert spark.read.parquet(str(tmp_path / "clusters")).count() == 100


def test_a_published_copy_that_was_damaged_is_published_anew(spark, tmp_path):
    store = StageStore(spark, str(tmp_path))
    result = made(spark, tmp_path)
    store.publish("clusters", result)
    file = next((tmp_path / "clusters").glob("*.parquet"))
    whole = file.read_bytes()
    file.write_bytes(whole[:40] + bytes(255 - byte for byte in whole[40:48]) + whole[48:])
    store.publish("clusters", result)
    assert file.read_bytes() == whole


def test_durations_do_not_follow_a_clock_that_is_set_back(spark, tmp_path, monkeypatch):
    now = time.time()
    hours = iter(range(100))
    monkeypatch.setattr(time, "time", lambda: now - 3600 * next(hours))
    result = made(spark, tmp_path)
    StageStore(spark, str(tmp_path)).facts("number", "f" * 64, lambda: {"found": 1})
    assert 0 <= result.seconds < 600
    assert made(spark, tmp_path).reused


def test_publishing_that_fails_leaves_the_last_good_result(spark, tmp_path, monkeypatch):
    store = StageStore(spark, str(tmp_path))
    store.publish("clusters", made(spark, tmp_path))
    newer = store.stage("numbers", "f" * 64, lambda: numbers(spark, 7), schema=SCHEMA)

    def full(*_: object) -> None:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(type(store.folder), "_copy_files", full)
        with pytest.raises(MissingRequirementError, match="no room left"):
            store.publish("clusters", newer)
    assert spark.read.parquet(str(tmp_path / "clusters")).count() == 100
    store.publish("clusters", newer)
    assert spark.read.parquet(str(tmp_path / "clusters")).count() == 7
    assert {path.name for path in tmp_path.iterdir()} == {"clusters", "stages"}


def test_a_copy_killed_at_any_point_is_mended_by_the_next(spark, tmp_path):
    store = StageStore(spark, str(tmp_path))
    result = made(spark, tmp_path)
    store.publish("clusters", result)
    (tmp_path / "clusters").rename(tmp_path / f"clusters.{'a' * 32}.old")
    (tmp_path / f"clusters.{'a' * 32}.tmp").mkdir()
    StageStore(spark, str(tmp_path)).publish("clusters", result)
    assert {path.name for path in tmp_path.iterdir()} == {"clusters", "stages"}
    assert spark.read.parquet(str(tmp_path / "clusters")).count() == 100


def test_a_folder_with_files_of_others_is_refused_and_left_alone(spark, tmp_path):
    (tmp_path / "thesis.tmp").write_text("years of work")
    with pytest.raises(InputError, match=r"holds thesis\.tmp, which no run wrote"):
        StageStore(spark, str(tmp_path))
    assert (tmp_path / "thesis.tmp").read_text() == "years of work"


def test_a_file_or_a_pattern_as_output_is_refused(spark, tmp_path):
    (tmp_path / "file").write_text("")
    with pytest.raises(ConfigError, match="is a file"):
        StageStore(spark, str(tmp_path / "file"))
    with pytest.raises(ConfigError, match=r"\[ \].*pattern"):
        StageStore(spark, str(tmp_path / "run[1]"))


def test_nothing_is_declared_complete_when_the_guard_refuses(spark, tmp_path):
    def refuse() -> None:
        raise GuardError("another run took over")

    store = StageStore(spark, str(tmp_path), guard=refuse)
    with pytest.raises(GuardError):
        store.stage("numbers", KEY, lambda: numbers(spark), schema=SCHEMA)
    with pytest.raises(GuardError):
        store.facts("facts", KEY, lambda: {"a": 1})
    assert not list(tmp_path.rglob("*.json"))


def test_an_output_given_as_file_uri_is_the_same_place(spark, tmp_path):
    first = made(spark, tmp_path)
    store = StageStore(spark, tmp_path.as_uri())
    assert store.stage("numbers", KEY, never, schema=SCHEMA).table.count() == first.rows


def test_a_manifest_lists_what_an_auditor_needs(spark, tmp_path):
    first = made(spark, tmp_path)
    manifest = json.loads((tmp_path / first.path / MANIFEST).read_text())
    assert (manifest["stage"], manifest["fingerprint"], manifest["rows"]) == ("numbers", KEY, 100)
    assert manifest["files"] == {file.name: file.stat().st_size for file in data_files(tmp_path)}
