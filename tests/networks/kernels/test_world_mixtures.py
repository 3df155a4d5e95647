"""World mixtures, a half of ``networks.kernels.mlp``."""

import numpy as np

from cdp_spark.networks.kernels.mlp import mixture_logits, world_targets


def test_a_mixture_is_what_bayes_rule_makes_of_the_classes():
    random = np.random.default_rng(0)
    classes = random.normal(0, 3, (50, 8))
    weights = np.array([0.4, 0.3, 0.2, 0.1])
    share = np.exp(classes)
    wanted = np.log((share[:, 4:] * weights).sum(axis=1) / (share[:, :4] * weights).sum(axis=1))
    np.testing.assert_allclose(mixture_logits(classes, weights), wanted, atol=1e-9)


def test_one_world_is_the_difference_of_two_classes_and_large_logits_do_not_overflow():
    classes = np.array([[-4000.0, 1000.0], [800.0, -900.0]])
    np.testing.assert_allclose(mixture_logits(classes, np.ones(1)), [5000, -1700])


def test_a_row_does_not_depend_on_its_batch():
    classes = np.random.default_rng(1).normal(0, 3, (101, 4))
    weights = np.array([0.7, 0.3])
    alone = [mixture_logits(classes[row : row + 1], weights)[0] for row in range(len(classes))]
    np.testing.assert_array_equal(mixture_logits(classes, weights), alone)


def test_targets_of_a_row_sum_to_one_and_lie_in_its_world():
    targets = world_targets(np.array([True, False]), 2, 4)
    assert targets.sum(axis=1).tolist() == [1, 1]
    assert [int(row.argmax()) for row in targets] == [6, 2]
