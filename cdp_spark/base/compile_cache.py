"""Choose a writable folder for compiled kernels.

numba keeps them in the package's ``__pycache__``, else in the user's cache folder, and fails if neither is
writable, as with packages owned by root and an account without a home.
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
    """Set ``NUMBA_CACHE_DIR`` to a private folder if numba has no writable folder.

    Child processes inherit the variable.

    Parameters
    ----------
    package : Path
        Folder of the compiled modules.

    Returns
    -------
    str or None
        ``NUMBA_CACHE_DIR``; None if it is not set because numba's folder is writable.
    """
    if not os.environ.get(VARIABLE):
        folder = chosen(package)
        if folder is not None:
            os.environ[VARIABLE] = folder
            _change_if_imported(folder)
    return os.environ.get(VARIABLE) or None


def chosen(package: Path, writable: Callable[[Path], bool] | None = None) -> str | None:
    """Return a private folder, or None if numba has a writable one.

    Parameters
    ----------
    package : Path
    writable : callable, optional
        Whether a folder can be written; default: try it.
    """
    able = writable or _writable
    if able(package / "__pycache__") or able(_users_cache()):
        return None
    return private_folder(Path(tempfile.gettempdir()))


def private_folder(parent: Path) -> str:
    """Return a folder that only this user can read and write.

    All processes share one. If a folder of that name is a link, belongs to another user, or is open to others, a new
    one is made: anyone who can write to it could run any code.
    """
    if hasattr(os, "getuid"):
        shared = parent / f"cdp-spark-numba-{os.getuid()}"
        try:
            shared.mkdir(mode=0o700, exist_ok=True)
            status = shared.lstat()
        except OSError:
            return tempfile.mkdtemp(prefix="cdp-spark-numba-", dir=parent)
        if stat.S_ISDIR(status.st_mode) and status.st_uid == os.getuid() and not status.st_mode & 0o077:
            return str(shared)
    return tempfile.mkdtemp(prefix="cdp-spark-numba-", dir=parent)


def _writable(folder: Path) -> bool:
    """Try to make a file: permissions do not show that a mount is read-only."""
    try:
        folder.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryFile(dir=folder):
            return True
    except OSError:
        return False


def _users_cache() -> Path:
    """Return the folder that numba uses if it cannot write beside the code."""
    home = Path(os.path.expanduser("~"))
    if sys.platform == "darwin":
        return home / "Library" / "Caches" / "numba"
    if os.name == "nt":
        return Path(os.environ.get("LOCALAPPDATA") or home / "AppData" / "Local") / "numba" / "Cache"
    return Path(os.environ.get("XDG_CACHE_HOME") or home / ".cache") / "numba"


def _change_if_imported(folder: str) -> None:
    """Pass the folder to numba if it has already read its variables."""
    config = sys.modules.get("numba.core.config")
    if config is not None:
        setattr(config, "CACHE_DIR", folder)  # noqa: B010
