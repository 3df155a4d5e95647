"""Peak memory of a stage's workers: observed by Spark during the write, or this process's peak on Sail."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from pyspark.sql import Observation, SparkSession

from cdp_spark.base.memory import peak_bytes, reset_peak
from cdp_spark.spark.arrow import observed_peaks
from cdp_spark.spark.differences import is_sail

# Spark delivers an observation's result from another thread, shortly after the write.
_SECONDS = 2.0


@contextmanager
def stage_peak(spark: SparkSession) -> Iterator[Callable[[], int | None]]:
    """Measure a stage that is built and written inside the block; yield a function that returns bytes or None."""
    if is_sail(spark):
        reset_peak()
        yield peak_bytes
        return
    with observed_peaks() as observations:
        yield lambda: largest_peak(observations)


def largest_peak(observations: list[Observation]) -> int | None:
    """Return the largest known peak; skip observations whose tables the write did not need, as they never answer."""
    deadline, peaks = time.monotonic() + _SECONDS, []
    for observation in observations:
        while not (answered := _answered(observation)) and time.monotonic() < deadline:
            time.sleep(0.02)
        peak = _peak_of(observation) if answered else None
        if peak is not None:
            peaks.append(peak)
    return max(peaks, default=None)


def _peak_of(observation: Observation) -> int | None:
    try:
        peak = observation.get.get("peak")
    except Exception:  # a branch that Spark found empty gives a row without columns
        return None
    return None if peak is None else int(peak)


def _answered(observation: Observation) -> bool:
    try:
        if (java := getattr(observation, "_jo", None)) is not None:
            return bool(java.future().isCompleted())
    except Exception:  # not every release has it; better no figure than an endless wait
        return False
    return getattr(observation, "_result", None) is not None  # Spark Connect
