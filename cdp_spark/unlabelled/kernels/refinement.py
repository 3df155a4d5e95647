"""Train a network of NumPy further, from its own weights: a few steps over rows of several sets at once."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from cdp_spark.networks.kernels.mlp import Mlp
from cdp_spark.unlabelled.kernels.networks import Adam, Floats, Training, gradient_of, standardised


@dataclass(frozen=True)
class Lesson:
    """Rows of one set.

    Attributes
    ----------
    features : ndarray of float16 or float32, shape (n, f)
    target : ndarray of float32, shape (n,)
    offset : float
        Added to the log odds of these rows; stays as it is.
    """

    features: NDArray[Any]
    target: Floats
    offset: float = 0.0


def refined(net: Mlp, lessons: Sequence[Lesson], training: Training) -> Mlp:
    """Train a network further, with its own statistics.

    Parameters
    ----------
    net : Mlp
    lessons : sequence of Lesson
        Every step sees rows of each; all weigh the same.
    training : Training
        Only ``least_steps``, ``seed``, ``batch`` (rows of each lesson) and ``learning_rate`` are used.
    """
    rng, plain = np.random.default_rng(training.seed), replace(training, decay=0.0)
    rows = [standardised(lesson.features, net.mean, net.scale) for lesson in lessons]
    state = Adam.of(tuple(np.array(values) for layer in net.layers for values in layer))
    for _ in range(training.least_steps):
        *weights, bias = state.parameters
        gradients = []
        for each, lesson in zip(rows, lessons, strict=True):
            some = rng.permutation(len(each))[: training.batch]
            shifted = (*weights, bias + np.float32(lesson.offset))
            gradients.append(gradient_of(shifted, each[some], lesson.target[some], np.ones(len(some), np.float32)))
        mean = tuple(np.sum(slopes, axis=0) / np.float32(len(lessons)) for slopes in zip(*gradients, strict=True))
        state.step(mean, plain, training.least_steps)
    w1, b1, w2, b2, w3, b3 = state.parameters
    return replace(net, layers=((w1, b1), (w2, b2), (w3, b3)))
