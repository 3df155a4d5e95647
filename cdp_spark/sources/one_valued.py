"""Parquet files that Sail would misread: float columns with a single value, and NaN.

Statistics ignore NaN. If the smallest value of a table equals its largest, Sail 0.7 puts it into every row: labels
``[3.0, NaN]`` become ``[3.0, 3.0]``. Arrow reads such files instead.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

import pyarrow as pa
import pyarrow.parquet as pq
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql.types import StructType

from cdp_spark.files.data_files import DataFiles
from cdp_spark.spark.arrow import map_batches


def may_hide_nan(kind: pa.DataType, statistics: Iterable[pq.Statistics | None]) -> bool:
    """Return whether a float column has a single value, by its statistics per row group.

    >>> may_hide_nan(pa.int64(), []), may_hide_nan(pa.float64(), [None])
    (False, False)
    """
    if not pa.types.is_floating(kind):
        return False
    known = [each for each in statistics if each is not None and each.has_min_max]
    return bool(known) and min(each.min for each in known) == max(each.max for each in known)


def read_by_arrow(spark: SparkSession, files: DataFiles, paths: Sequence[str], schema: StructType) -> DataFrame:
    """Read columns of some files without using statistics. Lazy.

    Parameters
    ----------
    spark : SparkSession
        Session on Sail.
    files : DataFiles
    paths : sequence of str
        Paths below the table's folder.
    schema : StructType
        The columns, with the files' names.
    """
    system, root, names = files.system, files.root, schema.names

    def read(batches: Iterator[pa.RecordBatch]) -> Iterator[pa.RecordBatch]:
        for asked in batches:
            for path in asked.column(0).to_pylist():
                with system.open_input_file(f"{root}/{path}") as stream:
                    for batch in pq.ParquetFile(stream).iter_batches(columns=names):
                        yield batch.select(names)

    return map_batches(spark.createDataFrame([(path,) for path in paths], "path string"), read, schema)
