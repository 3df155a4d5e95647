"""Settings of a local Spark: memory, network, sockets, and permissions of its files."""

from __future__ import annotations

import atexit
import os
import shutil
import sys
import tempfile
from contextlib import suppress
from pathlib import Path

import psutil

_SOCKET_FOLDER = 60
"""Longest folder path for a socket, in bytes: Unix allows 107, and the socket's name takes 46."""


def local_settings() -> dict[str, str]:
    """Return the defaults of a local session."""
    os.environ.setdefault("SPARK_LOCAL_IP", "127.0.0.1")  # a host name that does not resolve would stop Spark
    memory = min(8, max(2, int(_memory_bytes() * 0.3 / 2**30)))  # most of the rest is for Python workers
    return {
        "spark.driver.memory": f"{memory}g",
        # Spark's default of 200 would be 200 tiny tasks.
        "spark.sql.shuffle.partitions": str(2 * (os.cpu_count() or 1)),
        "spark.driver.bindAddress": "127.0.0.1",
        "spark.driver.host": "127.0.0.1",
        "spark.ui.enabled": "false",
        "spark.ui.showConsoleProgress": "false",  # it would overwrite our own line
        "spark.python.daemon.module": "cdp_spark.spark.python_daemon",
        **_umask_settings(),
        **_socket_settings(),
    }


def _umask_settings() -> dict[str, str]:
    """Let Spark create files with this process's umask instead of Hadoop's, since embeddings are biometric data.

    A configured Hadoop may have a stricter umask than ours. In that case ours counts only if it forbids more than the
    usual 022.
    """
    mask = umask()
    if "HADOOP_CONF_DIR" in os.environ and mask | 0o022 == 0o022:
        return {}
    return {"spark.hadoop.fs.permissions.umask-mode": f"{mask:03o}"}


def umask() -> int:
    """Return the process's umask."""
    with suppress(OSError, ValueError, StopIteration):
        status = Path("/proc/self/status").read_text(encoding="utf-8")
        return int(next(line for line in status.splitlines() if line.startswith("Umask:")).split()[1], 8)
    mask = os.umask(0o022)  # elsewhere it can be read only by setting it
    os.umask(mask)
    return mask


def _socket_settings() -> dict[str, str]:
    """Let Spark 4.1 talk to its Python workers without TCP; older releases do not know these settings.

    With large batches in both directions, a loopback connection can hang for good: both receive buffers are full, and
    the kernel drops the packets that would free them (seen on Linux 6.18).
    """
    if sys.platform != "linux":
        return {}
    folder = tempfile.mkdtemp(prefix="cdp-spark-")  # private to this user
    if len(os.fsencode(folder)) > _SOCKET_FOLDER:
        os.rmdir(folder)
        folder = tempfile.mkdtemp(prefix="cdp-spark-", dir="/tmp")
    atexit.register(shutil.rmtree, folder, ignore_errors=True)
    return {"spark.python.unix.domain.socket.enabled": "true", "spark.python.unix.domain.socket.dir": folder}


def _memory_bytes() -> int:
    """Return the memory of this machine, or of its container if that is less."""
    total = int(psutil.virtual_memory().total)
    for limit in ("/sys/fs/cgroup/memory.max", "/sys/fs/cgroup/memory/memory.limit_in_bytes"):
        try:
            return min(total, int(Path(limit).read_text()))
        except (OSError, ValueError):  # no such file, or "max"
            continue
    return total
