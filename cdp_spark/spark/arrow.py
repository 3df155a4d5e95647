"""Run a kernel over the Arrow batches of a table, and record the worker's peak memory.

Every Python stage goes through :func:`map_batches`. On Spark, the peak is an additional column that is observed (a
maximum, so retried tasks do no harm) and then dropped; this works on Spark Connect, where accumulators do not exist.
Sail runs the kernel in this process and has no ``observe``: ``spark.peaks`` measures the process instead.
"""

from __future__ import annotations

import gc
import sys
import uuid
import zipimport
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray
from pyspark.sql import DataFrame, Observation
from pyspark.sql import functions as F
from pyspark.sql.pandas.types import to_arrow_schema
from pyspark.sql.types import LongType, StructField, StructType

from cdp_spark.base.memory import peak_bytes, reset_peak
from cdp_spark.spark.differences import is_sail

Kernel = Callable[[Iterator[pa.RecordBatch]], Iterable[pa.RecordBatch]]
Mapped = Callable[[Any], Any]
"""A kernel for PySpark, whose releases type it differently."""

_PEAK = "_worker_peak"
_PEAK_FIELD = StructField(_PEAK, LongType(), True)
_BATCH_ROWS = 65_536
_observations: ContextVar[list[Observation] | None] = ContextVar("observations", default=None)


def map_batches(
    table: DataFrame, kernel: Kernel, schema: StructType, *, observed: bool = True, one_task: bool = False
) -> DataFrame:
    """Apply ``kernel`` to the batches of each partition.

    Parameters
    ----------
    table : DataFrame
        Any table. If most rows of a column of lists, strings or bytes are null, use empty values instead: for each
        row, Spark 4.1 goes again through all nulls since the last value (Arrow's ``setValueCount``).
    kernel : callable (iterator of RecordBatch) -> iterable of RecordBatch
        Runs in the worker; its batches have the columns of ``schema``, in order (matched by position, cast here).
    schema : StructType
        Columns of the result.
    observed : bool
        Whether to record the peak. Set to false if the result occurs twice in one plan: Spark Connect (4.1) refuses a
        repeated observation.
    one_task : bool
        Whether one call of the kernel gets all rows. ``coalesce(1)`` is not enough: Sail spreads rows over partitions
        again if an expression stands between it and the kernel.

    Returns
    -------
    DataFrame
        Columns of ``schema``. Lazy: runs no job.
    """
    if one_task:
        table = table.coalesce(1)
    if is_sail(table.sparkSession):
        return table.mapInArrow(_in_this_process(kernel, schema), schema)
    mapped = table.mapInArrow(_in_a_worker(kernel, schema), StructType([*schema.fields, _PEAK_FIELD]))
    observations = _observations.get()
    if observed and observations is not None:
        observation = Observation(f"peak-{uuid.uuid4().hex}")
        mapped = mapped.observe(observation, F.max(_PEAK).alias("peak"))
        observations.append(observation)
    return mapped.drop(_PEAK)


def _in_this_process(kernel: Kernel, schema: StructType) -> Mapped:
    arrow_schema = to_arrow_schema(schema)

    def run(batches: Iterable[pa.RecordBatch]) -> Iterable[pa.RecordBatch]:
        for batch in kernel(iter(batches)):
            columns = [batch.column(i).cast(field.type) for i, field in enumerate(arrow_schema)]
            yield pa.RecordBatch.from_arrays(columns, schema=arrow_schema)

    return run


def _in_a_worker(kernel: Kernel, schema: StructType) -> Mapped:
    arrow_schema = to_arrow_schema(schema)

    def run(batches: Iterable[pa.RecordBatch]) -> Iterable[pa.RecordBatch]:
        _keep_archives_read()
        # Workers outlive tasks: without this, a task would inherit the peak of an earlier one.
        reset_peak()
        arriving = iter(batches)
        for batch in kernel(arriving):
            columns = [batch.column(i).cast(field.type) for i, field in enumerate(arrow_schema)]
            peak = pa.array([peak_bytes()] * batch.num_rows, pa.int64())
            yield pa.RecordBatch.from_arrays([*columns, peak], names=[*arrow_schema.names, _PEAK])
        for _ in arriving:
            pass  # Spark ends a worker that leaves rows unread, and the next worker loads all libraries anew
        _spare_modules_from_collection()

    return run


def gathered(batches: Iterable[pa.RecordBatch], schema: StructType) -> list[NDArray[Any]]:
    """Return the columns of all batches of a partition as arrays; for columns of numbers without nulls."""
    columns = [[column.to_numpy() for column in batch.columns] for batch in batches]
    if not columns:
        return [np.empty(0, field.type.to_pandas_dtype()) for field in to_arrow_schema(schema)]
    return [np.concatenate(column) for column in zip(*columns, strict=True)]


def as_lists(rows: NDArray[np.float32], kept: NDArray[np.bool_] | None = None) -> pa.ListArray:
    """Make a column of lists from rows of shape (n, d); null if a row is not kept."""
    kept = np.ones(len(rows), bool) if kept is None else kept
    lengths = np.where(kept, rows.shape[1], 0)
    offsets = pa.array(np.concatenate([[0], np.cumsum(lengths)]).astype(np.int32))
    return pa.ListArray.from_arrays(offsets, pa.array(rows[kept].ravel()), mask=pa.array(~kept))


def matrix_of(lists: pa.ListArray) -> NDArray[np.float32]:
    """Return a column of lists of equal length, without nulls, as rows; shape (0, 0) if it is empty."""
    values: NDArray[np.float32] = lists.flatten().to_numpy()
    return values.reshape(len(lists), -1) if len(lists) else np.empty((0, 0), np.float32)


def in_batches(rows: pa.RecordBatch | pa.Table) -> Iterator[pa.RecordBatch]:
    """Yield rows in pieces that Spark can buffer."""
    table = rows if isinstance(rows, pa.Table) else pa.Table.from_batches([rows])
    yield from table.to_batches(max_chunksize=_BATCH_ROWS)


@contextmanager
def observed_peaks() -> Iterator[list[Observation]]:
    """Collect the observations of all stages that are built inside the block.

    An observation has a result only after an action on its table.
    """
    observations: list[Observation] = []
    token = _observations.set(observations)
    try:
        yield observations
    finally:
        _observations.reset(token)


def _keep_archives_read() -> None:
    """Let the next task of this worker start at once.

    Spark invalidates Python's import caches before every task. A zip importer then reads the directory of its archive
    again, that of pyspark.zip several times: .1 s per task with Python 3.11, more than small tasks take themselves. An
    archive does not change while a worker lives.
    """
    for finder in sys.path_importer_cache.values():
        if isinstance(finder, zipimport.zipimporter):
            setattr(finder, "invalidate_caches", _forget_nothing)  # noqa: B010


def _spare_modules_from_collection() -> None:
    """Exclude imported modules from garbage collection.

    Spark collects garbage after every task. The objects of numba, pyarrow and faiss take .1 s of it, more than most
    small tasks take themselves.
    """
    if len(sys.modules) != _spared_modules.get("count"):
        gc.freeze()
        _spared_modules["count"] = len(sys.modules)


_spared_modules: dict[str, int] = {}


def _forget_nothing() -> None:
    """Stand in for ``zipimporter.invalidate_caches``."""
