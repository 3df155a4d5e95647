"""Clusters without labels on one machine: tables of any size, duplicates, models that come twice, no true pair."""

import numpy as np
import pytest

from cdp_spark.evaluation.kernels.metrics import scores, sums_of
from cdp_spark.training.kernels.simulation import simulated_set
from cdp_spark.unlabelled.kernels.reference import cluster_without_labels
from cdp_spark.unlabelled.shipped import load_unlabelled


@pytest.fixture(scope="module")
def mediator():
    return load_unlabelled()[0]


def made(identities: int, images: int, models: int = 3, *, noise: float = 0.6, seed: int = 0):
    """Vectors of identities that are easy to tell apart."""
    rng = np.random.default_rng(seed)
    identity = np.repeat(np.arange(identities), images)
    found = []
    for _ in range(models):
        centre = rng.normal(0, 1, (identities, 48))
        found.append(centre[identity] + noise * rng.normal(0, 1, (len(identity), 48)))
    return found, identity


def f_of(labels, identity) -> tuple[float, float]:
    found = scores(sums_of(labels, identity))
    return found["pairwise_f"] or 0.0, found["bcubed_f"] or 0.0


@pytest.mark.parametrize("count", [0, 1, 2, 16, 41])
@pytest.mark.parametrize("models", [1, 2, 4])
def test_small_tables_have_clusters(mediator, count, models):
    vectors, _ = made(max(1, count // 4), 5, models)
    labels, facts = cluster_without_labels([each[:count] for each in vectors], mediator)
    assert len(labels) == count
    assert np.array_equal(labels, labels[labels])
    assert facts.clusters == len(np.unique(labels))


def test_identities_are_found(mediator):
    vectors, identity = made(120, 6)
    labels, facts = cluster_without_labels(vectors, mediator)
    assert min(f_of(labels, identity)) > 0.97
    assert facts.halves == "models"
    assert facts.agreement > 0.9
    assert facts.precision is not None


def test_the_order_of_calls_changes_nothing(mediator):
    vectors, _ = made(60, 5)
    one, other = (cluster_without_labels(vectors, mediator) for _ in range(2))
    assert np.array_equal(one[0], other[0])
    assert one[1].shift == other[1].shift


def test_a_model_given_twice_counts_once(mediator):
    vectors, _ = made(60, 5, 2)
    once, facts = cluster_without_labels(vectors, mediator)
    twice, again = cluster_without_labels([*vectors, 3.0 * vectors[0]], mediator)
    assert np.array_equal(once, twice)
    assert (again.models, again.shift) == (2, facts.shift)


def test_exact_duplicates_are_collapsed_first(mediator):
    vectors, identity = made(80, 5)
    rng = np.random.default_rng(1)
    rows = np.concatenate([np.arange(400), rng.integers(0, 400, 100)])
    labels, facts = cluster_without_labels([each[rows] for each in vectors], mediator)
    alone, _ = cluster_without_labels(vectors, mediator)
    assert facts.distinct_rows == 400
    assert np.array_equal(labels, alone[rows])
    assert min(f_of(labels, identity[rows])) > 0.95


def test_bursts_of_near_duplicates_cost_little(mediator):
    vectors, identity = made(80, 5)
    rng = np.random.default_rng(2)
    burst = np.repeat(rng.integers(0, 400, 10), 20)
    rows = np.concatenate([np.arange(400), burst])
    near = [each[rows] + 0.01 * rng.normal(0, 1, (len(rows), 48)) for each in vectors]
    labels, _ = cluster_without_labels(near, mediator)
    # A burst fills the lists of its items, so that a few other images of its identity stay apart.
    pairwise, bcubed = f_of(labels, identity[rows])
    assert pairwise > 0.8
    assert bcubed > 0.9


def test_one_model_is_divided_by_its_coordinates(mediator):
    vectors, identity = made(120, 6, 1, noise=0.5)
    labels, facts = cluster_without_labels(vectors, mediator)
    assert facts.halves == "coordinates"
    assert min(f_of(labels, identity)) > 0.9


def test_without_a_true_pair_little_is_joined_or_a_run_warns(mediator):
    rng = np.random.default_rng(3)
    vectors = [rng.normal(0, 1, (600, 64)) for _ in range(4)]
    _, facts = cluster_without_labels(vectors, mediator)
    assert "agreement" in facts.warnings


def test_a_held_out_simulated_set_comes_out_well(mediator):
    drawn = simulated_set(1_003)
    labels, facts = cluster_without_labels(drawn.models, mediator)
    assert facts.models == len(drawn.models)
    assert f_of(labels, drawn.identity)[1] > 0.5
