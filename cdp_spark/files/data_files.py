"""The files of a user's table, listed without an engine: by Arrow, on this machine and in object stores."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import fs

from cdp_spark.base.errors import CdpError
from cdp_spark.files.folder import FileInfo, Folder


@dataclass(frozen=True)
class DataFiles:
    """The files of one table.

    Attributes
    ----------
    system : pyarrow.fs.FileSystem
    root : str
        Folder of the table within it, or of its one file.
    location : str
        The same as the user wrote it.
    files : tuple of FileInfo
        Sorted; names that begin with ``_`` or a dot are left out, as engines leave them out.
    """

    system: fs.FileSystem
    root: str
    location: str
    files: tuple[FileInfo, ...]

    def footers(self) -> Iterator[pq.FileMetaData]:
        """Read what Parquet files say of themselves, one after the other."""
        for info in self.files:
            with self.system.open_input_file(f"{self.root}/{info.path}") as file:
                yield pq.read_metadata(file)


def data_files(path: str) -> DataFiles | None:
    """List the files of a table; None where Arrow does not know the place or may not enter it.

    Parameters
    ----------
    path : str
        A file or a folder: a local path or a URI.
    """
    try:
        folder = Folder(path)
        files = [info for info in folder.files() if not _hidden(info.path)]
        if not files:
            above, _, name = folder.location.rpartition("/")
            folder = Folder(above or "/")
            files = [info for info in folder.files(recursive=False) if info.path == name]
    except (CdpError, OSError, pa.ArrowException):
        return None
    return DataFiles(folder.system, folder.root, folder.location, tuple(files))


def _hidden(path: str) -> bool:
    return any(step.startswith(("_", ".")) for step in path.split("/"))
