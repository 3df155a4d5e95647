"""Footers that describe a chunk wrongly, at which Arrow would end the process."""

import io

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyarrow import fs

from cdp_spark.files.parquet_footers import opened

TABLE = pa.table({"id": [1, 2, 300], "embedding": [[1.0, 2.0], [3.0, 4.0], [5.0, 6.0]]})


def content() -> tuple[bytearray, int]:
    """A file, and where its footer begins."""
    file = io.BytesIO()
    pq.write_table(TABLE, file)
    data = bytearray(file.getvalue())
    return data, len(data) - 8 - int.from_bytes(data[-8:-4], "little")


def looked_at(data: bytes) -> bool:
    """Look at every chunk, if the file can be opened: without the check, this ends the process in one case of six."""
    try:
        metadata = opened(pa.BufferReader(data), fs.LocalFileSystem()).metadata
    except (pa.ArrowException, OSError):
        return False
    for leaf in map(metadata.row_group(0).column, range(metadata.num_columns)):
        assert leaf.statistics is None or leaf.compression
    return True


@pytest.mark.parametrize("value", [0, 6, 37, 74])
def test_a_damaged_footer_is_an_error_and_never_ends_the_process(value):
    data, start = content()
    taken = 0
    for place in range(start, len(data) - 8):
        hurt = data.copy()
        hurt[place] = value
        taken += looked_at(bytes(hurt))
    assert 0 < taken < len(data) - 8 - start


def test_a_whole_file_is_opened():
    data, _ = content()
    assert looked_at(bytes(data))
    assert opened(pa.BufferReader(bytes(data)), fs.LocalFileSystem()).read().equals(TABLE)
