"""A home for libraries that ask for one: a user id without a name, as containers give, has none."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from pathlib import Path


def settle_home() -> str:
    """Name a private folder in ``HOME`` where the user has no home at all; return what a home is now."""
    try:
        return str(Path.home())
    except RuntimeError:
        folder = tempfile.mkdtemp(prefix="cdp-spark-home-")
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
        os.environ["HOME"] = folder
        return folder
