"""The differences between the two engines, and how stages handle them. No other module asks for the engine.

Spark is the reference. Sail implements Spark Connect, so one program runs on both, with these exceptions:

====================  ===================================================  ==========================================
Sail                  consequence                                          what is done, and where
====================  ===================================================  ==========================================
has no ``observe``    no peak of a worker's memory                         functions run in this process, whose peak
                                                                           counts (``spark.peaks``)
writes no file for    a folder may be missing                              an empty file takes its place
an empty table                                                             (``runs.stage_store``)
takes a column whose  NaN beside one value would become that value        such files are read by Arrow
statistics know one                                                        (``sources.one_valued``)
value for constant
checks no checksum    damage inside a page is not seen                     SHA-256 of each file in our manifests
of a Parquet page                                                          (``runs.manifests``)
spreads rows anew     rows that one call of a kernel needs together        ``map_batches(one_task=True)``,
below an expression   would reach several                                  ``shard_tasks.mapped_alone``
hashes rows its own   groups may share a partition that Spark would keep   kernels take the groups apart
way                   apart
makes partitions      kernels meet iterators without a batch               every kernel accepts them
without a row
shuffles in memory    all rows that are sent to blocks would be            blocks of pairs without labels are sent in
                      held at once                                         rounds (``unlabelled.blocks``)
begins all            each would hold its rows at once                     one table per core at a time
partitions at once                                                         (``AT_ONCE``)
ignores ``persist``   a table read twice is computed twice                 such tables are stored, or read once
reads no ORC, and no  ``orc`` and ``VectorUDT`` cannot be read             refused in one line (``sources``,
vectors of MLlib                                                           ``cdp_spark.ml``)
forgets its catalog   a published table would end with the process         ``publish`` is refused in one line
                                                                           (``runs.catalog_table``)
has no checkpoints    GraphFrames cannot run                               one task finds the components
====================  ===================================================  ==========================================
"""

from __future__ import annotations

import os
import re
from threading import BoundedSemaphore
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

_SPARK_VERSION = re.compile(r"\d+\.\d+\.\d+\S* [0-9a-f]{40}")
"""Answer of ``SELECT version()`` on Spark: the release and the commit."""

AT_ONCE = BoundedSemaphore(os.cpu_count() or 1)
"""Held by a task of this process that holds many rows."""

_versions: dict[str, str] = {}


def is_connect(spark: SparkSession) -> bool:
    """Return whether a session is a client of Spark Connect, as Sail's and Databricks' are."""
    return ".connect." in type(spark).__module__


def is_sail(spark: SparkSession) -> bool:
    """Return whether this session runs on Sail."""
    if not is_connect(spark):
        return False
    version = server_version(spark)
    # Managed platforms have answers of another form. Sail's releases begin with 0 and stay behind Spark's for long.
    release = re.match(r"(\d+)\.", version)
    return _SPARK_VERSION.match(version) is None and release is not None and int(release.group(1)) < 3


def server_version(spark: SparkSession) -> str:
    """Return the server's version; asks once per session."""
    session = str(getattr(spark, "session_id", id(spark)))
    if session not in _versions:
        row: Any = spark.sql("SELECT version() AS version").collect()[0]
        _versions[session] = str(row["version"])
    return _versions[session]
