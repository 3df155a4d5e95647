"""Check the environment before a run: per check ``ok``, or what to do."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import shutil
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from functools import partial
from pathlib import Path

import psutil
from pyspark.sql import SparkSession

from cdp_spark.base import compiled
from cdp_spark.base.compile_cache import settle
from cdp_spark.base.errors import CdpError
from cdp_spark.commands.worker_checks import PACKAGES, workers
from cdp_spark.spark.engine import choose_engine, engine_of
from cdp_spark.spark.session import java_home, local_session, master_given, settings_given


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
    findings = [_check("memory", False, _memory), _check("disk", True, lambda: _disk(output))]
    findings += [_check("python", True, platform.python_version)]
    findings += [_check(name, True, partial(importlib.metadata.version, name)) for name in PACKAGES]
    findings.append(_check("numba cache", True, _numba_cache))
    settings = settings_given(conf)
    try:
        name, reason = choose_engine(engine, master=master_given(master, settings), conf=conf)
    except CdpError as error:
        return [*findings, Finding("engine", False, True, str(error))]
    java = [] if name == "sail" else [_check("java", True, java_home)]
    if not all(finding.ok for finding in java):
        return [*findings, *java]
    return [*findings, *java, *_of_session(partial(local_session, master, conf, engine=name), reason)]


def _of_session(start: Callable[[], SparkSession], reason: str) -> list[Finding]:
    """Start the engine, and check its workers and GraphFrames."""
    try:
        spark = start()
    except Exception as error:
        return [Finding("engine", False, True, str(error).splitlines()[0])]
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
        return Finding(name, False, essential, str(error))


def _memory() -> str:
    free = psutil.virtual_memory().available / 2**30
    if free < 4:
        raise OSError(
            f"{free:.1f} GiB free; each task of a large run takes up to 2 GiB: use fewer cores or more memory"
        )
    return f"{free:.1f} GiB free, {os.cpu_count()} cores"


def _disk(output: str) -> str:
    folder = output
    while not os.path.isdir(folder):
        folder = os.path.dirname(os.path.abspath(folder))
    with tempfile.TemporaryFile(dir=folder):
        free = shutil.disk_usage(folder).free / 2**30
    if free < 1:
        raise OSError(
            f"{free:.1f} GiB free in {folder}; a run needs about 3 times the size of the embeddings: free some space"
        )
    return f"{free:.0f} GiB free in {folder}, writable"


def _numba_cache() -> str:
    """Return the folder of compiled kernels; compiles nothing."""
    own = Path(compiled.__file__).parent
    return settle(own) or f"beside the package or in the user's cache ({own / '__pycache__'})"


def _master(spark: SparkSession) -> str:
    return spark.conf.get("spark.master", "?") or "?"
