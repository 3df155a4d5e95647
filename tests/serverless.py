"""What serverless compute refuses, as methods that refuse it in a session of another kind."""

from __future__ import annotations

from collections.abc import Callable, Iterator

from pyspark.errors import AnalysisException
from pyspark.sql import SparkSession

KEPT = ("cache", "persist", "checkpoint", "localCheckpoint")
ALLOWED = (
    "spark.databricks.execution.timeout", "spark.sql.legacy.timeParserPolicy", "spark.sql.session.timeZone",
    "spark.sql.shuffle.partitions", "spark.sql.ansi.enabled", "spark.sql.files.maxPartitionBytes",
)  # fmt: skip
"""Settings that serverless compute lets a session change."""


def refusal(what: str) -> Callable[..., None]:
    def refuse(self: object, *arguments: object, **_: object) -> None:
        if what != "SET" or arguments[0] not in ALLOWED:
            raise AnalysisException(
                f"[NOT_SUPPORTED_WITH_SERVERLESS] {what} is not supported on serverless compute. SQLSTATE: 0A000"
            )

    return refuse


def refusals(spark: SparkSession) -> Iterator[tuple[type, str, Callable[..., None]]]:
    """Yield a class, the name of a method, and what to put in its place."""
    for name in KEPT:
        yield type(spark.range(1)), name, refusal(name.upper())
    yield type(spark.conf), "set", refusal("SET")
    yield type(spark.catalog), "cacheTable", refusal("CACHE TABLE")
