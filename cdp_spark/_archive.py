"""The package out of an archive, as ``--py-files`` brings it: unpacked once, then imported as from any folder.

numba keeps compiled functions beside real files only (newer releases: in archives named ``.zip``, too), and what comes
with the package, such as the report's style, is read by path.
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
    """Unpack the package, where that has not been done before.

    Parameters
    ----------
    archive : str
        A wheel, or any zip file with the package at its top.

    Returns
    -------
    str
        The package's folder: in this user's cache; where there is none, beside the archive, which on a worker is a
        folder that Spark removes; else in a new one.

    Raises
    ------
    ImportError
        If the archive is damaged, or there is no room.
    """
    name = f"package-{hashlib.sha256(Path(archive).read_bytes()).hexdigest()[:16]}"
    for place in (_cache() / name, Path(f"{archive}.{name}")):
        try:
            return str(_unpacked_at(place, archive))
        except OSError:  # it may not be written
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


def _unpacked_at(place: Path, archive: str) -> Path:
    if hasattr(os, "getuid") and os.path.lexists(place) and place.lstat().st_uid not in (0, os.getuid()):
        raise PermissionError(f"{place} is another user's, who could have any code run")
    if not place.is_dir():
        place.parent.mkdir(parents=True, exist_ok=True)
        # Workers of one machine start together: it must appear whole.
        half = Path(tempfile.mkdtemp(prefix=f"{place.name}.", dir=place.parent))
        try:
            with zipfile.ZipFile(archive) as files:
                # What leads out of the folder, or is a link, is unpacked as a file inside it.
                files.extractall(half, [name for name in files.namelist() if name.startswith(f"{_PACKAGE}/")])
            half.rename(place)
        except OSError:
            if not place.is_dir():  # else another process was first
                raise
        except Exception as error:  # zipfile's own, zlib's, and what odd headers lead to
            raise ImportError(f"{archive} is damaged ({type(error).__name__}): build or copy it again") from None
        finally:
            shutil.rmtree(half, ignore_errors=True)
    return place / _PACKAGE
