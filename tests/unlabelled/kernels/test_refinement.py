import numpy as np

from cdp_spark.unlabelled.kernels.networks import Training, logits, trained
from cdp_spark.unlabelled.kernels.refinement import Lesson, refined


def rows(seed, turned, count=600):
    random = np.random.default_rng(seed)
    features = random.standard_normal((count, 4)).astype(np.float32)
    target = (features[:, 0] + turned * features[:, 1] > 0).astype(np.float32)
    return features, target


def loss(odds, target):
    return np.logaddexp(0, np.where(target > 0, -odds, odds)).mean()


def test_a_network_learns_what_is_new_and_the_same_every_time():
    features, target = rows(0, 0.0)
    start = trained(features, target, np.ones(len(target)), Training(epochs=4))
    new, wanted = rows(1, 2.0)
    training = Training(least_steps=100, learning_rate=2e-3)
    found = refined(start, [Lesson(new, wanted)], training)
    unseen, true = rows(2, 2.0)
    assert loss(logits(found, unseen), true) < loss(logits(start, unseen), true) - 0.05
    again = refined(start, [Lesson(new, wanted)], training)
    assert again.digest == found.digest
    assert not np.array_equal(found.layers[0][0], start.layers[0][0])
    assert np.array_equal(found.mean, start.mean)


def test_an_offset_takes_over_what_would_move_all_log_odds():
    features, target = rows(3, 0.0)
    start = trained(features, target, np.ones(len(target)), Training(epochs=12))
    shifted = refined(start, [Lesson(features, target, 4.0)], Training(least_steps=60, learning_rate=1e-3))
    plain = refined(start, [Lesson(features, target)], Training(least_steps=60, learning_rate=1e-3))
    assert logits(shifted, features).mean() < logits(plain, features).mean() - 0.2
