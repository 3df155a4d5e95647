"""Settings given for a new session: by options, the environment, and ``spark-defaults.conf``."""

from __future__ import annotations

import glob
import os
import re
from collections.abc import Mapping
from pathlib import Path

from cdp_spark.base.errors import MissingRequirementError
from cdp_spark.files.paths import is_local, local_path
from cdp_spark.spark.engine import STARTED_ELSEWHERE

_FILES = ("spark.jars", "spark.files", "spark.archives", "spark.submit.pyFiles")
"""Settings that list files for every worker; Spark only logs that one is missing."""


def settings_given(conf: Mapping[str, str] | None) -> dict[str, str]:
    """Return the Spark settings that hold: those given, over those of ``spark-defaults.conf``."""
    # Where Spark was started by another program, it has read the file itself, and that program's settings win over it.
    return dict(conf or {}) if submitted() else _file_defaults() | dict(conf or {})


def master_given(master: str | None, settings: Mapping[str, str]) -> str | None:
    """Return the master or remote that an option, a setting or the environment names; None where none does."""
    return (
        master
        or remote_given(master, settings)
        or settings.get("spark.master")
        or (None if submitted() else os.environ.get("SPARK_MASTER"))
    )


def remote_given(master: str | None, settings: Mapping[str, str]) -> str | None:
    """Return the server of Spark Connect that is asked for; ``local[2]`` as a remote starts one here."""
    if master is not None:
        return master if master.startswith("sc://") else None
    return settings.get("spark.remote") or os.environ.get("SPARK_REMOTE")


def check_files(settings: Mapping[str, str]) -> None:
    """Refuse settings that name a local file that does not exist.

    Raises
    ------
    MissingRequirementError
    """
    for setting in _FILES:
        for path in filter(None, map(str.strip, settings.get(setting, "").split(","))):
            plain = local_path(path).partition("#")[0]  # the name under which an archive is unpacked
            if is_local(path) and not path.startswith("local:") and not (os.path.exists(plain) or glob.glob(plain)):
                raise MissingRequirementError(f"{setting} names {path}, which does not exist: correct the path")


def submitted() -> bool:
    """Return whether another program has started Spark for this process."""
    return any(name in os.environ for name in STARTED_ELSEWHERE)


def _file_defaults() -> dict[str, str]:
    """Read ``spark-defaults.conf``, which our own defaults must not win over."""
    home = os.environ.get("SPARK_HOME")
    folder = os.environ.get("SPARK_CONF_DIR") or (f"{home}/conf" if home else None)
    if folder is None or not (file := Path(folder, "spark-defaults.conf")).is_file():
        return {}
    lines = (line.strip() for line in file.read_text(encoding="utf-8", errors="replace").splitlines())
    pairs = (re.split(r"\s*=\s*|\s+", line, maxsplit=1) for line in lines if line and not line.startswith("#"))
    return {pair[0]: pair[1] for pair in pairs if len(pair) == 2}
