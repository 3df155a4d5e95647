"""The needs of a run (engine and memory), read from its config before any engine starts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path

import psutil
import pyarrow as pa

from cdp_spark.base.errors import CdpError, InputError
from cdp_spark.config.input_sections import SourceConfig
from cdp_spark.config.whole import RunConfig, TrainConfig
from cdp_spark.files.data_files import data_files
from cdp_spark.files.folder import Folder
from cdp_spark.files.object_stores import take_given
from cdp_spark.files.paths import check_path

_BOTH_READ = ("parquet", "csv", "json", "text", "avro", "delta", "iceberg", "binaryFile")
"""Formats that Sail reads like Spark."""
_EVER = 0.6e9
_SMALL, _BUFFERS = 30.0, 1.1e9
"""Bytes per number of a small model's vectors, while buffers dominate: 1.9 GB at 200,000 x 256."""
_OF_A_NUMBER, _OF_NEIGHBOURS = 6.0, 7.0
"""Bytes per number of a model's vectors, and per squared number of neighbours of an item. The peaks of 1,000,000 x 256
were 2.7 GB with 14 neighbours and 11.8 with 40, which no later stage without labels exceeds."""
_WITHOUT_LABELS = 40
"""Neighbours per item in a run without labels: equal to ``joint_view.SEARCHED``, repeated to import no kernel."""
_CGROUPS = (
    ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory.current"),
    ("/sys/fs/cgroup/memory/memory.limit_in_bytes", "/sys/fs/cgroup/memory/memory.usage_in_bytes"),
)


def needs_of(config: RunConfig | TrainConfig) -> str | None:
    """Say why a run needs Spark, or return None if Sail is enough.

    >>> from cdp_spark.config.loading import load_config
    >>> needs_of(load_config({"input": {"base": "a.parquet"}, "output": "run"}))
    >>> needs_of(load_config({"input": {"base": {"path": "a", "format": "orc"}}, "output": "run"}))
    'a has the format orc'
    """
    if config.clusters.components == "graphframes":
        return "clusters.components is graphframes"
    if isinstance(config, RunConfig) and config.publish is not None:
        return "publish writes to a table of a catalog"
    beside = [("the labels", config.input.labels), ("the pictures", config.input.images)]
    formats = [(source.model, source) for source in config.input.sources] + beside
    for name, source in formats:
        if isinstance(source, SourceConfig) and source.table is not None:
            return f"{source.table} is a table of a catalog"
        if source is not None and source.format not in _BOTH_READ:
            return f"{name} has the format {source.format}"
    return None


def too_large_for_sail(config: RunConfig | TrainConfig, settings: Mapping[str, str]) -> str | None:
    """Say why a run would not fit into this machine's memory on Sail, or return None if it does.

    Sail holds a stage's rows in this process; Spark spills to disk. Sizes come from the footers of Parquet files;
    tables without footers, or out of Arrow's reach, are assumed to fit.

    Parameters
    ----------
    config : RunConfig or TrainConfig
    settings : mapping of str to str
        Spark settings, for those of S3.
    """
    take_given(settings)
    shapes = [shape for source in config.input.sources if (shape := _shape_of(source, config.input.embedding_column))]
    without_labels = isinstance(config, RunConfig) and config.consensus.without_labels
    needed = needed_bytes(shapes, _WITHOUT_LABELS if without_labels else config.knn.k)
    free = memory_free()
    if needed <= free:
        return None
    return f"the run needs about {needed / 2**30:.0f} GiB on Sail and {free / 2**30:.0f} are free"


def needed_bytes(shapes: Sequence[tuple[int, int]], k: int) -> float:
    """Estimate the peak memory of a run on Sail, in bytes.

    Parameters
    ----------
    shapes : sequence of (int, int)
        Rows and dimension of each model.
    k : int
        Neighbours of an item.

    Notes
    -----
    Models are searched one after another, so the largest counts. Measured by ``benchmarks/scale.py``.
    """
    vectors = max((rows * dimension for rows, dimension in shapes), default=0)
    rows = max((rows for rows, _ in shapes), default=0)
    return _EVER + min(_BUFFERS, _SMALL * vectors) + _OF_A_NUMBER * vectors + _OF_NEIGHBOURS * rows * k**2


def memory_free() -> int:
    """Return the bytes that this process may still take, within the limits of the machine and its container."""
    free = int(psutil.virtual_memory().available)
    for limit, used in _CGROUPS:
        try:
            free = min(free, int(Path(limit).read_text()) - int(Path(used).read_text()))
        except (OSError, ValueError):  # no such file, or "max"
            continue
    return free


def _shape_of(source: SourceConfig, column: str) -> tuple[int, int] | None:
    """Return the rows and the dimension of a model's Parquet files, or None if they are unknown."""
    if source.path is None or source.format != "parquet":
        return None
    listed = data_files(source.path)
    try:
        footers = [footer for footer in listed.footers() if footer.num_rows] if listed is not None else []
    except Exception:  # odd footers fail in many ways; the run reports it
        return None
    if not footers:
        return None
    group = footers[0].row_group(0)
    columns = [group.column(number) for number in range(group.num_columns)]
    values = max((each.num_values for each in columns if each.path_in_schema.split(".")[0] == column), default=0)
    return sum(footer.num_rows for footer in footers), round(values / max(1, group.num_rows))


def remote_text(path: str, settings: Mapping[str, str]) -> str | None:
    """Read a small file of text in an object store or on HDFS, without an engine.

    Parameters
    ----------
    path : str
        URI.
    settings : mapping of str to str
        Spark settings, for those of S3.

    Returns
    -------
    str or None
        None if Arrow cannot reach the path; Spark may.

    Raises
    ------
    InputError
        If the path can be reached and the file does not exist.
    """
    check_path(path)
    folder, _, name = path.rpartition("/")
    take_given(settings)
    try:
        text = Folder(folder).read(name)
    except (CdpError, OSError, pa.ArrowException):
        return None
    except UnicodeDecodeError:
        raise InputError(f"{path}: it is not UTF-8: write it as UTF-8") from None
    if text is None:
        raise InputError(f"{path}: no such file: check the path")
    return text
