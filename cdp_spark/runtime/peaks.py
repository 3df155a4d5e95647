"""The peak memory of a stage's workers, from what Spark observed while it wrote the stage."""

from __future__ import annotations

import time

from pyspark.sql import Observation

# Spark tells an observation's result shortly after the write has ended, from another thread.
_SECONDS = 2.0


def largest_peak(observations: list[Observation]) -> int | None:
    """Return the largest peak known; asks no observation whose table the write did not need, for it never answers."""
    deadline, peaks = time.time() + _SECONDS, []
    for observation in observations:
        while not (answered := _answered(observation)) and time.time() < deadline:
            time.sleep(0.02)
        peak = _peak_of(observation) if answered else None
        if peak is not None:
            peaks.append(peak)
    return max(peaks, default=None)


def _peak_of(observation: Observation) -> int | None:
    try:
        peak = observation.get.get("peak")
    except Exception:  # a part of the plan that Spark found empty answers with a row without columns
        return None
    return None if peak is None else int(peak)


def _answered(observation: Observation) -> bool:
    try:
        if (java := getattr(observation, "_jo", None)) is not None:
            return bool(java.future().isCompleted())
    except Exception:  # not every release has it: no figure is better than waiting for ever
        return False
    return getattr(observation, "_result", None) is not None  # Spark Connect
