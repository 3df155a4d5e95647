import numpy as np
import pytest

from cdp_spark.networks.kernels.cross_fitting import Calibration, cross_fitted, fold_of, inside_weights
from cdp_spark.networks.kernels.mlp import sigmoid


def test_folds_are_of_identities_and_about_equal():
    fold = fold_of(np.arange(20_000))
    assert fold.mean() == pytest.approx(0.5, abs=0.02)
    np.testing.assert_array_equal(fold_of(np.arange(500, 900)), fold[500:900])
    assert (fold != fold_of(np.arange(20_000), seed=1)).any()


def test_no_pair_is_scored_by_a_network_that_has_learned_from_it():
    one, other = np.int8([0, 1, 0, 1]), np.int8([0, 1, 1, 0])
    z = cross_fitted((np.full(4, 10.0), np.full(4, 20.0)), one, other)
    assert z.tolist() == [20, 10, 15, 15]
    same = np.array([True, False, False, False])
    assert [inside_weights(one, other, same, fold).tolist() for fold in (0, 1)] == [[1, 0, 0, 0], [0, 2, 0, 0]]


def test_the_weight_of_negatives_makes_up_for_those_across_the_folds():
    random = np.random.default_rng(0)
    identity = random.integers(0, 2000, (2, 100_000))
    fold = fold_of(identity)
    apart = identity[0] != identity[1]
    weight = sum(inside_weights(fold[0], fold[1], ~apart, number) for number in (0, 1))
    assert weight[apart].sum() == pytest.approx(apart.sum(), rel=0.02)
    assert weight[~apart].sum() == (~apart).sum()


@pytest.mark.parametrize(("slope", "shift"), [(1.0, 0.0), (0.4, 2.0), (3.0, -1.0)])
def test_calibration_finds_the_odds_that_are_right(slope, shift):
    random = np.random.default_rng(2)
    z = random.normal(0, 3, 100_000)
    same = random.random(100_000) < sigmoid(slope * z + shift)
    fitted = Calibration.of(z, same, np.ones(100_000))
    assert fitted.slope == pytest.approx(slope, rel=0.05)
    assert fitted.shift == pytest.approx(shift, abs=0.06)
    assert fitted(np.array([1.0])).dtype == np.float32


def test_weights_count_as_repetitions():
    random = np.random.default_rng(3)
    z, times = random.normal(0, 2, 3000), random.integers(1, 4, 3000)
    same = random.random(3000) < sigmoid(z)
    weighed = Calibration.of(z, same, times.astype(float))
    repeated = Calibration.of(np.repeat(z, times), np.repeat(same, times), np.ones(times.sum()))
    assert weighed.slope == pytest.approx(repeated.slope, rel=1e-4)


def test_far_off_predictions_still_converge():
    z = np.linspace(-400, 400, 2000)
    same = np.random.default_rng(4).random(2000) < sigmoid(z / 100)
    assert Calibration.of(z, same, np.ones(2000)).slope == pytest.approx(0.01, rel=0.2)
