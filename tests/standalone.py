"""A real standalone cluster out of the pip package, by the scripts of docker/: one master, two workers, on loopback."""

from __future__ import annotations

import json
import os
import shutil
import signal
import socket
import subprocess
import sys
import time
import urllib.request
from collections.abc import Iterator, Mapping, Sequence
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from pathlib import Path

import pyspark

from cdp_spark.base.errors import MissingRequirementError
from cdp_spark.spark.java import java_home
from tests.conftest import QUICK_JVM

ROOT = Path(__file__).parents[1]
DOCKER = ROOT / "docker"
SETTINGS = {
    "spark.cores.max": "2",  # one on each worker: two jobs have room beside each other
    "spark.executor.memory": "700m",
    "spark.ui.enabled": "false",
    "spark.sql.shuffle.partitions": "4",
    "spark.python.unix.domain.socket.enabled": "true",
}
_START_SECONDS = 60.0


class NoCluster(Exception):  # noqa: N818 - a reason to skip
    """The cluster cannot be started here; says why."""


@dataclass(frozen=True)
class Standalone:
    """A running cluster: its master, the master's page, and where workers keep what executors write."""

    master: str
    page: str
    folder: Path


def environment(**more: str) -> dict[str, str]:
    """What Spark's own scripts need. Nothing of the checkout is on a path: jobs must bring the package."""
    kept = {key: value for key, value in os.environ.items() if key not in ("PYTHONPATH", "SPARK_MASTER")}
    return {
        **kept,
        "PATH": os.pathsep.join([str(Path(sys.executable).parent), str(DOCKER), kept.get("PATH", "")]),
        "SPARK_HOME": str(Path(pyspark.__file__).parent),
        "SPARK_LOCAL_IP": "127.0.0.1",
        "SPARK_DAEMON_JAVA_OPTS": QUICK_JVM,
        "PYSPARK_PYTHON": sys.executable,
        **more,
    }


@contextmanager
def standalone(folder: Path, workers: Sequence[Mapping[str, str]] = ({}, {})) -> Iterator[Standalone]:
    """Run a cluster while the block runs.

    Parameters
    ----------
    folder : Path
        For logs and workers' files; worker ``n`` has ``worker-n`` in it.
    workers : sequence of mapping
        Environment of each worker, beside the usual one.
    """
    try:
        java_home()
    except MissingRequirementError as error:
        raise NoCluster(str(error)) from None
    port, page = free_port(), free_port()
    found = Standalone(f"spark://127.0.0.1:{port}", f"http://127.0.0.1:{page}", folder)
    own = {"CDP_HOST": "127.0.0.1", "CDP_MASTER": found.master, "CDP_MEMORY": "2g"}
    settings = environment(XDG_CACHE_HOME=f"{folder}/cache", **own)
    processes = [_start("master", folder, {**settings, "CDP_PORT": str(port), "CDP_WEB_PORT": str(page)})]
    try:
        _wait_for_workers(found, 0)
        for number, more in enumerate(workers):
            its = {"CDP_WEB_PORT": "0", "CDP_WORK": f"{folder}/worker-{number}", **more}
            processes.append(_start("worker", folder, {**settings, **its}, f"worker-{number}"))
        _wait_for_workers(found, len(workers))
        yield found
    finally:
        for process in processes[::-1]:
            stop(process)


def submit_words(cluster: Standalone, job: str | Path, *words: object, options: Sequence[str] = ()) -> list[str]:
    """The whole ``spark-submit`` of a job: its name, or a file."""
    file = job if isinstance(job, Path) else ROOT / "jobs" / f"{job}.py"
    settings = [f"--conf={key}={value}" for key, value in SETTINGS.items()]
    return ["spark-submit", "--master", cluster.master, *settings, *options, str(file), *map(str, words)]


def run(words: Sequence[str], **more: str) -> subprocess.CompletedProcess[str]:
    """Run to the end, in the environment of Spark's scripts."""
    return subprocess.run(words, capture_output=True, text=True, timeout=600, check=False, env=environment(**more))


def start(words: Sequence[str], log: Path) -> subprocess.Popen[str]:
    """Start in a process group of its own, so that it can be killed with its JVM."""
    with log.open("w") as stream:
        return subprocess.Popen(
            words, stdout=stream, stderr=subprocess.STDOUT, text=True, env=environment(), start_new_session=True
        )


def stop(process: subprocess.Popen[str], sign: signal.Signals = signal.SIGTERM) -> None:
    """End a process and its group."""
    for each in (sign, signal.SIGKILL):
        with suppress(ProcessLookupError):
            os.killpg(process.pid, each)
        with suppress(subprocess.TimeoutExpired):
            process.wait(timeout=20)
            return


def build_wheel(folder: Path) -> Path:
    """Build the checkout's wheel, out of a copy: building leaves files behind."""
    source = folder / "source"
    shutil.copytree(ROOT / "cdp_spark", source / "cdp_spark", ignore=shutil.ignore_patterns("__pycache__"))
    for name in ("setup.py", "pyproject.toml", "README.md"):
        shutil.copy(ROOT / name, source / name)
    words = [sys.executable, "-m", "pip", "wheel", "--quiet", "--no-deps", "--no-build-isolation"]
    subprocess.run([*words, "--wheel-dir", str(folder), str(source)], check=True, timeout=300)
    (wheel,) = folder.glob("*.whl")
    return wheel


def free_port() -> int:
    """A port of loopback that nobody listens on now."""
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        return int(taken.getsockname()[1])


def _start(script: str, folder: Path, settings: Mapping[str, str], name: str | None = None) -> subprocess.Popen[str]:
    with (folder / f"{name or script}.log").open("w") as log:
        return subprocess.Popen(
            ["sh", str(DOCKER / f"{script}.sh")], stdout=log, stderr=subprocess.STDOUT, text=True, env=dict(settings),
            start_new_session=True,
        )  # fmt: skip


def _wait_for_workers(cluster: Standalone, number: int) -> None:
    deadline = time.time() + _START_SECONDS
    while time.time() < deadline:
        with suppress(OSError), urllib.request.urlopen(f"{cluster.page}/json/", timeout=5) as answer:
            if json.load(answer)["aliveworkers"] >= number:
                return
        time.sleep(0.2)
    last = [line for log in sorted(cluster.folder.glob("*.log")) for line in log.read_text().splitlines()[-2:]]
    raise NoCluster(f"{number} workers did not answer in {_START_SECONDS:.0f} s: {' | '.join(last)}")
