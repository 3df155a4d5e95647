"""Cluster arrays in memory, for notebooks without tables and for use with scikit-learn."""

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

from cdp_spark.base.errors import ConfigError, InputError
from cdp_spark.commands.cluster import cluster
from cdp_spark.config.shorthand import config_of_tables
from cdp_spark.spark.session import local_session

_FILES = 8


def cluster_arrays(
    base: ArrayLike,
    committee: Sequence[ArrayLike] | Mapping[str, ArrayLike] | None = (),
    *,
    output: str | None = None,
    spark: SparkSession | None = None,
    **settings: Any,
) -> NDArray[np.int64]:
    """Cluster the rows of arrays.

    Parameters
    ----------
    base : array of numbers, shape (n, d)
        The base model's embeddings, of any length but 0. Rows go by their place; tables of pandas must have one index.
    committee : arrays of shape (n, d_m), or mapping of name to array
        Embeddings of the committee, with the same images in the same rows.
    output : str, optional
        Folder of the run, with its report. Default: a temporary folder, removed afterwards.
    spark : SparkSession, optional
        Default: the running session, or a new local one.
    **settings
        As for :func:`cdp_spark.cluster`.

    Returns
    -------
    ndarray of int64, shape (n,)
        Cluster of each row of the input, in its order, numbered by first appearance. -1: the row has no cluster, or
        was set aside, such as a row of zeros (at most ``max_bad_fraction`` of the rows; ``quarantine/`` says why).

    Raises
    ------
    InputError
        If an array is not of that shape or not of real numbers, arrays differ in rows, or a name cannot be used.
    CdpError
        As :func:`cdp_spark.cluster`.
    """
    given = _named(base, committee)
    _check_indexes(given)
    arrays = {name: _checked(name, rows) for name, rows in given.items()}
    counts = {name: len(rows) for name, rows in arrays.items()}
    if len(set(counts.values())) > 1:
        raise InputError(f"arrays differ in rows ({', '.join(f'{n}: {c:,}' for n, c in counts.items())}): align them")
    with tempfile.TemporaryDirectory(prefix="cdp-spark-") as folder:
        # Folders are numbered, since a name may be too long for a file system.
        sources = [
            {"name": name, "path": _written(Path(folder, f"model-{number}"), rows)}
            for number, (name, rows) in enumerate(arrays.items())
        ]
        settings["input"] = {**_input(settings), "base": sources[0], "committee": sources[1:]}
        config = config_of_tables(list(arrays), f"{folder}/run" if output is None else output, settings)
        clusters = cluster(config, spark=spark or local_session()).clusters.select("id", "cluster").toArrow()
        # Read before the folder is removed.
        labels = np.full(counts["base"], -1, np.int64)
        labels[clusters.column("id").to_numpy()] = clusters.column("cluster").to_numpy()
        return labels


def _input(settings: Mapping[str, Any]) -> Mapping[str, Any]:
    """Return the keys of ``input`` that are not the models."""
    given = settings.get("input", {})
    if not isinstance(given, Mapping) or {"base", "committee"} & set(given):
        raise ConfigError("input: the arrays are the models; give other keys alone, such as {'max_bad_fraction': 0.01}")
    return given


def _check_indexes(given: Mapping[str, Any]) -> None:
    """Refuse tables of pandas whose rows stand for other items, or for the same in another order."""
    indexed = {name: rows.index for name, rows in given.items() if hasattr(rows, "iloc")}
    first = next(iter(indexed), "")
    for name, index in indexed.items():
        if len(index) == len(indexed[first]) and not index.equals(indexed[first]):
            raise InputError(
                f"{first} and {name} have different indexes, but rows go by their place: align them, "
                f"{name}.loc[{first}.index], or give {name}.to_numpy() where they are aligned"
            )


def _named(base: ArrayLike, committee: Sequence[ArrayLike] | Mapping[str, ArrayLike] | None) -> dict[str, ArrayLike]:
    committee = () if committee is None else committee
    if getattr(committee, "ndim", 0) == 2:
        raise InputError("committee is one array: put it into a list, or into a mapping with its model's name")
    members = committee if isinstance(committee, Mapping) else {f"member{i}": rows for i, rows in enumerate(committee)}
    for name in members:
        if not isinstance(name, str) or not name.strip() or not name.isprintable() or set(name) & set("/\\"):
            raise InputError(f"committee: {name!r} cannot name a model: use letters and digits, without slashes")
        if name == "base":
            raise InputError("committee: a member is named base, as the base model itself: give it another name")
    return {"base": base, **members}


def _checked(name: str, rows: ArrayLike) -> NDArray[Any]:
    """Return an array as float32 if that can hold its numbers, else as float64, with each row scaled to about 1."""
    try:
        array = np.ma.filled(rows.astype(float), np.nan) if isinstance(rows, np.ma.MaskedArray) else np.asarray(rows)
    except (ValueError, TypeError, RuntimeError) as error:  # rows of different lengths, or a tensor of another device
        first = (str(error).splitlines() or [type(error).__name__])[0]
        raise InputError(f"{name} is not an array of shape (items, length): {first}") from None
    if array.ndim != 2 or not array.size or array.dtype.kind not in "iuf":
        raise InputError(
            f"{name} is {array.dtype} of shape {array.shape}: it must be real numbers of shape (items, length)"
            f"{_recipe(rows, array)}"
        )
    is_small = array.dtype in (np.float16, np.float32)
    floats = array if np.issubdtype(array.dtype, np.floating) else array.astype(np.float64)
    return np.ascontiguousarray(_scaled(floats), np.float32 if is_small else np.float64)


def _recipe(rows: Any, array: NDArray[Any]) -> str:
    """Say how to get such an array, where that can be known."""
    if hasattr(rows, "toarray"):
        return ": give rows.toarray()"
    if array.ndim == 1 and array.size and np.ndim(array[0]) == 1:
        return ": give numpy.stack(rows)"
    if array.ndim == 3 and 1 in array.shape[1:]:
        return ": give rows.reshape(len(rows), -1)"
    return ": give numpy.asarray(rows, 'float32')" if array.ndim == 2 and array.size and array.dtype == object else ""


def _scaled(rows: NDArray[Any]) -> NDArray[Any]:
    """Divide each row by a power of two, which is exact, so that its largest number is about 1."""
    largest = np.abs(rows).max(axis=1)
    exponents = np.frexp(np.where(np.isfinite(largest), largest, 1))[1]
    scaled: NDArray[Any] = np.ldexp(rows, -exponents[:, None])
    return scaled


def _written(folder: Path, rows: NDArray[Any]) -> str:
    """Write rows as files of (id, embedding), since rows passed to Spark directly go through JSON or one batch."""
    folder.mkdir()
    for number, rows_of_file in enumerate(np.array_split(np.arange(len(rows)), _FILES)):
        if len(rows_of_file):
            values = pa.array(rows[rows_of_file].ravel())
            lists = pa.FixedSizeListArray.from_arrays(values, rows.shape[1])
            table = pa.table({"id": rows_of_file, "embedding": lists.cast(pa.list_(values.type))})
            pq.write_table(table, folder / f"part-{number}.parquet", compression="none")
    return str(folder)
