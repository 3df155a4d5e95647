"""Open Parquet files whose footers may be damaged."""

from __future__ import annotations

from threading import BoundedSemaphore

import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import fs

_PAGE_BYTES, _GROUPS = 1 << 16, 16
_AT_ONCE = BoundedSemaphore(4)
"""Some writers make one page of a whole row group, 100 MB of vectors."""


def opened(stream: pa.NativeFile, system: fs.FileSystem) -> pq.ParquetFile:
    """Open a file, and read a page of each column in its first row groups.

    A footer may describe a chunk wrongly. Arrow ends this process when such a description is looked at, but raises an
    error when the chunk is read. Out of reach of a local disk this would take too long, so that nothing is read there.

    Parameters
    ----------
    stream : pyarrow.NativeFile
    system : pyarrow.fs.FileSystem
        Where the file lies.

    Raises
    ------
    pyarrow.ArrowException, OSError
        If the file cannot be read.
    """
    file = pq.ParquetFile(stream, buffer_size=_PAGE_BYTES)
    if not isinstance(system, fs.LocalFileSystem):
        return file
    with _AT_ONCE:
        for group in range(min(file.num_row_groups, _GROUPS)):
            try:
                next(file.iter_batches(1, row_groups=[group]), None)
            except pa.ArrowNotImplementedError:  # an engine may read what Arrow does not
                break
    return file
