"""What halves give alike, from their forests alone; whole runs are compared in ``tests/commands/test_sweep.py``."""

import pytest

from cdp_spark.clusters.kernels.pruning import Limits
from cdp_spark.evaluation.halves import ALIKE, FORESTS, items_alike_by_threshold, share_of_votes
from cdp_spark.evaluation.thresholds import SweepInput

LIMITS = Limits(max_cluster_size=10, threshold_step=0.05, max_iter=10)


@pytest.mark.engines
def test_clusters_are_compared_by_threshold_and_the_mean_over_splits_is_taken(spark):
    first = [(0, 0, 1, 0.75), (0, 2, 3, 0.5), (0, 3, 4, 0.5)]
    second = [(1, 0, 1, 0.75), (1, 2, 3, 0.5)]
    forests = spark.createDataFrame([*first, *second], FORESTS).repartition(7)
    starts = {0.4: 0.5, 0.6: 0.75, 0.95: None}
    halves = [SweepInput(starts, LIMITS, 6) for _ in range(2)]
    found = items_alike_by_threshold(forests, [(0, 1), (0, 0)], halves)
    assert found.schema == ALIKE
    assert {row["threshold"]: row["alike"] for row in found.collect()} == {0.4: 3.5, 0.6: 2.0, 0.95: 0.0}


def test_the_share_of_members_that_must_agree_does_not_fall():
    assert [share_of_votes(3, 3, half) for half in (1, 2)] == [1, 2]
    assert [share_of_votes(1, 4, half) for half in (1, 2, 3)] == [1, 1, 1]
