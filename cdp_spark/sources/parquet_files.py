"""Inspect the Parquet files of a table before an engine reads them: whether they can be read, and their schemas.

Engines do not name a bad file, or fail halfway through a run, and they skip files silently.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from decimal import Decimal
from urllib.parse import unquote

import pyarrow as pa
import pyarrow.parquet as pq

from cdp_spark.base.errors import InputError
from cdp_spark.files.data_files import DataFiles
from cdp_spark.files.folder import FileInfo
from cdp_spark.files.parquet_footers import opened
from cdp_spark.files.paths import shown
from cdp_spark.sources.listing import check_listing, check_none_lost
from cdp_spark.sources.one_valued import may_hide_nan

_MAGICS = (b"PAR1", b"PARE")
_JOINT = b"PAR1PAR1"
"""The end of one file and the start of the next."""
_JOINED = (
    "holds several Parquet files, one after another, of which readers see the last: give the files themselves, in one "
    "folder"
)
_MOST_SPARE = 2**26
_AT_A_TIME = 16
NO_VALUE = "__HIVE_DEFAULT_PARTITION__"
"""Stands for null in the name of a folder."""
_WRITE = "write it as Parquet"
_OTHER_FORMATS = (
    (b"\x93NUMPY", f"is a NumPy file: {_WRITE}, or give numpy.load(...) to cdp_spark.cluster_arrays"),
    (b"\x89HDF", f"is an HDF5 file: {_WRITE}"),
    (b"\x80", f"is a pickle: {_WRITE}"),
    (b"Obj\x01", "is an Avro file: set format: avro for it"),
    (b"SQLite format 3", f"is an SQLite database: {_WRITE}"),
    (b"version https://git-lfs", "is a pointer of Git LFS: fetch the file itself, git lfs pull"),
    (b"\x1f\x8b", "is compressed as a whole: unpack it"),
    (b"PK\x03\x04", f"is a ZIP archive (or of NumPy or torch): unpack it, or {_WRITE}"),
    (b"ORC", "is an ORC file: set format: orc for it"),
    (b"ARROW1", "is an Arrow file: write it as Parquet"),
)
_UNREAD_BY_SPARK = {"BROTLI", "LZO", "BYTE_STREAM_SPLIT"}
"""Codecs and encodings that Spark does not include, or that its reader does not support."""


@dataclass(frozen=True)
class ParquetFile:
    """One file, according to its footer.

    Attributes
    ----------
    path : str
        Path below the table's folder.
    rows : int
    schema : pa.Schema
    names : dict of str to str
        The file's own name of each asked column.
    partition : dict of str to (str or None)
        Values of asked columns that come from names of folders instead of the file.
    limits : dict of str to (int, int) or None
        Smallest and largest value of an asked column of numbers of 64 bits or more, rounded towards 0; None if the
        footer does not say.
    unread : tuple of str
        Codecs and encodings for which Spark cannot read the asked columns.
    may_hide_nan : bool
        Whether an asked column is one that Sail would misread, see ``one_valued``.
    """

    path: str
    rows: int
    schema: pa.Schema
    names: Mapping[str, str]
    partition: Mapping[str, str | None]
    limits: Mapping[str, tuple[int, int] | None]
    unread: tuple[str, ...]
    may_hide_nan: bool = False

    def kind(self, column: str) -> pa.DataType:
        """Return the type of an asked column; text if it comes from a folder's name."""
        return self.schema.field(self.names[column]).type if column in self.names else pa.string()


def parquet_files(files: DataFiles, columns: Sequence[str], where: str, *, on_spark: bool) -> list[ParquetFile]:
    """Read all footers.

    Parameters
    ----------
    files : DataFiles
    columns : sequence of str
        Columns that will be read.
    where : str
        How messages name the table.
    on_spark : bool
        Whether Spark will read them: it cannot name all files that Sail can.

    Returns
    -------
    list of ParquetFile
        One for each file, in order.

    Raises
    ------
    InputError
        If a file cannot be read, or would be skipped.
    """
    check_listing(files, where, on_spark=on_spark)

    def read(info: FileInfo) -> ParquetFile:
        return _looked_at(files, info, columns, where)

    with ThreadPoolExecutor(_AT_A_TIME) as pool:
        footers = list(pool.map(read, files.files))
        check_none_lost(files, _hidden_with_rows(files, pool.map), where)
    return footers


def _hidden_with_rows(files: DataFiles, each: Callable[..., Iterable[int]]) -> list[str]:
    rows = each(lambda info: _rows_of_hidden(files, info), files.hidden)
    return [info.path for info, number in zip(files.hidden, rows, strict=True) if number]


def _rows_of_hidden(files: DataFiles, info: FileInfo) -> int:
    path = f"{files.root}/{info.path}"
    with files.system.open_input_file(path) as stream:
        if stream.read(4) not in _MAGICS:
            return 0
    try:
        with files.system.open_input_file(path) as stream:
            return int(pq.read_metadata(stream).num_rows)
    except Exception:  # as above
        return 1  # incomplete: another process may be writing it


def _looked_at(files: DataFiles, info: FileInfo, columns: Sequence[str], where: str) -> ParquetFile:
    file = shown(f"{files.location}/{info.path}")
    metadata, schema = _footer(files, info, f"{where}: {file}")
    names, partition = {}, {}
    for column in columns:
        same = [name for name in schema.names if name.lower() == column.lower()]
        if len(same) > 1:
            raise InputError(f"{where}: {file}: columns {', '.join(same)} differ only in case: rename one")
        if same:
            names[column] = same[0]
        elif (value := folder_value(info.path, column)) is not None:
            partition[column] = None if value == NO_VALUE else value
    limits = {column: _limits(metadata, name) for column, name in names.items() if _may_not_fit(schema.field(name))}
    hides = any(may_hide_nan(schema.field(name).type, _statistics(metadata, name)) for name in names.values())
    unread = _unread(metadata, list(names.values()))
    return ParquetFile(info.path, metadata.num_rows, schema, names, partition, limits, unread, hides)


def _footer(files: DataFiles, info: FileInfo, file: str) -> tuple[pq.FileMetaData, pa.Schema]:
    if info.length == 0:
        raise InputError(f"{file} is empty (0 bytes): write it again or leave it out")
    try:
        with files.system.open_input_file(f"{files.root}/{info.path}") as stream:
            head = stream.read(32)
            if head[:4] not in _MAGICS:
                raise InputError(f"{file} {_other_format(head, info.path)}")
            if head[:4] == b"PARE":
                raise InputError(f"{file} is encrypted: write it without encryption")
            try:
                file_read = opened(stream, files.system)
            except Exception:
                if _holds_joint(stream, info.length):
                    raise InputError(f"{file} {_JOINED}") from None
                raise
            if _is_joined(stream, file_read.metadata, info.length):
                raise InputError(f"{file} {_JOINED}")
            return file_read.metadata, _with_uuids(file_read.metadata, file_read.schema_arrow)
    except PermissionError:
        raise InputError(f"{file} may not be read: give this user the right to, or move it elsewhere") from None
    except InputError:
        raise
    except Exception as error:  # errors of Arrow, of the system, and from odd footers
        first = (str(error).splitlines() or [type(error).__name__])[0]
        raise InputError(f"{file} is truncated or damaged ({first}): write it again or leave it out") from None


def _is_joined(stream: pa.NativeFile, metadata: pq.FileMetaData, length: int) -> bool:
    """Return whether files were joined into one, as by ``cat`` or ``hadoop fs -getmerge``.

    The last footer then counts from the last file's start, so that bytes are left over before it.
    """
    last = metadata.row_group(metadata.num_row_groups - 1) if metadata.num_row_groups else None
    leaves = [last.column(number) for number in range(last.num_columns)] if last is not None else []
    starts = [leaf.dictionary_page_offset or leaf.data_page_offset for leaf in leaves]
    end = max((start + leaf.total_compressed_size for start, leaf in zip(starts, leaves, strict=True)), default=4)
    spare = length - metadata.serialized_size - 8 - end  # of one file: its indexes and Bloom filters
    if spare <= len(_JOINT):
        return False
    return _holds_joint(stream, spare + len(_JOINT))


def _holds_joint(stream: pa.NativeFile, length: int) -> bool:
    stream.seek(0)
    return _JOINT in stream.read(min(length, _MOST_SPARE))


def _with_uuids(metadata: pq.FileMetaData, schema: pa.Schema) -> pa.Schema:
    """Mark bytes that are UUIDs: Arrow does so only in files that it wrote."""
    for leaf in map(metadata.schema.column, range(metadata.num_columns)):
        if leaf.logical_type.type == "UUID" and leaf.path in schema.names:
            schema = schema.set(schema.get_field_index(leaf.path), pa.field(leaf.path, pa.uuid()))
    return schema


def _other_format(head: bytes, path: str) -> str:
    for magic, what in _OTHER_FORMATS:
        if head.startswith(magic):
            return what
    name = path.rpartition("/")[2]
    stem, dot, ending = name.rpartition(".")
    if ending.lower() in ("jsonl", "ndjson", "json"):
        return "is not a Parquet file: write it as Parquet, or in a config set format: json for it"
    if ending.lower() in ("csv", "tsv"):
        return f"is not a Parquet file: write it as Parquet, pandas.read_csv('{name}').to_parquet('{stem}.parquet')"
    if ending.lower() in ("parquet", "parq", "pq") or not dot:
        return "is not a Parquet file (a CSV, perhaps): write it as Parquet, or leave it out"
    return "is not a Parquet file: move it elsewhere, or give the path of the Parquet files alone"


def folder_value(path: str, column: str) -> str | None:
    """Return a column's value from the name of a folder such as ``label=Ann``, as text: ``0007`` stays.

    >>> folder_value("day=1/id=a%20b/e.parquet", "ID"), folder_value("e.parquet", "id")
    ('a b', None)
    """
    for step in reversed(path.split("/")[:-1]):
        key, sign, value = step.partition("=")
        if sign and key.lower() == column.lower():
            return unquote(value)
    return None


def _leaves(metadata: pq.FileMetaData, names: Sequence[str], groups: int) -> Iterable[pq.ColumnChunkMetaData]:
    """Yield the leaves of some columns in the first row groups."""
    numbers = [
        number
        for number in range(metadata.num_columns)
        if any(f"{metadata.schema.column(number).path}.".startswith(f"{name}.") for name in names)
    ]
    for group in map(metadata.row_group, range(min(groups, metadata.num_row_groups))):
        yield from map(group.column, numbers)


def _may_not_fit(field: pa.Field) -> bool:
    kind = getattr(field.type, "value_type", field.type)
    return bool(pa.types.is_int64(kind) or pa.types.is_uint64(kind) or pa.types.is_decimal(kind))


def _limits(metadata: pq.FileMetaData, name: str) -> tuple[int, int] | None:
    smallest, largest = 0, 0
    for statistics in _statistics(metadata, name):
        if statistics is None or not statistics.has_min_max or not isinstance(statistics.max, (int, Decimal)):
            return None
        smallest, largest = min(smallest, int(statistics.min)), max(largest, int(statistics.max))
    return smallest, largest


def _statistics(metadata: pq.FileMetaData, name: str) -> list[pq.Statistics | None]:
    return [leaf.statistics for leaf in _leaves(metadata, [name], metadata.num_row_groups)]


def _unread(metadata: pq.FileMetaData, names: Sequence[str]) -> tuple[str, ...]:
    used = {word for leaf in _leaves(metadata, names, 1) for word in (leaf.compression, *leaf.encodings)}
    return tuple(sorted(used & _UNREAD_BY_SPARK))
