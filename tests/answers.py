"""What a test's own process answers: plain values that go through JSON."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from pyspark.sql import DataFrame

from cdp_spark.base.errors import CdpError


def rows(table: DataFrame) -> list[list[Any]]:
    """Clusters, sorted."""
    return sorted(list(row) for row in table.select("id", "cluster", "status", "size").collect())


def refused(step: Callable[[], object]) -> str | None:
    """The line by which a step is refused, or None where it is not."""
    try:
        step()
    except CdpError as error:
        return str(error)
    return None
