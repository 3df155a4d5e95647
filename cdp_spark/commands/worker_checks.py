"""Ask the workers for their Python and packages before a run needs them."""

from __future__ import annotations

import json
import os
from collections.abc import Callable, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from cdp_spark import __version__
from cdp_spark.base.errors import MissingRequirementError
from cdp_spark.base.messages import one_line
from cdp_spark.base.refusals import translated, whole_text, worker_failure
from cdp_spark.spark.differences import is_sail
from cdp_spark.spark.engine import on_one_machine

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

PACKAGES = {
    "numpy": "numpy", "numba": "numba", "faiss-cpu": "faiss", "pyarrow": "pyarrow", "scipy": "scipy",
    "pandas": "pandas", "cdp-spark": "cdp_spark",
}  # fmt: skip
"""Packages that a worker needs, each with its module."""
_SECONDS = 0.5
"""Duration of an answer: long enough that one worker cannot answer everything while others idle."""
_ROUNDS = 5
Answer = Mapping[str, Any]
"""One worker's ``host``, working ``folder``, ``python``, ``versions`` and ``lacking`` (reasons)."""


def workers(spark: SparkSession) -> str:
    """Ask every worker for its Python and packages.

    Returns
    -------
    str
        One line: the number of workers and hosts, and the versions on the first worker.

    Raises
    ------
    MissingRequirementError
        If a worker lacks something; one line names each such worker and what it lacks.
    """
    embedded = is_sail(spark)
    answers = [json.loads(_question(PACKAGES, 0.0)(0))] if embedded else _checked(lambda: _answers(spark))
    _refuse(answers)
    hosts = {answer["host"] for answer in answers}
    first = ", ".join(f"{name} {version}" for name, version in sorted(answers[0]["versions"].items()))
    many = f"{os.cpu_count()} threads of this process" if embedded else f"{len(answers)} on {len(hosts)} host(s)"
    return f"{many}: python {answers[0]['python']}, {first}"


def check_workers(spark: SparkSession) -> None:
    """Check the workers once, before any work: one of this machine, or each of a cluster's.

    Raises
    ------
    MissingRequirementError
        As :func:`workers`.
    """
    if is_sail(spark):
        return
    _refuse(_checked(lambda: _asked(spark, 1 if on_one_machine(spark) else _slots(spark), seconds=0.0)))


def _checked(ask: Callable[[], list[Answer]]) -> list[Answer]:
    try:
        return ask()
    except Exception as error:  # a worker without Python, or with another one, cannot even answer
        if (known := translated(error)) is not None:
            raise known from None
        why = one_line(worker_failure(whole_text(error)), 200)
        raise MissingRequirementError(
            f"{why}: every worker needs the driver's Python and packages: set PYSPARK_PYTHON, or install them there"
        ) from None


def _refuse(answers: Sequence[Answer]) -> None:
    if troubles := lacks(answers, __version__):
        said = one_line("; ".join(troubles), 300)
        raise MissingRequirementError(f"{said}: install it there, or send it along (--py-files, --archives)")


def lacks(answers: Sequence[Answer], version: str) -> list[str]:
    """Describe what each worker lacks.

    Parameters
    ----------
    answers : sequence of Answer
    version : str
        This package's version on the driver.

    Examples
    --------
    >>> lacks([{"host": "w1", "folder": "/app/0", "versions": {}, "lacking": {"numba": "not there"}}], "0.1.0")
    ['worker on w1 in /app/0 lacks numba (not there)']
    """
    messages = []
    for answer in answers:
        worker = f"worker on {answer['host']} in {answer['folder']}"
        wrong = [f"{name} ({reason})" for name, reason in sorted(answer["lacking"].items())]
        if wrong:
            messages.append(f"{worker} lacks {', '.join(wrong)}")
        elif (own := answer["versions"].get("cdp-spark")) != version:
            messages.append(f"{worker} has cdp-spark {own}, but the driver has {version}")
    return messages


def _answers(spark: SparkSession) -> list[Answer]:
    """Ask until no new worker answers, since executors start one after another."""
    known: dict[tuple[str, str], Answer] = {}
    for _ in range(_ROUNDS):
        answers = _asked(spark, _slots(spark), seconds=_SECONDS)
        new = {(answer["host"], answer["folder"]): answer for answer in answers}
        if set(new) <= set(known):
            break
        known |= new
    return [known[key] for key in sorted(known)]


def _slots(spark: SparkSession) -> int:
    """Return how many tasks the session now runs at once."""
    from pyspark.sql import functions as F

    return spark.range(100_000).select(F.spark_partition_id().alias("slot")).distinct().count()


def _asked(spark: SparkSession, tasks: int, *, seconds: float) -> list[Answer]:
    from pyspark.sql import functions as F

    # A row at a time, without Arrow, so that a worker without pyarrow can answer.
    ask = F.udf(_question(PACKAGES, seconds), "string", useArrow=False)
    rows = spark.range(0, tasks, 1, tasks).select(ask("id").alias("answer")).collect()
    return [json.loads(row["answer"]) for row in rows]


def _question(packages: Mapping[str, str], seconds: float) -> Callable[[int], str]:
    """Make a function that travels by value: workers may lack this package."""

    def answer(_: int) -> str:
        import importlib
        import importlib.metadata
        import json
        import os
        import platform
        import time
        import warnings

        warnings.simplefilter("ignore")  # what a package says while it is imported
        versions, lacking = {}, {}
        for name, module in packages.items():
            try:
                loaded = importlib.import_module(module)
                versions[name] = str(getattr(loaded, "__version__", None) or importlib.metadata.version(name))
            except Exception as error:
                lacking[name] = f"{type(error).__name__}: {error}".splitlines()[0]
        time.sleep(seconds)
        where = {"host": platform.node(), "folder": os.getcwd(), "python": platform.python_version()}
        return json.dumps({**where, "versions": versions, "lacking": lacking})

    return answer
