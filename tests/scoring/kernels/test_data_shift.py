"""The share of true pairs is estimated without labels, and thresholds move with it."""

import numpy as np
import pytest

from cdp_spark.scoring.kernels.world_model import estimated_share, reweighted

BINS = 2_000


def scores_at(share: float, trained: float, seed: int = 0) -> np.ndarray:
    """Draw pairs of which ``share`` are true, scored by a model that is calibrated at ``trained``."""
    random = np.random.default_rng(seed)
    true = random.random(200_000) < share
    # Two normal evidences: the exact posterior is a sigmoid of them.
    evidence = random.normal(np.where(true, 1.0, -1.0), 1.0)
    return 1 / (1 + np.exp(-2 * evidence) * (1 - trained) / trained)


@pytest.mark.parametrize("trained", [0.3, 0.6])
@pytest.mark.parametrize("share", [0.02, 0.3, 0.6, 0.9])
def test_the_estimate_lies_between_the_share_of_the_data_and_that_of_the_training(share, trained):
    counts = np.histogram(scores_at(share, trained), bins=BINS, range=(0, 1))[0]
    estimate = estimated_share(counts, trained)
    assert min(share, trained) - 0.01 < estimate < max(share, trained) + 0.01
    if share != trained:
        assert abs(estimate - share) < abs(trained - share)


def test_data_without_pairs_keep_the_share_of_the_training():
    assert estimated_share(np.zeros(BINS, np.int64), 0.4) == 0.4


def test_the_threshold_is_higher_where_true_pairs_are_rarer():
    chosen = np.array([0.8])
    moved = reweighted(chosen, 0.3, 0.6)
    assert moved > chosen
    # Corrected to these data, a score at the moved threshold is as probable as one at the chosen was in training.
    assert reweighted(moved, 0.6, 0.3) == pytest.approx(chosen)
    assert reweighted(chosen, 0.5, 0.5) == pytest.approx(chosen)
