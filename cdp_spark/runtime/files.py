"""Files of an output folder, local or in an object store, through ``pyarrow.fs``."""

from __future__ import annotations

import os
import uuid
from dataclasses import dataclass
from pathlib import Path

from pyarrow import fs

from cdp_spark.base.errors import ConfigError

_GLOB = "[]{}*?"


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
        Local path or URI; characters that Spark takes for a pattern are refused.
    """

    def __init__(self, location: str) -> None:
        check_path(location)
        self.location = location.rstrip("/")
        if "://" in location and not location.startswith("file:"):
            self._files, self._root = fs.FileSystem.from_uri(self.location)
        else:
            local = self.location.removeprefix("file://").removeprefix("file:")
            self.location = self._root = os.path.abspath(local)
            self._files = fs.LocalFileSystem()

    def path(self, name: str) -> str:
        """Return the location of a file or folder inside, as Spark takes it."""
        return f"{self.location}/{name}"

    def read(self, name: str) -> str | None:
        """Return a file's text, or None where there is none."""
        try:
            with self._files.open_input_stream(f"{self._root}/{name}") as stream:
                return bytes(stream.readall()).decode()
        except FileNotFoundError:
            return None

    def write(self, name: str, text: str) -> None:
        """Write a file by one atomic step: readers see the old text or the new one."""
        target = f"{self._root}/{name}"
        local = isinstance(self._files, fs.LocalFileSystem)
        self._files.create_dir(target.rsplit("/", 1)[0], recursive=True)
        # A put to an object store is atomic; on a local disk a rename is.
        place = f"{target}.{uuid.uuid4().hex}.tmp" if local else target
        with self._files.open_output_stream(place) as stream:
            stream.write(text.encode())
        if local:
            os.replace(place, target)

    def files(self, name: str = "") -> list[FileInfo]:
        """List all files below, sorted by path; empty where there is no folder."""
        below = f"{self._root}/{name}".rstrip("/")
        found = self._files.get_file_info(fs.FileSelector(below, allow_not_found=True, recursive=True))
        kept = [info for info in found if info.type == fs.FileType.File]
        return sorted(
            (FileInfo(info.path[len(below) + 1 :], info.size, info.mtime_ns or 0) for info in kept),
            key=lambda info: info.path,
        )

    def names(self) -> list[str]:
        """List what lies directly in the folder."""
        found = self._files.get_file_info(fs.FileSelector(self._root, allow_not_found=True))
        return sorted(Path(info.path).name for info in found)

    def remove(self, name: str) -> None:
        """Remove a file or folder inside, if it is there."""
        target = f"{self._root}/{name}"
        kind = self._files.get_file_info(target).type
        if kind == fs.FileType.Directory:
            self._files.delete_dir(target)
        elif kind == fs.FileType.File:
            self._files.delete_file(target)

    def copy(self, source: str, target: str) -> None:
        """Copy a folder inside this one; ``target`` appears whole or, on a local disk, not at all."""
        staged = f"{target}.{uuid.uuid4().hex}.tmp"
        self._files.create_dir(f"{self._root}/{staged}", recursive=True)
        fs.copy_files(
            f"{self._root}/{source}", f"{self._root}/{staged}", source_filesystem=self._files,
            destination_filesystem=self._files,
        )  # fmt: skip
        self.remove(target)
        self._files.move(f"{self._root}/{staged}", f"{self._root}/{target}")

    def open(self, name: str) -> object:
        """Open a file for reading at any place (for Parquet footers)."""
        return self._files.open_input_file(f"{self._root}/{name}")


def check_path(location: str) -> None:
    """Refuse a path that Spark can write but not read back.

    Raises
    ------
    ConfigError
    """
    odd = sorted({sign for sign in location if sign in _GLOB})
    if odd:
        raise ConfigError(f"path {location} has {' '.join(odd)}, which Spark reads as a pattern: rename it")
