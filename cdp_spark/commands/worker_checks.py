"""Ask the workers for their Python and packages before a run needs them."""

from __future__ import annotations

import json
import os
import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

from pyspark.sql import SparkSession
from pyspark.sql import functions as F

from cdp_spark import __version__
from cdp_spark.base.errors import MissingRequirementError
from cdp_spark.spark.differences import is_sail

PACKAGES = {
    "numpy": "numpy", "numba": "numba", "faiss-cpu": "faiss", "pyarrow": "pyarrow", "scipy": "scipy",
    "pandas": "pandas", "cdp-spark": "cdp_spark",
}  # fmt: skip
"""Packages that a worker needs, each with its module."""
_SECONDS = 0.5
"""Duration of an answer: long enough that one worker cannot answer everything while others idle."""
_ROUNDS = 5
_REASONS = (
    r"\[PYTHON_VERSION_MISMATCH\][^\n]*",
    r"Cannot run program [^\n]*",
    r"(?m)^(?:\w+\.)*\w*(?:Error|Exception): [^\n]*",
)

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
    try:
        answers = [json.loads(_question(PACKAGES, 0.0)(0))] if embedded else _answers(spark)
    except Exception as error:  # a worker without Python, or with another version, cannot answer
        raise MissingRequirementError(
            f"{failure(str(error))}: every worker needs the driver's Python: install it there"
        ) from None
    if troubles := lacks(answers, __version__):
        raise MissingRequirementError(
            f"{'; '.join(troubles)}: install them there, or ship them with --py-files or --archives"
        )
    hosts = {answer["host"] for answer in answers}
    first = ", ".join(f"{name} {version}" for name, version in sorted(answers[0]["versions"].items()))
    many = f"{os.cpu_count()} threads of this process" if embedded else f"{len(answers)} on {len(hosts)} host(s)"
    return f"{many}: python {answers[0]['python']}, {first}"


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


def failure(text: str) -> str:
    """Extract from Spark's message which worker failed, and why.

    >>> failure('Lost task 0.3 in stage 0.0 (TID 3) (10.0.0.5 executor 1): java.io.IOException: '
    ...         'Cannot run program "python3.12": error=2, No such file or directory')
    'worker on 10.0.0.5 (executor 1): Cannot run program "python3.12": error=2, No such file or directory'
    """
    worker = re.search(r"\(TID \d+\) \((\S+) executor (\S+)\)", text)
    matches = (re.search(pattern, text) for pattern in _REASONS)
    reason = next(
        (match.group().strip() for match in matches if match), (text.strip().splitlines() or ["no answer"])[0]
    )
    return f"worker on {worker.group(1)} (executor {worker.group(2)}): {reason}" if worker else f"workers: {reason}"


def _answers(spark: SparkSession) -> list[Answer]:
    """Ask until no new worker answers, since executors start one after another."""
    # Row by row and without Arrow, so that a worker without pyarrow can answer.
    ask = F.udf(_question(PACKAGES, _SECONDS), "string", useArrow=False)
    known: dict[tuple[str, str], Answer] = {}
    for _ in range(_ROUNDS):
        slots = spark.range(100_000).select(F.spark_partition_id().alias("slot")).distinct().count()
        rows = spark.range(0, slots, 1, slots).select(ask("id").alias("answer")).collect()
        answers = [json.loads(row["answer"]) for row in rows]
        new = {(answer["host"], answer["folder"]): answer for answer in answers}
        if set(new) <= set(known):
            break
        known |= new
    return [known[key] for key in sorted(known)]


def _question(packages: Mapping[str, str], seconds: float) -> Callable[[int], str]:
    """Make a function that travels by value: workers may lack this package."""

    def answer(_: int) -> str:
        import importlib
        import importlib.metadata
        import json
        import os
        import platform
        import time

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
