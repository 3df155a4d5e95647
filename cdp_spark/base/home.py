"""Provide a home folder for libraries that need one: a user id without a name, as in containers, has none."""

from __future__ import annotations

import atexit
import os
import shutil
import tempfile
from pathlib import Path


def settle_home() -> str:
    """Set ``HOME`` to a private folder if the user has no home; return the home."""
    try:
        return str(Path.home())
    except RuntimeError:
        folder = tempfile.mkdtemp(prefix="cdp-spark-home-")
        atexit.register(shutil.rmtree, folder, ignore_errors=True)
        os.environ["HOME"] = folder
        return folder
