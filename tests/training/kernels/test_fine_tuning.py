from dataclasses import replace

import numpy as np
import pytest

from cdp_spark.base.numeric.unit_vectors import unit_rows
from cdp_spark.training.kernels.fine_tuning import LabelledWorld, calibration, fine_tuned, labelled_worlds
from cdp_spark.training.kernels.simulation import simulated_set
from cdp_spark.unlabelled.kernels.networks import Training, mean_logits
from cdp_spark.unlabelled.shipped import load_unlabelled

SHIPPED, _ = load_unlabelled()


def world(slope, shift, seed=0, count=4_000):
    """Pairs whose log odds are right once scaled and shifted."""
    random = np.random.default_rng(seed)
    z = random.normal(0, 3, count)
    one = random.integers(0, 300, count)
    same = random.random(count) < 1 / (1 + np.exp(-(slope * z + shift)))
    return LabelledWorld(np.zeros((count, 1), np.float32), z, one, np.where(same, one, one + 1))


def test_one_slope_and_a_shift_of_each_world_are_found():
    slope, shifts = calibration([world(1.5, -1.0), world(1.5, 2.0, 1)])
    assert slope == pytest.approx(1.5, abs=0.2)
    assert shifts == pytest.approx([-1.0, 2.0], abs=0.4)


def test_few_identities_move_little():
    few = world(3.0, 3.0, count=40)
    few = replace(few, one=few.one % 2, other=few.one % 2 + (few.one != few.other))
    slope, shifts = calibration([few])
    assert 1 <= slope < 1.3
    assert 0 < shifts[0] < 2.5


@pytest.fixture(scope="module")
def labelled():
    drawn = simulated_set(3, items=1_000)
    kept = np.flatnonzero(drawn.identity < np.sort(drawn.identity)[300])
    models = [unit_rows(vectors[kept].astype(np.float32))[0] for vectors in drawn.models[:2]]
    return models, drawn.identity[kept].astype(np.int64)


def test_a_mediator_is_tuned_the_same_every_time(labelled):
    worlds = labelled_worlds(*labelled, SHIPPED, (0.0, 1.0))
    assert worlds
    assert all(each.teaches for each in worlds)
    assert len(worlds[-1].z) <= len(worlds[0].z)
    training = Training(least_steps=5)
    one, other = (fine_tuned(SHIPPED, worlds, training) for _ in range(2))
    assert [net.digest for net in one.mediator.second] == [net.digest for net in other.mediator.second]
    assert one.mediator.first == SHIPPED.first
    assert one.pairs == sum(len(each.z) for each in worlds)
    assert one.weights == (one.tuned_loss < 0.85 * one.loss)


def test_without_better_losses_only_the_scale_changes(labelled):
    worlds = labelled_worlds(*labelled, SHIPPED, (0.0,))
    tuned = fine_tuned(SHIPPED, worlds, Training(least_steps=1, learning_rate=0.0))
    assert not tuned.weights
    rows = worlds[0].features
    scaled = mean_logits(tuned.mediator.second, rows)
    np.testing.assert_allclose(scaled, tuned.slope * mean_logits(SHIPPED.second, rows), rtol=1e-4, atol=1e-4)


def test_nothing_to_learn_from_leaves_the_start(labelled):
    models, identity = labelled
    assert labelled_worlds(models, np.zeros_like(identity), SHIPPED, (0.0,)) == []
    assert fine_tuned(SHIPPED, []).mediator is SHIPPED
