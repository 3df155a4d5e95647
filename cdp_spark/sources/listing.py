"""Check a list of files before an engine reads it: all files can be read, and all will be."""

from __future__ import annotations

import os
from collections.abc import Sequence
from fnmatch import fnmatchcase

from cdp_spark.base.errors import InputError, listed
from cdp_spark.files.data_files import DataFiles, is_hidden
from cdp_spark.files.paths import is_local, local_path, shown

_PATTERN = set("[]{}*?\\")
_SHOWN = 3
_LOGS = {
    "_delta_log": "is a Delta table: set format: delta for it",
    ".hoodie": "is a Hudi table: write its rows as Parquet, or give its name as table:",
}
"""Folders with a log of the valid files; without it, an engine would read removed rows."""
ENDINGS = {
    "csv": (".csv", ".tsv", ".csv.gz", ".txt"), "json": (".json", ".jsonl", ".ndjson", ".json.gz"),
    "text": (".txt", ".text"), "avro": (".avro",), "orc": (".orc",),
}  # fmt: skip
"""Formats other than Parquet that are files in folders, and the names of these files."""


def check_listing(files: DataFiles, where: str, *, on_spark: bool) -> None:
    """Refuse a missing path, a table with a log, dangling links, and names that engines cannot read.

    Parameters
    ----------
    files : DataFiles
    where : str
        How messages name the table.
    on_spark : bool
        Whether Spark will read them: it cannot name all files that Sail can.

    Raises
    ------
    InputError
    """
    table = shown(files.location)
    if len(files.files) == 1 and not files.flat:
        table = shown(f"{files.location}/{files.files[0].path}")
    elif not files.files and is_local(files.location) and not os.path.exists(local_path(files.location)):
        raise InputError(f"{where}: {table} does not exist: check the path")
    for log in _LOGS.keys() & files.folders:
        raise InputError(f"{where}: {table} {_LOGS[log]}")
    if any(fnmatchcase(f"/{info.path}", "*/metadata/*.metadata.json") for info in files.files):
        raise InputError(f"{where}: {table} is an Iceberg table: set format: iceberg for it")
    if files.dangling:
        raise InputError(
            f"{where}: {table} holds links that lead to no file: {listed(files.dangling, _SHOWN)}: remove them"
        )
    odd = [info.path for info in files.files if _is_unnameable(info.path, flat=files.flat, on_spark=on_spark)]
    if odd:
        raise InputError(
            f"{where}: {table}: names with signs that an engine cannot read ([ ] {{ }} * ? : \\, line breaks): "
            f"{listed(odd, _SHOWN)}: rename them"
        )


def _is_unnameable(path: str, *, flat: bool, on_spark: bool) -> bool:
    name = path.rpartition("/")[2]
    if not flat and _PATTERN & set(path):
        return True
    try:
        path.encode()
    except UnicodeEncodeError:
        return True
    return not path.isprintable() or (on_spark and ":" in name)


def check_none_lost(files: DataFiles, lost: Sequence[str], where: str, kind: str = "Parquet") -> None:
    """Refuse a table without files, or whose files engines would partly skip.

    Parameters
    ----------
    files : DataFiles
    lost : sequence of str
        Hidden files that hold rows.
    where, kind : str
        How messages name the table and its format.

    Raises
    ------
    InputError
    """
    location = shown(files.location)
    if lost := sorted([*(info.path for info in files.files if is_hidden(info.path)), *lost]):
        raise InputError(
            f"{where}: {location} holds {kind} files that engines leave out, as a name begins with _ or a dot: "
            f"{listed(lost, _SHOWN)}: rename them, or move them elsewhere"
        )
    if not files.files:
        lack = f"holds no {kind} file" if is_local(files.location) else "does not exist or holds no parquet file"
        raise InputError(f"{where}: {location} {lack}: check the path")


def paths_of(files: DataFiles, source_format: str, where: str, *, on_spark: bool) -> list[str]:
    """Return the paths from which an engine reads all files of a format other than Parquet.

    Raises
    ------
    InputError
        As :func:`check_listing` and :func:`check_none_lost`.
    """
    check_listing(files, where, on_spark=on_spark)
    hidden = [info.path for info in files.hidden if info.path.lower().endswith(ENDINGS[source_format])]
    check_none_lost(files, hidden, where, source_format)
    return [files.location] if files.flat else [f"{files.location}/{info.path}" for info in files.files]
