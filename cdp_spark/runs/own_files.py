"""Distinguish our files of an output from others, which are never removed, copied or read as rows."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterable

from pyspark.sql import DataFrameReader, SparkSession

from cdp_spark.base.errors import DamagedStageError, InputError, listed
from cdp_spark.files.folder import Folder, is_leftover
from cdp_spark.files.leftovers import is_browsers
from cdp_spark.runs.manifests import MANIFEST, listed_files, parquet_files
from cdp_spark.runs.register import STAGES

_TABLE = re.compile(
    r"(\.?part-[\w.-]+\.parquet|\.?[A-Za-z0-9]{16}(_\d+)?\.(\w+)?\.?parquet)(\.crc)?"  # Spark's or ours, Sail's
    r"|\.?_SUCCESS(\.crc)?|_(started|committed)_\w+|" + re.escape(MANIFEST)
)
_EXPORT = re.compile(r"\w+-\d{5,}\.(csv|txt|tar)")
_UNFINISHED = ("_temporary", "__magic")
_STAGE = re.compile(r".+-[0-9a-f]{16}(\.json)?")
_KINDS = {stage.name.split("/")[0] for stage in STAGES}


def is_of_table(path: str) -> bool:
    """Return whether an engine or we wrote a file, by its path below a stage or a published table.

    >>> is_of_table("shard=0/part-00000-1f-c000.zstd.parquet"), is_of_table("hPLAGXqEJHFAbv7x_0.zst.parquet")
    (True, True)
    >>> is_of_table("names.csv"), is_of_table("faces.parquet")
    (False, False)
    """
    *folders, name = path.split("/")
    if any(map(is_browsers, folders)):
        return False
    return any(step.startswith(_UNFINISHED) for step in folders) or is_leftover(name) or bool(_TABLE.fullmatch(name))


def is_of_export(path: str) -> bool:
    """Return whether an export wrote a file, by its path below ``files``."""
    return bool(_EXPORT.fullmatch(path)) or is_leftover(path)


def remove_own(folder: Folder, name: str, own: Callable[[str], bool] = is_of_table) -> list[str]:
    """Remove a folder of ours, or our files in it; return the files that are left.

    Parameters
    ----------
    folder : Folder
    name : str
    own : callable (path below ``name``) -> bool
    """
    files = [file.path for file in folder.files(name)]
    left = [path for path in files if not own(path)]
    if not left:
        folder.remove(name)
        return []
    held = {step for path in left for step in _steps(path)}
    for each in sorted({next(step for step in _steps(path) if step not in held) for path in set(files) - set(left)}):
        folder.remove(f"{name}/{each}")
    return left


def _steps(path: str) -> list[str]:
    """Return a path and its parent folders, the outermost first.

    >>> _steps("a/b/c")
    ['a', 'a/b', 'a/b/c']
    """
    steps = path.split("/")
    return ["/".join(steps[: depth + 1]) for depth in range(len(steps))]


def foreign(paths: Iterable[str]) -> list[str]:
    """Return the paths without leftovers of file browsers or of our own copies."""
    return [path for path in paths if not any(is_browsers(step) or is_leftover(step) for step in path.split("/"))]


def check_output(folder: Folder, ours: Iterable[str]) -> None:
    """Refuse an output with files that no run wrote.

    Parameters
    ----------
    folder : Folder
    ours : iterable of str
        Names that commands write to.

    Raises
    ------
    InputError
        Such files are never removed. In a folder without a run, files with our names count as well.
    """
    names = foreign(folder.names())
    is_begun = _is_begun(folder, names)
    known = set(ours) if is_begun else {"stages", "_lease.json"}
    if strange := [name for name in names if name not in known]:
        mend = "move it elsewhere" if is_begun else "choose an empty folder"
        raise InputError(f"output {folder.location} holds {listed(strange, 3)}, which no run wrote: {mend}")
    for name in names:
        if name in known and name not in ("stages", "_lease.json") and "." not in name:
            _check_published(folder, name)


def _is_begun(folder: Folder, names: list[str]) -> bool:
    """Return whether one of our commands has begun to write here."""
    if "stages" in names:
        stages = Folder(folder.path("stages")).names()
        if any(name in _KINDS or _STAGE.fullmatch(name) for name in stages):
            return True
    if "mediator.safetensors" in names:
        return True
    try:
        record = json.loads(folder.read("run.json") or "{}")
    except ValueError:
        return False
    return isinstance(record, dict) and {"config", "stages"} <= set(record)


def _check_published(folder: Folder, name: str) -> None:
    """Refuse a table with foreign Parquet files: they would be read as its rows."""
    try:
        known = listed_files(folder, name)
    except DamagedStageError:
        known = {}
    files = parquet_files(folder, name)
    strange = [path for path in files if path not in known and (known or not is_of_table(path))]
    if strange:
        raise InputError(
            f"output {folder.location} holds {name}/{strange[0]}, which no run wrote and which would be read as rows "
            f"of {name}: move it elsewhere"
        )


def tables_of(spark: SparkSession) -> DataFrameReader:
    """Return a reader that skips what is not a Parquet file, such as ``Thumbs.db``."""
    return spark.read.option("pathGlobFilter", "*.parquet")
