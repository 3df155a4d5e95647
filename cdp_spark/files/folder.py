"""Files of an output folder, local or in an object store, through ``pyarrow.fs``."""

from __future__ import annotations

import errno
import os
import re
import uuid
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import pyarrow as pa
import pyarrow.parquet as pq
from pyarrow import fs

from cdp_spark.base.errors import ConfigError, MissingRequirementError
from cdp_spark.base.messages import one_line
from cdp_spark.base.refusals import translated
from cdp_spark.files.object_stores import s3_files
from cdp_spark.files.paths import absolute, check_path, is_local, local_path

_NO_ROOM = (errno.ENOSPC, errno.EDQUOT)
_LEFTOVER = r"\.[0-9a-f]{32}\.(tmp|old)"
# An object store takes about 50 ms for any request, so send many at a time.
_AT_A_TIME = 16


@dataclass(frozen=True)
class FileInfo:
    """A file below a folder: path relative to it, length in bytes, modification time in nanoseconds."""

    path: str
    length: int
    modified: int


class Folder:
    """A folder that the run owns.

    Parameters
    ----------
    location : str
        Local path or URI; characters that Spark reads as a pattern are refused.

    Attributes
    ----------
    location : str
        The location in the form for Spark.
    local : bool
        Whether it lies on this machine's file system.

    Raises
    ------
    ConfigError
        If the path has such characters, or a scheme that pyarrow does not know.
    """

    def __init__(self, location: str) -> None:
        check_path(location)
        self.local = is_local(location)
        if self.local:
            # Keep `file:` for Spark, whose default file system may be another one.
            self.location = absolute(location)
            self._root = local_path(self.location)
            self._files: fs.FileSystem = fs.LocalFileSystem()
        else:
            self.location = location.rstrip("/")
            self._files, self._root = _remote(self.location)
        # HDFS has folders and renames; object stores write objects atomically.
        self._puts_whole = not self.local and self._files.type_name != "hdfs"

    def path(self, name: str) -> str:
        """Return the location of a file or folder inside, in the form for Spark."""
        return f"{self.location}/{name}"

    def make(self) -> None:
        """Make the folder, if the file system has folders.

        Raises
        ------
        MissingRequirementError
            If it cannot be made.
        """
        if not self._puts_whole:
            with self._explained():
                self._files.create_dir(self._root, recursive=True)

    def read(self, name: str) -> str | None:
        """Return a file's text, or None if there is no file."""
        data = self.read_bytes(name)
        return None if data is None else data.decode()

    def read_bytes(self, name: str) -> bytes | None:
        """Return a file's bytes, or None if there is no file."""
        try:
            with self._files.open_input_stream(f"{self._root}/{name}") as stream:
                return bytes(stream.readall())
        except (FileNotFoundError, NotADirectoryError):
            return None

    def write(self, name: str, text: str) -> None:
        """Write a file's text; see :meth:`write_bytes`."""
        self.write_bytes(name, text.encode())

    def write_bytes(self, name: str, data: bytes) -> None:
        """Write a file atomically: readers see the old content or the new one.

        Raises
        ------
        MissingRequirementError
            If the temporary file cannot be written.
        """
        target = f"{self._root}/{name}"
        temporary = target if self._puts_whole else f"{target}.{uuid.uuid4().hex}.tmp"
        with self._explained():
            if not self._puts_whole:
                self._files.create_dir(target.rsplit("/", 1)[0], recursive=True)
            with self._files.open_output_stream(temporary) as stream:
                stream.write(data)
            if self.local:
                os.replace(temporary, target)
            elif temporary != target:
                self.remove(name)  # HDFS renames only to a free name
                self._files.move(temporary, target)

    @property
    def system(self) -> fs.FileSystem:
        """Arrow's file system that the folder lies in."""
        return self._files

    @property
    def root(self) -> str:
        """Path of the folder within :attr:`system`."""
        return self._root

    def files(self, name: str = "", *, recursive: bool = True) -> list[FileInfo]:
        """List the files below, or those directly inside, sorted by path; empty if there is no folder."""
        below = f"{self._root}/{name}".rstrip("/")
        if self._files.get_file_info(below).type == fs.FileType.File:
            return []
        infos = self._files.get_file_info(fs.FileSelector(below, allow_not_found=True, recursive=recursive))
        kept = [info for info in infos if info.type == fs.FileType.File]
        return sorted(
            (FileInfo(info.path[len(below) + 1 :], info.size, info.mtime_ns or 0) for info in kept),
            key=lambda info: info.path,
        )

    def names(self) -> list[str]:
        """List the names directly in the folder.

        Raises
        ------
        ConfigError
            If it is a file.
        MissingRequirementError
            If it cannot be read.
        """
        with self._explained():
            if self._files.get_file_info(self._root).type == fs.FileType.File:
                raise ConfigError(f"{self.location} is a file, but a folder is needed: choose another path")
            infos = self._files.get_file_info(fs.FileSelector(self._root, allow_not_found=True))
        return sorted(Path(info.path).name for info in infos)

    def read_parquet(self, name: str) -> pa.Table:
        """Read one Parquet file whole."""
        return pq.read_table(f"{self._root}/{name}", filesystem=self._files, partitioning=None)

    def parquet_rows(self, names: list[str]) -> int:
        """Count the rows of Parquet files by their footers."""

        def rows(name: str) -> int:
            with self._files.open_input_file(f"{self._root}/{name}") as file:
                return int(pq.read_metadata(file).num_rows)

        with ThreadPoolExecutor(_AT_A_TIME) as pool:
            return sum(pool.map(rows, names))

    def remove(self, name: str) -> None:
        """Remove a file or folder inside, if it exists."""
        target = f"{self._root}/{name}"
        with self._explained():
            kind = self._files.get_file_info(target).type
            if kind == fs.FileType.Directory:
                self._files.delete_dir(target)
            elif kind == fs.FileType.File:
                self._files.delete_file(target)

    def copy(self, source: str, target: str, *, last: str, own: Callable[[str], bool] = bool) -> None:
        """Replace the folder ``target`` inside this one by a copy of another.

        If folders can be renamed, the old one stays until the new one is complete. In an object store, the files are
        replaced, and ``last`` is copied last, to show that all are there. The same is done if ``target`` holds foreign
        files, which stay; ``own`` identifies our files by their paths below either folder.
        """
        self.remove_leftovers(target)
        names = [info.path for info in self.files(source) if info.path != last and own(info.path)]
        held = [info.path for info in self.files(target)]
        with self._explained():
            if not all(map(own, held)):
                for name in sorted(filter(own, held), key=lambda name: name != last):
                    self.remove(f"{target}/{name}")
                self._copy_files(source, target, [*names, last])
            elif self._puts_whole:
                self.remove(target)
                self._copy_files(source, target, [*names, last])
            else:
                staged, old = (f"{target}.{uuid.uuid4().hex}.{kind}" for kind in ("tmp", "old"))
                self._copy_files(source, staged, [*names, last])
                if self._files.get_file_info(f"{self._root}/{target}").type != fs.FileType.NotFound:
                    self._files.move(f"{self._root}/{target}", f"{self._root}/{old}")
                self._files.move(f"{self._root}/{staged}", f"{self._root}/{target}")
                self.remove(old)

    def remove_leftovers(self, target: str) -> None:
        """Clean up after a killed copy to ``target``: restore the old folder, remove an incomplete new one."""
        names = self.names()
        for name in (name for name in names if re.fullmatch(re.escape(target) + _LEFTOVER, name)):
            if name.endswith(".old") and target not in names:
                self._files.move(f"{self._root}/{name}", f"{self._root}/{target}")
            else:
                self.remove(name)

    def _copy_files(self, source: str, target: str, names: list[str]) -> None:
        """Copy files; copy the last one after all others."""
        if not self._puts_whole:
            for folder in sorted({f"{target}/{name}".rsplit("/", 1)[0] for name in names}):
                self._files.create_dir(f"{self._root}/{folder}", recursive=True)

        def copy(name: str) -> None:
            self._files.copy_file(f"{self._root}/{source}/{name}", f"{self._root}/{target}/{name}")

        with ThreadPoolExecutor(_AT_A_TIME) as pool:
            list(pool.map(copy, names[:-1]))
        copy(names[-1])

    @contextmanager
    def _explained(self) -> Iterator[None]:
        try:
            yield
        except OSError as error:
            text = str(error)
            if isinstance(error, PermissionError) or "Permission denied" in text or "ACCESS_DENIED" in text:
                raise MissingRequirementError(
                    f"{self.location} may not be read and written: give this user the right to, or choose another place"
                ) from error
            if error.errno in _NO_ROOM or "No space left" in text:
                raise MissingRequirementError(
                    f"{self.location} has no room left: free some, then start the same command again; it continues"
                ) from error
            if error.errno == errno.EROFS or "Read-only file system" in text:
                raise MissingRequirementError(
                    f"{self.location} is mounted read-only: mount it for writing, or choose another place"
                ) from error
            if not self.local and (known := translated(error)) is not None:
                raise type(known)(f"{self.location}: {known}") from error
            raise


def _remote(location: str) -> tuple[fs.FileSystem, str]:
    uri = re.sub(r"^s3[an]://", "s3://", location)  # Hadoop writes s3a, Arrow s3
    try:
        files, root = _from_uri(uri)
    except (ValueError, NotImplementedError, OSError, pa.ArrowException) as error:
        if (known := translated(error)) is not None:
            raise type(known)(f"{location}: {known}") from error
        why = one_line(str(error), 150)
        raise ConfigError(f"{location}: pyarrow cannot open it ({why}): use s3, gs, abfss or hdfs") from error
    return files, root.rstrip("/")


def _from_uri(uri: str) -> tuple[fs.FileSystem, str]:
    if uri.startswith("s3://"):
        address = uri.removeprefix("s3://").split("?")[0]
        if (files := s3_files(address.split("/")[0])) is not None:
            return files, address
    if uri.startswith(("gs://", "gcs://")) and "retry_limit_seconds" not in uri:
        uri += f"{'&' if '?' in uri else '?'}retry_limit_seconds=15"  # otherwise it tries for 15 minutes
    opened: tuple[fs.FileSystem, str] = fs.FileSystem.from_uri(uri)
    return opened


def is_leftover(name: str) -> bool:
    """Return whether a name is that of an incomplete copy or file of ours.

    >>> is_leftover("clusters.0123456789abcdef0123456789abcdef.tmp"), is_leftover("notes.tmp")
    (True, False)
    """
    return re.search(_LEFTOVER + "$", name) is not None
