"""A process with an engine of its own, for tests that compare two: runs of ``cluster``, one JSON line each.

``python -m tests.other_engine sail`` reads a config per line and answers with what the run says of itself, or with the
name and the words of its error.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager, redirect_stdout
from typing import Any


class Other:
    """The other end of such a process."""

    def __init__(self, process: subprocess.Popen[str]) -> None:
        self._process = process

    def cluster(self, settings: Mapping[str, Any]) -> dict[str, Any]:
        """Run there, and return the answer."""
        self._process.stdin.write(json.dumps(settings) + "\n")
        self._process.stdin.flush()
        answer = self._process.stdout.readline()
        assert answer, f"the other engine ended with {self._process.wait()}"
        return json.loads(answer)


@contextmanager
def other_engine(name: str, **variables: str) -> Iterator[Other]:
    """Run the process while the block runs."""
    kept = {
        key: value for key, value in os.environ.items() if key not in ("CDP_ENGINE", "SPARK_MASTER", "SPARK_REMOTE")
    }
    process = subprocess.Popen(
        [sys.executable, "-m", "tests.other_engine", name], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True,
        env={**kept, "CDP_ENGINE": name, **variables},
    )  # fmt: skip
    try:
        yield Other(process)
    finally:
        process.stdin.close()
        process.wait(timeout=60)


def clustered(settings: Mapping[str, Any], spark: Any) -> dict[str, Any]:
    """Run here; the same answer."""
    from cdp_spark.base.errors import CdpError
    from cdp_spark.commands.cluster import cluster
    from cdp_spark.config.loading import load_config

    try:
        record = cluster(load_config(settings), spark=spark).record
    except CdpError as error:
        return {"error": type(error).__name__, "said": str(error).replace(settings["output"], "OUTPUT")}
    return {name: record.get(name) for name in ("engine", "threshold", "forest_complete", "counts", "recall", "pieces")}


def _serve(name: str) -> None:
    from cdp_spark.spark.session import local_session

    answers = sys.stdout
    with redirect_stdout(sys.stderr):
        spark = local_session(engine=name)
        for line in sys.stdin:
            print(json.dumps(clustered(json.loads(line), spark)), file=answers, flush=True)


if __name__ == "__main__":
    _serve(sys.argv[1])
