"""Each difference of ``stages.differences``: what the program promises in spite of it holds on both engines."""

from __future__ import annotations

import threading
import time
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyspark.sql import functions as F
from pyspark.sql.types import IntegerType, LongType, StructField, StructType

from cdp_spark.base.errors import DamagedStageError
from cdp_spark.knn.shards import mapped_alone
from cdp_spark.runs.stage_store import StageStore
from cdp_spark.scoring import vote
from cdp_spark.spark import differences
from cdp_spark.spark.arrow import map_batches
from cdp_spark.spark.differences import is_sail
from tests.conftest import ENGINE

pytestmark = pytest.mark.engines

KEY = "0123456789abcdef" * 4
ITEMS = StructType([StructField("item", LongType()), StructField("shard", IntegerType())])
CALLS = StructType(
    [StructField("part", IntegerType()), StructField("rows", LongType()), StructField("sum", LongType())]
)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> str:
    """1,000 numbers in five files."""
    folder = tmp_path_factory.mktemp("numbers")
    for number in range(5):
        pq.write_table(pa.table({"id": np.arange(200) + 200 * number}), folder / f"{number}.parquet")
    return str(folder)


def never():
    raise AssertionError("a finished stage was made again")


def call(part: int, batches) -> list[pa.RecordBatch]:
    """One row for each call of the kernel: how many numbers it got, and their sum."""
    numbers = [number for batch in batches for number in batch.column(0).to_pylist()]
    columns = [pa.array([part], pa.int32()), pa.array([len(numbers)]), pa.array([sum(numbers)])]
    return [pa.RecordBatch.from_arrays(columns, names=CALLS.names)]


def calls_with_rows(table) -> list[tuple]:
    return sorted(tuple(row) for row in table.collect() if row["rows"])


def test_the_engine_is_recognised(spark):
    assert is_sail(spark) == (ENGINE == "sail")


def test_a_stage_without_a_row_is_a_file_and_is_read_back_with_its_columns(spark, tmp_path):
    empty = spark.range(9).selectExpr("id AS item", "CAST(id AS int) AS shard").where("item < 0")
    made = StageStore(spark, str(tmp_path)).stage("none", KEY, lambda: empty, schema=ITEMS)
    again = StageStore(spark, str(tmp_path)).stage("none", KEY, never, schema=ITEMS)
    for found in (made, again):
        assert (found.rows, found.table.collect(), found.table.schema) == (0, [], ITEMS)
    assert again.reused
    read = pq.read_table(tmp_path / made.path)
    assert (read.num_rows, read.column_names) == (0, ITEMS.names)


def test_a_damaged_page_of_a_stage_is_refused_when_it_is_reused(spark, tmp_path):
    table = spark.range(10_000).selectExpr("id AS item", "CAST(id % 3 AS int) AS shard")
    made = StageStore(spark, str(tmp_path)).stage("numbers", KEY, lambda: table, schema=ITEMS)
    file = max(Path(tmp_path, made.path).glob("*.parquet"))
    for checksum in file.parent.glob(".*.crc"):
        checksum.unlink()  # Hadoop's own, which no object store has
    content = bytearray(file.read_bytes())
    content[len(content) // 2] ^= 1
    file.write_bytes(content)
    with pytest.raises(DamagedStageError, match=rf"{file.name} is damaged.*remove that folder and start"):
        StageStore(spark, str(tmp_path)).stage("numbers", KEY, never, schema=ITEMS)


def test_one_call_of_a_kernel_gets_all_rows_where_that_is_asked_for(spark, folder):
    doubled = spark.read.parquet(folder).coalesce(1).select((2 * F.col("id")).alias("id"))
    whole = map_batches(doubled, lambda batches: call(0, batches), CALLS, one_task=True)
    assert calls_with_rows(whole) == [(0, 1000, 999_000)]
    otherwise = calls_with_rows(map_batches(doubled, lambda batches: call(0, batches), CALLS))
    assert (len(otherwise) > 1) == is_sail(spark)  # where this fails, Sail has changed, and the difference may go


def test_each_part_is_mapped_by_one_call_that_gets_its_rows_and_no_others(spark, folder):
    numbers = spark.read.parquet(folder)
    parts = [numbers.where(f"id < {end}").select((F.col("id") + 1).alias("id")) for end in (1000, 300, 0, 1000, 1)]
    found = calls_with_rows(mapped_alone(parts, call, CALLS))
    assert found == [(0, 1000, 500_500), (1, 300, 45_150), (3, 1000, 500_500), (4, 1, 1)]


@pytest.mark.parametrize("partitions", [1, 3, 40])
def test_rows_of_a_group_reach_one_call_however_groups_share_partitions(spark, folder, partitions):
    def groups(batches):
        rows = [number for batch in batches for number in batch.column(0).to_pylist()]
        present, counts = np.unique(np.array(rows, np.int64) % 20, return_counts=True)
        columns = [present.astype(np.int32), counts, np.zeros(len(present), np.int64)]
        yield pa.RecordBatch.from_arrays([pa.array(column) for column in columns], names=CALLS.names)

    numbers = spark.read.parquet(folder).withColumn("group", F.col("id") % 20).repartition(partitions, "group")
    found = calls_with_rows(map_batches(numbers.select("id"), groups, CALLS))
    assert found == [(group, 50, 0) for group in range(20)]


def test_pairs_of_blocks_that_share_a_partition_are_each_found_once(spark, monkeypatch):
    """On Sail some partitions get several blocks, and others none."""
    monkeypatch.setattr(vote, "_BLOCK_ITEMS", 4)
    random = np.random.default_rng(3)
    lists = [(i, [int(j) for j in random.permutation(90)[:6] if j != i], [0.5] * 6) for i in range(90)]
    rows = [(item, near, score[: len(near)]) for item, near, score in lists]
    graph = spark.createDataFrame(rows, "item long, neighbors array<long>, similarities array<float>")
    found = vote.scored_pairs(graph.repartition(7), [], accept=0, item_count=90).collect()
    wanted = {(min(i, j), max(i, j)) for i, near, _ in rows for j in near}
    assert sorted((row["src"], row["dst"]) for row in found) == sorted(wanted)


def test_kernels_meet_partitions_without_a_row(spark):
    """And those of every stage accept them: ``_as_sail_may_call`` of ``tests/conftest.py`` tries each one."""
    found = map_batches(spark.range(1).repartition(5, "id"), lambda batches: call(0, batches), CALLS).collect()
    assert sum(row["rows"] for row in found) == 1
    assert sum(row["rows"] == 0 for row in found) == 4


at_work: list[int] = []
most_at_work: list[int] = []
lock = threading.Lock()


def slow_part(part: int, batches):
    with lock:
        at_work.append(part)
        most_at_work.append(len(at_work))
    time.sleep(0.05)
    with lock:
        at_work.remove(part)
    return call(part, batches)


@pytest.mark.skipif(ENGINE != "sail", reason="Spark begins no more tasks than it has cores")
def test_no_more_parts_than_cores_are_at_work_at_a_time(spark, folder, monkeypatch):
    monkeypatch.setattr(differences, "AT_ONCE", threading.BoundedSemaphore(2))
    most_at_work.clear()
    numbers = spark.read.parquet(folder).select("id")
    assert len(calls_with_rows(mapped_alone([numbers] * 7, slow_part, CALLS))) == 7
    assert len(most_at_work) == 7
    assert max(most_at_work) == 2
