"""Which worker lacks what: from answers, and from Spark's own message when a worker cannot answer."""

import re

import pytest

from cdp_spark import __version__
from cdp_spark.base.refusals import worker_failure
from cdp_spark.commands.worker_checks import PACKAGES, lacks, workers

FINE = {"host": "w1", "folder": "/app/0", "versions": {"cdp-spark": "0.1.0"}, "lacking": {}}
MISMATCH = (
    "An error occurred while calling o50.collectToPython.\n"
    ": org.apache.spark.SparkException: Job aborted due to stage failure: Task 1 in stage 0.0 failed 4 times, most "
    "recent failure: Lost task 1.3 in stage 0.0 (TID 7) (node7 executor 2): org.apache.spark.api.python.Python"
    "Exception: Traceback (most recent call last):\n"
    '  File "worker.py", line 1, in main\n'
    "pyspark.errors.exceptions.base.PySparkRuntimeError: [PYTHON_VERSION_MISMATCH] Python in worker has different "
    "version: 3.9 than that in driver: 3.11, PySpark cannot run with different minor versions.\n"
)


def test_every_worker_that_lacks_something_is_named_and_no_other():
    bare = {**FINE, "host": "w2", "lacking": {"numba": "ImportError: no", "faiss-cpu": "ModuleNotFoundError: gone"}}
    old = {**FINE, "host": "w3", "versions": {"cdp-spark": "0.0.9"}}
    assert lacks([FINE, bare, old], "0.1.0") == [
        "worker on w2 in /app/0 lacks faiss-cpu (ModuleNotFoundError: gone), numba (ImportError: no)",
        "worker on w3 in /app/0 has cdp-spark 0.0.9, but the driver has 0.1.0",
    ]


def test_a_worker_that_cannot_answer_is_named_with_the_reason():
    said = worker_failure(MISMATCH)
    assert said.startswith("worker on node7 (executor 2): [PYTHON_VERSION_MISMATCH] Python in worker has different")
    assert "\n" not in said
    assert worker_failure("no such luck\nmore") == "workers: no such luck"
    assert worker_failure("") == "workers: no answer"


@pytest.mark.engines
def test_a_local_session_answers_with_versions(spark):
    said = workers(spark)
    assert re.match(r"(1 on 1 host\(s\)|\d+ threads of this process): python 3\.\d+", said)
    assert f"cdp-spark {__version__}" in said
    assert all(f"{name} " in said for name in PACKAGES)
