"""Clusters of arrays that are in memory: for notebooks without tables, and beside scikit-learn."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import ArrayLike, NDArray
from pyspark.sql import SparkSession

from cdp_spark.base.errors import InputError
from cdp_spark.commands.cluster import cluster
from cdp_spark.config.shorthand import config_of_tables
from cdp_spark.spark.session import local_session

_FILES = 8


def cluster_arrays(
    base: ArrayLike,
    committee: Sequence[ArrayLike] | Mapping[str, ArrayLike] = (),
    *,
    output: str | None = None,
    spark: SparkSession | None = None,
    **settings: Any,
) -> NDArray[np.int64]:
    """Cluster the rows of arrays.

    Parameters
    ----------
    base : array of numbers, shape (n, d)
        The base model's embeddings, of any length but 0.
    committee : arrays of shape (n, d_m), or mapping of name to array
        The committee's, row by row of the same images.
    output : str, optional
        Folder of the run, with its report. Default: a temporary one that is gone afterwards.
    spark : SparkSession, optional
        Default: the one that runs, else a local one is started.
    **settings
        As for :func:`cdp_spark.cluster`.

    Returns
    -------
    ndarray of int64, shape (n,)
        Cluster of each row, numbered by first appearance; -1: none.

    Raises
    ------
    InputError
        If an array is not of that shape, or arrays differ in rows.
    CdpError
        As :func:`cdp_spark.cluster`.
    """
    members = committee if isinstance(committee, Mapping) else {f"member{i}": rows for i, rows in enumerate(committee)}
    arrays = {name: _checked(name, rows) for name, rows in {"base": base, **members}.items()}
    counts = {name: len(rows) for name, rows in arrays.items()}
    if len(set(counts.values())) > 1:
        raise InputError(f"arrays differ in rows ({', '.join(f'{n}: {c:,}' for n, c in counts.items())}): align them")
    with tempfile.TemporaryDirectory(prefix="cdp-spark-") as folder:
        sources = [{"name": name, "path": _written(Path(folder), name, rows)} for name, rows in arrays.items()]
        settings["input"] = {**settings.get("input", {}), "base": sources[0], "committee": sources[1:]}
        config = config_of_tables(list(arrays), f"{folder}/run" if output is None else output, settings)
        found = cluster(config, spark=spark or local_session()).clusters.select("id", "cluster").toArrow()
        # Read before the folder goes.
        return np.asarray(found.sort_by("id").column("cluster").to_numpy(), np.int64)


def _checked(name: str, rows: ArrayLike) -> NDArray[np.float32]:
    array = np.asarray(rows)
    if array.ndim != 2 or not array.size or not np.issubdtype(array.dtype, np.number):
        raise InputError(f"{name} is {array.dtype} of shape {array.shape}: it must be numbers of shape (items, length)")
    return np.ascontiguousarray(array, np.float32)


def _written(folder: Path, name: str, rows: NDArray[np.float32]) -> str:
    """Write rows as files of (id, embedding): what is handed to Spark as rows goes through JSON or one batch."""
    (folder / name).mkdir()
    for number, part in enumerate(np.array_split(np.arange(len(rows)), _FILES)):
        if len(part):
            lists = pa.FixedSizeListArray.from_arrays(pa.array(rows[part].ravel()), rows.shape[1])
            table = pa.table({"id": part, "embedding": lists.cast(pa.list_(pa.float32()))})
            pq.write_table(table, folder / name / f"part-{number}.parquet", compression="none")
    return str(folder / name)
