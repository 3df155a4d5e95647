"""Where compiled kernels are kept: in a folder that this process may write.

numba keeps them in the package's ``__pycache__``, else in the user's cache folder, and fails where neither can be
written: packages owned by root, used by an account without a home.
"""

from __future__ import annotations

import os
import stat
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

VARIABLE = "NUMBA_CACHE_DIR"


def settle(package: Path) -> str | None:
    """Name a private folder in ``NUMBA_CACHE_DIR`` where numba would find none; other processes inherit it.

    Parameters
    ----------
    package : Path
        Folder of the modules whose functions are compiled.

    Returns
    -------
    str or None
        What ``NUMBA_CACHE_DIR`` says now, None where it is not set: numba's own choice will do.
    """
    if not os.environ.get(VARIABLE):
        folder = chosen(package)
        if folder is not None:
            os.environ[VARIABLE] = folder
            _change_if_imported(folder)
    return os.environ.get(VARIABLE) or None


def chosen(package: Path, writable: Callable[[Path], bool] | None = None) -> str | None:
    """Return a private folder, or None where numba's own places will do.

    Parameters
    ----------
    package : Path
    writable : callable, optional
        Whether files can be made in a folder; default: try it.
    """
    able = writable or _writable
    if able(package / "__pycache__") or able(_users_cache()):
        return None
    return private_folder(Path(tempfile.gettempdir()))


def private_folder(parent: Path) -> str:
    """Return a folder that only this user can read and write: one for all processes, or a new one.

    A folder of that name that is a link, or of another user, or open to others, is not taken: who can write there
    could have any code run.
    """
    if hasattr(os, "getuid"):
        shared = parent / f"cdp-spark-numba-{os.getuid()}"
        try:
            shared.mkdir(mode=0o700, exist_ok=True)
            found = shared.lstat()
        except OSError:
            return tempfile.mkdtemp(prefix="cdp-spark-numba-", dir=parent)
        if stat.S_ISDIR(found.st_mode) and found.st_uid == os.getuid() and not found.st_mode & 0o077:
            return str(shared)
    return tempfile.mkdtemp(prefix="cdp-spark-numba-", dir=parent)


def _writable(folder: Path) -> bool:
    """Try to make a file: permissions alone do not tell it of a file system that is mounted read-only."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError:
        return False


def _users_cache() -> Path:
    """Return the folder in which numba keeps what does not go beside the code."""
    home = Path(os.path.expanduser("~"))
    if sys.platform == "darwin":
        return home / "Library" / "Caches" / "numba"
    if os.name == "nt":
        return Path(os.environ.get("LOCALAPPDATA") or home / "AppData" / "Local") / "numba" / "Cache"
    return Path(os.environ.get("XDG_CACHE_HOME") or home / ".cache") / "numba"


def _change_if_imported(folder: str) -> None:
    """Let numba know, where it has read its variables already."""
    config = sys.modules.get("numba.core.config")
    if config is not None:
        setattr(config, "CACHE_DIR", folder)  # noqa: B010
