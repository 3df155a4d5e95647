"""Spark's Python daemon of a local session: its workers end without a stack trace when the JVM hangs up.

``spark.python.daemon.module`` names this module. It replaces ``pyspark.daemon``, which prints a traceback to the
terminal if a session stops before an idle worker does.
"""

from __future__ import annotations

import importlib
import os
from typing import Any

daemon: Any = importlib.import_module("pyspark.daemon")  # which has no types
_worker = daemon.worker


def _quiet_worker(*arguments: Any) -> Any:
    """Serve one task; if the connection is gone, end silently."""
    try:
        return _worker(*arguments)
    except ConnectionError:
        os._exit(1)


if __name__ == "__main__":
    daemon.worker = _quiet_worker
    daemon.manager()
