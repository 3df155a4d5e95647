"""Translate engines' errors about damaged and missing files into one line that names the file. Imports no engine."""

from __future__ import annotations

import re
from collections import deque
from collections.abc import Iterable

import pyarrow.parquet as pq

from cdp_spark.base.errors import CdpError, DamagedStageError, InputError
from cdp_spark.base.refusals import translated as of_outside
from cdp_spark.base.refusals import whole_text
from cdp_spark.files.data_files import DataFiles
from cdp_spark.files.paths import shown

_OF_A_STAGE = r"(\S*/stages/\S+-[0-9a-f]{16})(?:/|\s|$)"
_SIGNS = (
    ("Checksum error: ", "its checksum file is of another content"),
    ("could not verify page integrity", "a page's checksum does not match its content"),
    ("CRC checksum verification failed", "a page's checksum does not match its content"),
    ("is not a Parquet file", "it is not a Parquet file"),
    ("FAILED_READ_FILE", "it cannot be read; it may be truncated or damaged"),
    ("PATH_NOT_FOUND", "it is not there"),
    ("Object at location", "it is not there"),  # Sail's words
    ("Corrupt footer", "it is truncated or damaged"),
    ("non UTF-8 data", "a column of text holds bytes that are not UTF-8"),  # Sail's words
    ("Parquet error: ", "a page of it is damaged"),  # Sail's words
    ("Parquet argument error: ", "a page of it is damaged"),
)
_opened: deque[DataFiles] = deque(maxlen=32)


def remember(files: DataFiles) -> None:
    """Remember the files of an opened table: Sail does not name a file that it cannot read."""
    _opened.append(files)


def translated(error: BaseException, log: str | None = None) -> CdpError | None:
    """Return our error for an engine's error about files or missing requirements; None for others.

    Parameters
    ----------
    error : BaseException
    log : str, optional
        File that the JVM writes to.
    """
    text = whole_text(error)
    outside = of_outside(error, log)
    if outside is not None and not re.search(_OF_A_STAGE, text):
        return outside
    for sign, why in _SIGNS:
        if sign in text:
            name = _file_in(text)
            if stage := re.search(_OF_A_STAGE, name):
                return DamagedStageError(
                    f"stage {stage.group(1)}: {why}: remove that folder and start the command that wrote it again"
                )
            return InputError(f"{name}: {why}: write it again or leave it out")
    return outside


def _file_in(text: str) -> str:
    """Return the file that an engine's error names, or else the first unreadable one."""
    if missing := re.search(r"Object at location (.+?) not found", text):
        return missing.group(1)
    start = text.find("file:")
    if start >= 0:
        return text[start:].split()[0].rstrip(".,)]")
    return first_unreadable(reversed(_opened)) or "an input file"


def first_unreadable(tables: Iterable[DataFiles]) -> str | None:
    """Read the files of some tables, and return the first unreadable one; None if all can be read."""
    for files in tables:
        for info in files.files:
            try:
                with files.system.open_input_file(f"{files.root}/{info.path}") as stream:
                    for _ in pq.ParquetFile(stream, page_checksum_verification=True).iter_batches():
                        pass
            except Exception:
                return shown(f"{files.location}/{info.path}")
    return None
