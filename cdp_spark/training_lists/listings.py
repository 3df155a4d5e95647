"""Write training data as CSV, lists of `path label` or WebDataset shards, from the tasks.

Each file holds the rows of one partition and is written atomically, under a name that depends only on the data, so that
a repeated task writes the same file again.
"""

from __future__ import annotations

import io
import json
import re
import tarfile
from collections.abc import Iterable, Iterator
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.csv
from numpy.typing import NDArray
from pyarrow import fs
from pyspark.sql import DataFrame
from pyspark.sql.pandas.types import to_arrow_schema
from pyspark.sql.types import DoubleType, LongType, StringType, StructField, StructType

from cdp_spark.files.folder import Folder
from cdp_spark.spark.arrow import map_batches

SUFFIXES = {"csv": "csv", "list": "txt", "webdataset": "tar"}
WRITTEN = StructType(
    [
        StructField("name", StringType()), StructField("source", StringType()), StructField("split", StringType()),
        StructField("items", LongType()), StructField("weight", DoubleType()), StructField("skipped", LongType()),
    ]
)  # fmt: skip
"""A row per file and source: items in it, the sum of their weights, and items whose picture could not be read."""

_SIGNS = {b"\x89PNG": "png", b"\xff\xd8\xff": "jpg", b"GIF8": "gif", b"BM": "bmp", b"RIFF": "webp"}
_DIGITS = 5
_BREAK = re.compile(r"[\r\n]")


def written_files(rows: DataFrame, location: str, form: str) -> DataFrame:
    """Write rows to files, which exist once the result has been read.

    Parameters
    ----------
    rows : DataFrame (split: string, file: long, place: long, source: string, weight: double, ...)
        All rows of a file in one partition; in the file they are ordered by ``place``, then ``id``. A list takes
        ``image`` (a path) and ``label``; shards take ``image`` (bytes or a path) and all other columns as JSON; CSV
        takes every column.
    location : str
        Folder.
    form : {"csv", "list", "webdataset"}

    Returns
    -------
    DataFrame (``WRITTEN``)
    """
    encode = {"csv": _csv, "list": _list, "webdataset": _shard}[form]

    def write(batches: Iterator[pa.RecordBatch]) -> Iterable[pa.RecordBatch]:
        filled = [batch for batch in batches if batch.num_rows]
        if not filled:
            return
        table, folder = pa.Table.from_batches(filled), Folder(location)
        for (split, file), one in _by_file(table):
            data, written = encode(one)
            name = f"{split}-{file:0{_DIGITS}d}.{SUFFIXES[form]}"
            folder.write_bytes(name, data)
            yield _by_source(one, written, name, split)

    return map_batches(rows, write, WRITTEN)


def _by_file(table: pa.Table) -> Iterator[tuple[tuple[str, int], pa.Table]]:
    ordered = table.sort_by(
        [("split", "ascending"), ("file", "ascending"), ("place", "ascending"), ("id", "ascending")]
    )
    splits = ordered.column("split").combine_chunks().dictionary_encode()
    keys = np.stack([splits.indices.to_numpy(), ordered.column("file").to_numpy()])
    starts = np.flatnonzero(np.append(True, (np.diff(keys) != 0).any(axis=0)))
    for start, end in zip(starts.tolist(), [*starts[1:].tolist(), len(ordered)], strict=True):
        key = (splits[start].as_py(), int(keys[1, start]))
        yield key, ordered.slice(start, end - start).drop_columns(["split", "file", "place"])


def _by_source(rows: pa.Table, written: NDArray[np.bool_], name: str, split: str) -> pa.RecordBatch:
    """Count the rows of a file by source."""
    sources = np.asarray(rows.column("source").to_pylist(), object)
    weights = rows.column("weight").to_numpy()
    counts = []
    for source in sorted(set(sources.tolist())):
        own = sources == source
        items = int((own & written).sum())
        weight = float(weights[own & written].sum())
        counts.append({"name": name, "source": source, "split": split, "items": items, "weight": weight,
                      "skipped": int(own.sum()) - items})  # fmt: skip
    return pa.RecordBatch.from_pylist(counts, schema=to_arrow_schema(WRITTEN))


def _csv(rows: pa.Table) -> tuple[bytes, NDArray[np.bool_]]:
    sink = io.BytesIO()
    pyarrow.csv.write_csv(rows, sink)
    return sink.getvalue(), np.ones(rows.num_rows, bool)


def _list(rows: pa.Table) -> tuple[bytes, NDArray[np.bool_]]:
    images = rows.column("image").to_pylist()
    written = np.array([image is not None and not _BREAK.search(image) for image in images], bool)  # a line is an item
    known = rows.filter(pa.array(written))
    pairs = zip(known.column("image").to_pylist(), known.column("label").to_pylist(), strict=True)
    return "".join(f"{path} {label}\n" for path, label in pairs).encode(), written


def _shard(rows: pa.Table) -> tuple[bytes, NDArray[np.bool_]]:
    """Make a tar whose samples are `<key>.<suffix>`, `<key>.cls` and `<key>.json`."""
    sink, written = io.BytesIO(), np.zeros(rows.num_rows, bool)
    with tarfile.open(fileobj=sink, mode="w", format=tarfile.USTAR_FORMAT) as shard:
        for number, row in enumerate(rows.to_pylist()):
            picture = _picture(row.pop("image"))
            if picture is None:
                continue
            written[number] = True
            members = {picture[1]: picture[0], "cls": str(row["label"]).encode(), "json": json.dumps(row).encode()}
            for suffix, data in members.items():
                # Times and owners stay zero, so that the same items give the same bytes.
                entry = tarfile.TarInfo(f"{number:09d}.{suffix}")
                entry.size = len(data)
                shard.addfile(entry, io.BytesIO(data))
    return sink.getvalue(), written


def _picture(image: bytes | str | None) -> tuple[bytes, str] | None:
    """Return a picture's bytes and the suffix of its kind, or None if it cannot be read."""
    if image is None:
        return None
    data = image if isinstance(image, bytes) else _read(image)
    if data is None:
        return None
    known = next((suffix for sign, suffix in _SIGNS.items() if data.startswith(sign)), None)
    named = Path(image).suffix.lstrip(".").lower() if isinstance(image, str) else ""
    return data, known or named or "bin"


def _read(path: str) -> bytes | None:
    try:
        if "://" not in path:
            return Path(path).read_bytes()
        files, inside = fs.FileSystem.from_uri(path)
        with files.open_input_stream(inside) as stream:
            content: bytes = stream.readall()
            return content
    except OSError:
        return None
