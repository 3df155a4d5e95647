"""Open the user's tables, refuse with one line what Spark cannot read, and fingerprint what was read."""

from __future__ import annotations

import os
import re
from collections.abc import Callable
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from pyspark.errors import PySparkException
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from cdp_spark.base.errors import CdpError, DamagedStageError, InputError
from cdp_spark.config.sections import ImagesConfig, LabelsConfig, SourceConfig, fingerprint
from cdp_spark.files.data_files import data_files
from cdp_spark.files.folder import Folder, check_path
from cdp_spark.spark.differences import is_sail

_PARQUET_MAGIC = b"PAR1"


def open_source(spark: SparkSession, source: SourceConfig | LabelsConfig | ImagesConfig, where: str) -> DataFrame:
    """Open one table.

    Parameters
    ----------
    spark : SparkSession
    source : SourceConfig, LabelsConfig or ImagesConfig
    where : str
        How messages name it, such as ``model v3``.

    Raises
    ------
    InputError
        If it is missing, empty, damaged, or not what its format says.
    """
    table = getattr(source, "table", None)
    if table is not None:
        return _refused_in_one_line(spark, lambda: spark.table(table), f"{where}: table {table}")
    path = str(source.path)
    check_path(path)
    reader = spark.read.format(source.format)
    if source.format == "parquet":
        _check_no_log(path, where)
        _check_local_parquet(path, where)
        reader = reader.option("parquet.page.verify-checksum.enabled", "true")
    opened = _refused_in_one_line(spark, lambda: reader.load(path), f"{where}: {path}")
    if not opened.columns:  # Sail's answer where nothing is
        raise InputError(f"{where}: {path} does not exist or holds no {source.format} file: check the path")
    return opened


def text_of(spark: SparkSession, path: str) -> str:
    """Read a small file of text where Spark can: its file systems, with the credentials of its settings.

    Raises
    ------
    InputError
        If it is not there, or Spark knows no such place.
    """
    check_path(path)
    try:
        rows = spark.read.text(path, wholetext=True).collect()
    except Exception as error:  # also what Hadoop raises where a file system's jar or its credentials are missing
        raise InputError(f"{path}: Spark cannot read it: {str(error).strip().splitlines()[0]}") from None
    if len(rows) != 1:
        raise InputError(f"{path}: {len(rows)} files there, but one is needed: name the file")
    return str(rows[0]["value"])


def source_fingerprint(
    spark: SparkSession, source: SourceConfig | LabelsConfig | ImagesConfig, table: DataFrame
) -> str:
    """Fingerprint what a source holds now: its files by path, length and time; a table by its content."""
    path = getattr(source, "path", None)
    if path is None or source.format != "parquet":
        return dataframe_fingerprint(table)
    if (local := _local(path)) is not None:
        files = [(str(file), file.stat().st_size, file.stat().st_mtime_ns) for file in _data_files(local)]
    elif (found := data_files(path)) is not None:  # engines list the same files by other names
        files = [(f"{found.location}/{info.path}", info.length, info.modified // 1000) for info in found.files]
    else:
        listed = spark.read.format("binaryFile").option("recursiveFileLookup", "true").load(path)
        rows = listed.select("path", "length", F.unix_micros("modificationTime").alias("time")).collect()
        files = [(row["path"], row["length"], row["time"]) for row in rows]
    return fingerprint([list(file) for file in sorted(files)])


def dataframe_fingerprint(table: DataFrame) -> str:
    """Fingerprint a table's content, whatever the order of its rows (one pass)."""
    hashed = table.select(F.xxhash64(*table.columns).cast("decimal(38,0)").alias("hash"))
    row = hashed.agg(F.count("*").alias("rows"), F.sum("hash").alias("sum")).collect()[0]
    return fingerprint(table.schema.jsonValue(), row["rows"], str(row["sum"]))


def check_apart(output: str, inputs: list[str]) -> None:
    """Refuse an output that is, holds or lies in an input.

    Raises
    ------
    InputError
    """
    for path in inputs:
        a, b = _comparable(output), _comparable(path)
        if a == b or a.startswith(b + "/") or b.startswith(a + "/"):
            raise InputError(f"output {output} and input {path} overlap: choose an output elsewhere")


def translated(error: BaseException) -> CdpError | None:
    """Return our own line for an error of Spark's about the user's files, or None."""
    text = str(error)
    for sign, why in (
        ("could not verify page integrity", "a page's checksum does not match its content"),
        ("CRC checksum verification failed", "a page's checksum does not match its content"),
        ("is not a Parquet file", "it is no Parquet file"),
        ("FAILED_READ_FILE", "it cannot be read; it may be truncated or damaged"),
        ("PATH_NOT_FOUND", "it is not there"),
        ("Object at location", "it is not there"),  # as Sail says it
        ("Corrupt footer", "it is truncated or damaged"),
    ):
        if sign in text:
            name = _file_in(text)
            if stage := re.search(r"(.*/stages/.+-[0-9a-f]{16})(/|$)", name):
                return DamagedStageError(f"stage {stage.group(1)}: {why}: remove that folder and run again")
            return InputError(f"{name}: {why}: write it again or leave it out")
    return None


def _file_in(text: str) -> str:
    """Return the file that an engine's error names; Sail does not always name one."""
    if missing := re.search(r"Object at location (.+?) not found", text):
        return missing.group(1)
    start = text.find("file:")
    return text[start:].split()[0].rstrip(".,)]") if start >= 0 else "an input file"


def _refused_in_one_line(spark: SparkSession, load: Callable[[], DataFrame], where: str) -> DataFrame:
    try:
        table = load()
        table.schema  # noqa: B018 - on Connect only this asks the server
        return table
    except PySparkException as error:
        first = str(error).strip().splitlines()[0]
        raise InputError(f"{where}: {'Sail' if is_sail(spark) else 'Spark'} cannot read it: {first}") from None


def _check_no_log(path: str, where: str) -> None:
    """Refuse files that a table's log lists: read without it, rows that were removed would be back."""
    try:
        folder = Folder(path)
        names = folder.names()
        metadata = folder.files("metadata", recursive=False) if "metadata" in names else []
    except (CdpError, OSError):  # one file, or where Arrow may not look: the engine says what is wrong
        return
    if "_delta_log" in names:
        raise InputError(f"{where}: {path} is a Delta table: set format: delta for it")
    if any(info.path.endswith(".metadata.json") for info in metadata):
        raise InputError(f"{where}: {path} is an Iceberg table: set format: iceberg for it")


def _local(path: str) -> Path | None:
    if "://" in path and not path.startswith("file://"):
        return None
    return Path(path.removeprefix("file://").removeprefix("file:"))


def _comparable(path: str) -> str:
    local = _local(path)
    return os.path.realpath(local) if local is not None else path.rstrip("/")


def _data_files(path: Path) -> list[Path]:
    if path.is_file():
        return [path]
    return sorted(
        file
        for file in path.rglob("*")
        if file.is_file() and not any(step.startswith(("_", ".")) for step in file.relative_to(path).parts)
    )


def _check_local_parquet(path: str, where: str) -> None:
    """Look at every footer first: Spark would name no file, or fail halfway through the run."""
    local = _local(path)
    if local is None:
        return
    if not local.exists():
        raise InputError(f"{where}: {path} does not exist: check the path")
    files = _data_files(local)
    if not files:
        raise InputError(f"{where}: {path} holds no Parquet file: check the path")
    schemas: dict[str, list[str]] = {}
    for file in files:
        schema = _footer(file, where)
        kinds = ", ".join(f"{field.name}: {field.type}" for field in schema)
        schemas.setdefault(kinds, []).append(file.name)
        lower = [name.lower() for name in schema.names]
        if len(set(lower)) < len(lower):
            alike = ", ".join(name for name in schema.names if lower.count(name.lower()) > 1)
            raise InputError(f"{where}: {file}: columns {alike} differ only in case: rename one")
        halves = [field.name for field in schema if pa.types.is_float16(getattr(field.type, "value_type", field.type))]
        if halves:
            raise InputError(
                f"{where}: {file}: column {halves[0]} is float16, which Spark cannot read: "
                "cast it to float32, or store the bytes and set encoding: float16"
            )
    if len(schemas) > 1:
        listed = " | ".join(f"{names[0]} and {len(names) - 1} more: {kinds}" for kinds, names in schemas.items())
        raise InputError(f"{where}: {path} holds files with different schemas: {listed}")


def _footer(file: Path, where: str) -> pa.Schema:
    size = file.stat().st_size
    if size == 0:
        raise InputError(f"{where}: {file} is empty (0 bytes): write it again or leave it out")
    with file.open("rb") as stream:
        if stream.read(4) != _PARQUET_MAGIC:
            raise InputError(f"{where}: {file} is no Parquet file (a CSV, perhaps): convert it, or set its format")
    try:
        return pq.read_schema(file)
    except Exception as error:  # Arrow's own, the system's, and what odd footers lead to
        first = (str(error).splitlines() or [type(error).__name__])[0]
        raise InputError(f"{where}: {file} is truncated or damaged ({first}): write it again or leave it out") from None
