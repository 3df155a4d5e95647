import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cdp_spark.base.numeric.best_of_many import best_columns, thin


@settings(max_examples=80, deadline=None)
@given(st.integers(1, 200), st.integers(0, 10_000), st.integers(1, 9))
def test_thinning_keeps_the_best_and_puts_the_worst_of_them_last(used, seed, values):
    random = np.random.default_rng(seed)
    scores = random.integers(0, values, used).astype(np.float32)
    entries = np.arange(used, dtype=np.int32)
    room = int(random.integers(1, used + 1))
    given_scores = scores.copy()
    worst = thin(scores, entries, used, room)
    np.testing.assert_array_equal(np.sort(scores[:room]), np.sort(given_scores)[used - room :])
    np.testing.assert_array_equal(given_scores[entries], scores)
    assert worst == scores[room - 1] == scores[:room].min()


@pytest.mark.parametrize(("width", "room"), [(1, 1), (31, 31), (32, 3), (33, 2), (700, 40), (3000, 1)])
def test_the_best_columns_are_those_of_a_sort(width, room):
    scores = np.random.default_rng(width).standard_normal((50, width)).astype(np.float32)
    columns, kept = best_columns(scores, room)
    np.testing.assert_array_equal(np.sort(columns, axis=1), np.sort(np.argsort(-scores, axis=1)[:, :room], axis=1))
    np.testing.assert_array_equal(kept, np.take_along_axis(scores, columns.astype(np.int64), axis=1))
    np.testing.assert_array_equal(kept[:, -1], kept.min(axis=1))
