"""Unpack the package from an archive, such as one of ``--py-files``.

numba caches compiled functions only beside real files (newer releases also in archives named ``.zip``), and the package
reads its data files, such as the report's style, by path.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import tempfile
import zipfile
from pathlib import Path

_PACKAGE = "cdp_spark"


def unpacked(archive: str) -> str:
    """Unpack the package, unless it already is.

    Parameters
    ----------
    archive : str
        A wheel, or any zip file with the package at its top.

    Returns
    -------
    str
        The package's folder: in the user's cache; else beside the archive, which on a worker is a folder that Spark
        removes; else in a new temporary folder.

    Raises
    ------
    ImportError
        If the archive is damaged, or there is no room.
    """
    name = f"package-{hashlib.sha256(Path(archive).read_bytes()).hexdigest()[:16]}"
    for folder in (_cache() / name, Path(f"{archive}.{name}")):
        try:
            return str(_unpacked_at(folder, archive))
        except OSError:  # not writable
            continue
    own = tempfile.mkdtemp(prefix="cdp-spark-")
    try:
        return str(_unpacked_at(Path(own, name), archive))
    except OSError as error:
        shutil.rmtree(own, ignore_errors=True)
        raise ImportError(f"{archive} cannot be unpacked ({error.strerror}): build or copy it again") from None


def _cache() -> Path:
    try:
        return Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "cdp-spark")
    except RuntimeError:  # a user without a home
        return Path("/nonexistent")


def _unpacked_at(folder: Path, archive: str) -> Path:
    if hasattr(os, "getuid") and os.path.lexists(folder) and folder.lstat().st_uid not in (0, os.getuid()):
        raise PermissionError(f"{folder} belongs to another user, who could have any code run")
    if not folder.is_dir():
        folder.parent.mkdir(parents=True, exist_ok=True)
        # Workers on one machine start together, so the folder must appear in one step.
        partial = Path(tempfile.mkdtemp(prefix=f"{folder.name}.", dir=folder.parent))
        try:
            with zipfile.ZipFile(archive) as files:
                # Names that lead out of the folder, and links, are unpacked as files inside it.
                files.extractall(partial, [name for name in files.namelist() if name.startswith(f"{_PACKAGE}/")])
            partial.rename(folder)
        except OSError:
            if not folder.is_dir():  # otherwise another process was first
                raise
        except Exception as error:  # errors of zipfile and zlib, and from odd headers
            raise ImportError(f"{archive} is damaged ({type(error).__name__}): build or copy it again") from None
        finally:
            shutil.rmtree(partial, ignore_errors=True)
    return folder / _PACKAGE
