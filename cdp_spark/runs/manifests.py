"""A stage's manifest: the files that make it complete, their lengths and, on one machine, their digests.

Spark writes a checksum into each page of a Parquet file and checks it; Sail does neither. On one machine, where files
may come from either engine, the manifest holds the SHA-256 of each. On a cluster, Spark's own checksums must suffice,
because this process would have to read every table over its network.
"""

from __future__ import annotations

import hashlib
import io
import os
from collections.abc import Iterable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pyarrow.parquet as pq
from pyspark.sql.pandas.types import to_arrow_schema
from pyspark.sql.types import StructType

from cdp_spark.base.errors import DamagedStageError
from cdp_spark.files.folder import Folder
from cdp_spark.runs.documents import manifest_of

MANIFEST = "_cdp_manifest.json"
_PIECE = 1 << 20


def checked_manifest(folder: Folder, stage_path: str) -> dict[str, Any] | None:
    """Read a stage's manifest and check its files against it; None if there is none.

    Parameters
    ----------
    folder : Folder
    stage_path : str
        The stage's folder within it.

    Raises
    ------
    DamagedStageError
        If a file is missing, has another length, or another content.
    """
    data = folder.read_bytes(f"{stage_path}/{MANIFEST}")
    if data is None:
        return None
    try:
        manifest = manifest_of(data)
        intact = manifest["files"] == parquet_files(folder, stage_path)
    except ValueError:
        intact = False
    if not intact:
        raise DamagedStageError(
            f"stage {folder.path(stage_path)} does not hold the files its manifest lists: "
            "something changed it; remove that folder and start the command that wrote it again"
        )
    check_contents(folder, stage_path, manifest)
    return manifest


def listed_files(folder: Folder, stage_path: str) -> dict[str, int]:
    """Return the lengths that a stage's manifest lists, without checking the files; empty if there is none.

    Raises
    ------
    DamagedStageError
        If the manifest is damaged.
    """
    data = folder.read_bytes(f"{stage_path}/{MANIFEST}")
    try:
        files: dict[str, int] = {} if data is None else manifest_of(data)["files"]
    except ValueError:
        raise DamagedStageError(
            f"stage {folder.path(stage_path)} has a damaged manifest: remove that folder and start the command that "
            "wrote it again"
        ) from None
    return files


def check_contents(folder: Folder, stage_path: str, manifest: dict[str, Any]) -> None:
    """Compare files with the digests of their manifest, if it has any.

    Raises
    ------
    DamagedStageError
    """
    known = manifest.get("sha256") or {}
    present = digests(folder, stage_path, known)
    for name, digest in known.items():
        if present[name] != digest:
            raise DamagedStageError(
                f"stage {folder.path(stage_path)}: {name} is damaged, its content is not what was written: "
                "remove that folder and start the command that wrote it again"
            )


def parquet_files(folder: Folder, stage_path: str) -> dict[str, int]:
    """Return the lengths in bytes of a stage's Parquet files, by path, as engines see them."""
    return {info.path: info.length for info in folder.files(stage_path) if is_shown(info.path)}


def is_shown(path: str) -> bool:
    """Return whether engines read a path below a table: a Parquet file without a step that begins with a dot or ``_``.

    >>> is_shown("shard=0/part-0.parquet"), is_shown(".ipynb_checkpoints/part-0-checkpoint.parquet")
    (True, False)
    """
    return path.endswith(".parquet") and not any(step.startswith((".", "_")) for step in path.split("/"))


def digests(folder: Folder, stage_path: str, files: Iterable[str]) -> dict[str, str]:
    """Return the SHA-256 (hex) of a stage's files, by path."""

    def digest(name: str) -> str:
        digest, piece = hashlib.sha256(), bytearray(_PIECE)
        with folder.system.open_input_file(f"{folder.root}/{stage_path}/{name}") as file:
            while read := file.readinto(piece):
                digest.update(memoryview(piece)[:read])
        return digest.hexdigest()

    names = list(files)
    with ThreadPoolExecutor(os.cpu_count()) as pool:
        return dict(zip(names, pool.map(digest, names), strict=True))


def empty_parquet(schema: StructType) -> bytes:
    """Return a Parquet file with these columns and no rows."""
    sink = io.BytesIO()
    pq.write_table(to_arrow_schema(schema).empty_table(), sink)
    return sink.getvalue()
