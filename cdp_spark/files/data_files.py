"""The files of a user's table: one list that is inspected, counted, fingerprinted and read.

Engines silently skip files in plain subfolders, or with names that begin with ``_`` or a dot. Such files are listed
separately, so that they can be refused.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass, replace
from fnmatch import fnmatchcase
from stat import S_ISDIR, S_ISREG

import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import fs

from cdp_spark.base.errors import CdpError, InputError
from cdp_spark.files.folder import FileInfo, Folder
from cdp_spark.files.leftovers import is_browsers
from cdp_spark.files.parquet_footers import opened
from cdp_spark.files.paths import absolute, is_local, local_path

_LEFTOVERS = (".nfs*", ".fuse_hidden*", "*.crc", "_metadata", "_common_metadata")
"""Files without data: removed ones that are still open, checksums, summaries of other files."""
_REPOSITORIES = (".git", ".dvc", ".zfs")
"""Folders with older or additional copies of files, in addition to those of file browsers."""


@dataclass(frozen=True)
class DataFiles:
    """The files of one table.

    Attributes
    ----------
    system : pyarrow.fs.FileSystem
    root : str
        Folder of the table, or of its only file, within it.
    location : str
        The folder in the form for engines.
    files : tuple of FileInfo
        Sorted by path, without leftovers of file browsers and other tools.
    hidden : tuple of FileInfo
        Files with a ``_`` or a dot before a name in their path, which engines skip.
    folders : frozenset of str
        Names of all folders below.
    dangling : tuple of str
        Links that lead to no file.
    flat : bool
        Whether an engine reads exactly these files from the folder.
    """

    system: fs.FileSystem
    root: str
    location: str
    files: tuple[FileInfo, ...]
    hidden: tuple[FileInfo, ...] = ()
    folders: frozenset[str] = frozenset()
    dangling: tuple[str, ...] = ()
    flat: bool = False

    def footers(self) -> Iterator[pq.FileMetaData]:
        """Read the footers of Parquet files, one after another; only the first with rows may be looked into."""
        known = False
        for info in self.files:
            with self.system.open_input_file(f"{self.root}/{info.path}") as file:
                footer = pq.read_metadata(file) if known else opened(file, self.system).metadata
                known = known or footer.num_rows > 0
                yield footer


def data_files(path: str) -> DataFiles | None:
    """List the files of a table; None if Arrow cannot reach the path.

    Parameters
    ----------
    path : str
        A file or a folder: a local path or a URI.

    Raises
    ------
    InputError
        If a local folder may not be read.
    """
    if is_local(path):
        return _local_files(absolute(path))
    try:
        folder = Folder(path)
        infos = folder.files()
        if not infos:
            above, _, name = folder.location.rpartition("/")
            around = Folder(above or "/")
            itself = tuple(info for info in around.files(recursive=False) if info.path == name)
            at = around if itself else folder
            return DataFiles(at.system, at.root, at.location, itself)
    except (CdpError, OSError, pa.ArrowException):
        return None
    return _sorted_out(folder.system, folder.root, folder.location, infos)


def is_hidden(path: str) -> bool:
    """Return whether engines skip a file for its name, or that of a parent folder.

    >>> [is_hidden(path) for path in ("a.parquet", "_a.parquet", ".later/a.parquet", "_day=1/a.parquet")]
    [False, True, True, False]
    """
    return any(
        step.startswith(".") or (step.startswith("_") and "=" not in step) or step.endswith("._COPYING_")
        for step in path.split("/")
    )


def _local_files(location: str) -> DataFiles:
    root, system = local_path(location), fs.LocalFileSystem()
    if os.path.isfile(root):
        above, name = os.path.split(root)
        return DataFiles(system, above, location[: -len(name)].rstrip("/"), (_info(name, os.stat(root)),))
    if not os.path.isdir(root):
        return DataFiles(system, root, location, ())
    entries = list(_walked(root))
    listed = _sorted_out(system, root, location, [entry for entry in entries if isinstance(entry, FileInfo)])
    names = [entry for entry in entries if isinstance(entry, str)]
    folders = {name.rstrip("/").rpartition("/")[2] for name in names if name.endswith("/")}
    dangling = [name for name in names if not name.endswith("/") and not is_hidden(name)]
    return replace(listed, folders=frozenset(folders), dangling=tuple(dangling))


def _walked(root: str) -> Iterator[FileInfo | str]:
    """Yield every file below a folder; visit each folder once, even if links lead to it.

    Folders are yielded as paths with a slash at the end, dangling links as paths without one.
    """
    waiting, seen = [""], set()
    while waiting:
        below = waiting.pop()
        folder = os.path.join(root, below)
        status = os.stat(folder)
        if (status.st_dev, status.st_ino) in seen:
            continue
        seen.add((status.st_dev, status.st_ino))
        try:
            names = sorted(os.listdir(folder), reverse=True)
        except PermissionError:
            raise InputError(f"{folder} may not be read: give this user the right to, or move it elsewhere") from None
        for name in names:
            path = f"{below}/{name}" if below else name
            try:
                status = os.stat(os.path.join(folder, name))
            except OSError:
                yield path
                continue
            if S_ISDIR(status.st_mode):
                yield f"{path}/"
                waiting.append(path)
            elif S_ISREG(status.st_mode):
                yield _info(path, status)


def _info(path: str, status: os.stat_result) -> FileInfo:
    return FileInfo(path, status.st_size, status.st_mtime_ns)


def _sorted_out(system: fs.FileSystem, root: str, location: str, infos: list[FileInfo]) -> DataFiles:
    kept = [info for info in infos if not _is_leftover(info.path)]
    hidden = tuple(info for info in kept if is_hidden(info.path))
    files = tuple(sorted((info for info in kept if not is_hidden(info.path)), key=lambda info: info.path))
    visible = sum(not is_hidden(info.path) for info in infos)
    streamed = any(info.path.startswith("_spark_metadata/") for info in hidden)
    flat = visible == len(files) and not streamed and all("/" not in info.path for info in files)
    folders = {folder for info in infos for folder in info.path.split("/")[:-1]}
    return DataFiles(system, root, location, files, hidden, frozenset(folders), flat=flat)


def _is_leftover(path: str) -> bool:
    *folders, name = path.split("/")
    # A hidden file is inspected before it is skipped; for others, the name decides.
    return (
        (_is_browsers(name) and not name.startswith("."))
        or any(fnmatchcase(name, pattern) for pattern in _LEFTOVERS)
        or any(folder in _REPOSITORIES or _is_browsers(folder) for folder in folders)
    )


def _is_browsers(name: str) -> bool:
    # Ignoring an editor's backup of data would ignore data.
    return is_browsers(name) and not name.endswith("~")
