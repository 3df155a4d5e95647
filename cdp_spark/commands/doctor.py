"""Check the environment before a run; each check is ``ok`` or says what to do."""

from __future__ import annotations

import importlib
import importlib.metadata
import os
import platform
import shutil
import sys
import tempfile
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import psutil

from cdp_spark.base.compile_cache import settle
from cdp_spark.base.errors import CdpError
from cdp_spark.base.known_causes import RIGHTS
from cdp_spark.base.messages import one_line
from cdp_spark.base.process_limits import check_limits
from cdp_spark.base.refusals import cause_of, missing_package, translated, whole_text
from cdp_spark.commands.worker_checks import PACKAGES, workers
from cdp_spark.spark.engine import choose_engine, engine_of
from cdp_spark.spark.given_settings import master_given, settings_given
from cdp_spark.spark.java import java_home

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

_MEMORY = ("tmpfs", "ramfs")


@dataclass(frozen=True)
class Finding:
    """Result of one check.

    Attributes
    ----------
    name : str
    ok : bool
    essential : bool
        Whether a run needs it.
    text : str
        Version or amount, or what is wrong and what to do.
    """

    name: str
    ok: bool
    essential: bool
    text: str


def doctor(
    *, engine: str | None = None, master: str | None = None, conf: dict[str, str] | None = None, output: str = "."
) -> list[Finding]:
    """Check everything that a run needs.

    Parameters
    ----------
    engine : {"auto", "sail", "spark"}, optional
    master : str, optional
    conf : dict, optional
        Spark settings.
    output : str
        Folder whose free space and write access are checked.
    """
    settings = settings_given(conf)
    findings = [_check("memory", False, _memory), _check("disk", True, lambda: _disk(output))]
    findings += [
        _check("temporary", True, lambda: _temporary(settings)),
        _check("TMPDIR", False, _tmpdir),
        _check("in memory", False, _in_memory),
        _check("limits", True, _limits),
    ]
    findings += [_check("home", False, _home), _check("locale", True, _locale), _check("python", True, _python)]
    findings += [_check(name, True, partial(_package, name, module)) for name, module in PACKAGES.items()]
    findings.append(_check("numba cache", True, _numba_cache))
    if not all(finding.ok for finding in findings if finding.name == "limits"):
        return findings  # starting an engine could end this process
    try:
        name, reason = choose_engine(engine, master=master_given(master, settings), conf=conf)
    except CdpError as error:
        return [*findings, Finding("engine", False, True, str(error))]
    java = [] if name == "sail" else [_check("java", True, java_home)]
    if not all(finding.ok for finding in java):
        return [*findings, *java]
    return [*findings, *java, *_of_session(partial(_session, master, conf, name), reason)]


def _session(master: str | None, conf: Mapping[str, str] | None, engine: str) -> SparkSession:
    from cdp_spark.spark.session import local_session  # needs PySpark

    return local_session(master, conf, engine=engine)


def _of_session(start: Callable[[], SparkSession], reason: str) -> list[Finding]:
    """Start the engine, and check its workers and GraphFrames."""
    try:
        spark = start()
    except CdpError as error:
        return [Finding("engine", False, True, str(error))]
    except Exception as error:
        return [Finding("engine", False, True, one_line(cause_of(whole_text(error))))]
    engine = engine_of(spark)
    where = "in this process" if engine.name == "sail" else f"master {_master(spark)}"
    findings = [Finding("engine", True, True, f"{engine.name} {engine.version}, {where}: {reason}")]
    if engine.name == "spark":
        findings.append(Finding("spark", True, True, f"{engine.version}, {where}"))
    findings.append(_check("workers", True, lambda: workers(spark)))
    from cdp_spark.clusters.forest.components import graphframes_available

    available, text = graphframes_available(spark)
    return [*findings, Finding("graphframes", available, False, text)]


def _check(name: str, essential: bool, check: Callable[[], str]) -> Finding:
    try:
        return Finding(name, True, essential, check())
    except importlib.metadata.PackageNotFoundError:
        return Finding(name, False, essential, f"not installed: pip install {name}")
    except (CdpError, OSError) as error:
        return Finding(name, False, essential, one_line(str(error)))
    except ImportError as error:
        return Finding(name, False, essential, str(missing_package(error)))
    except Exception as error:  # a package may raise anything while it is imported
        why = str(translated(error) or one_line(cause_of(whole_text(error)), 200))
        return Finding(name, False, essential, one_line(f"{why}: pip install --force-reinstall {name}"))


def _memory() -> str:
    free = psutil.virtual_memory().available / 2**30
    if free < 4:
        raise OSError(
            f"{free:.1f} GiB free; each task of a large run takes up to 2 GiB: use fewer cores or more memory"
        )
    return f"{free:.1f} GiB free, {os.cpu_count()} cores"


def _limits() -> str:
    check_limits(start_only=False)
    return "files, memory, threads and times of this process suffice"


def _disk(output: str) -> str:
    folder = output
    while not os.path.isdir(folder):
        if os.path.lexists(folder):
            raise OSError(f"{folder} is a file, but a folder is needed: choose another path")
        folder = os.path.dirname(os.path.abspath(folder))
    try:
        with tempfile.TemporaryFile(dir=folder):
            free = shutil.disk_usage(folder).free / 2**30
    except OSError as error:
        raise OSError(f"{folder} cannot be written ({error.strerror}): {RIGHTS}") from None
    if free < 1:
        raise OSError(
            f"{free:.1f} GiB free in {folder}; a run needs about 3 times the size of the embeddings: free some space"
        )
    return f"{free:.0f} GiB free in {folder}, writable"


def _temporary(settings: Mapping[str, str]) -> str:
    """Say where temporary files go: Python's, and Spark's shuffles."""
    spark = os.environ.get("SPARK_LOCAL_DIRS") or settings.get("spark.local.dir")
    said = []
    for folder in [tempfile.gettempdir(), *(spark.split(",") if spark else [])]:
        remedy = "set TMPDIR" if folder not in (spark or "") else "set spark.local.dir (or SPARK_LOCAL_DIRS)"
        try:
            with tempfile.TemporaryFile(dir=folder):
                free = shutil.disk_usage(folder).free / 2**30
        except OSError as error:
            raise OSError(f"{folder} cannot be written ({error.strerror}): {remedy} to a folder that can") from None
        if free < 1:
            raise OSError(f"{free:.1f} GiB free in {folder}: free some, or {remedy} to a folder on another disk")
        said.append(f"{free:.0f} GiB free in {folder}")
    return ", ".join(said)


def _tmpdir() -> str:
    """Say whether Python takes the folder of TMPDIR; it passes over one that it cannot write."""
    given = next(filter(None, map(os.environ.get, ("TMPDIR", "TEMP", "TMP"))), None)
    if given is not None and os.path.abspath(given) != os.path.abspath(tempfile.gettempdir()):
        raise OSError(
            f"{given} cannot be written, so {tempfile.gettempdir()} is used instead: make that folder, or unset TMPDIR"
        )
    return given or f"not set: {tempfile.gettempdir()}"


def _in_memory() -> str:
    """Say whether temporary files take memory: Debian 13 and Fedora allow /tmp half of the machine's memory."""
    for folder in dict.fromkeys((tempfile.gettempdir(), "/tmp")):
        mounts = [mount for mount in psutil.disk_partitions(all=True) if _below(folder, mount.mountpoint)]
        kind = max(mounts, key=lambda mount: len(mount.mountpoint)).fstype if mounts else ""
        if kind in _MEMORY:
            raise OSError(
                f"{folder} lies in memory ({kind}): what a run writes there is missing elsewhere; "
                "set TMPDIR, and for Spark --conf spark.local.dir, to a folder on a disk"
            )
    return "temporary files lie on a disk"


def _below(folder: str, above: str) -> bool:
    return f"{os.path.realpath(folder)}/".startswith(above.rstrip("/") + "/")


def _home() -> str:
    home = os.path.expanduser("~")
    if not os.path.isdir(home) or not os.access(home, os.W_OK):
        raise OSError(
            f"{home} cannot be written; a run does not need it, but downloads of spark.jars.packages do: "
            "set HOME, or --conf spark.jars.ivy=/folder"
        )
    return f"{home}, writable"


def _locale() -> str:
    """Say whether Python and the JVM can read every path in this locale."""
    known = sys.getfilesystemencoding()
    if known.replace("-", "").lower() != "utf8":
        raise OSError(f"paths are read as {known}: set LC_ALL=C.UTF-8 and unset PYTHONUTF8, or use plain letters only")
    return f"paths are read as {known}"


def _python() -> str:
    if not (3, 10) <= sys.version_info[:2] <= (3, 14):
        raise OSError(f"{platform.python_version()}: make an environment of Python 3.10 to 3.14")
    return platform.python_version()


def _package(name: str, module: str) -> str:
    """Import it: an installed package may not fit the versions of the others."""
    # Ours imports numba and refuses variables of the environment that do not go with it.
    importlib.import_module("cdp_spark.base.compiled" if name == "numba" else module)
    return importlib.metadata.version(name)


def _numba_cache() -> str:
    """Return the folder of compiled kernels; compiles nothing."""
    own = Path(__file__).parents[1] / "base"
    return settle(own) or f"beside the package or in the user's cache ({own / '__pycache__'})"


def _master(spark: SparkSession) -> str:
    return spark.conf.get("spark.master", "?") or "?"
