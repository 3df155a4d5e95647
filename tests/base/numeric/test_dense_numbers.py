import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from cdp_spark.base.numeric.dense_numbers import numbered, positions

LONGS = st.integers(-(2**63), 2**63 - 1)


@given(st.lists(st.one_of(st.integers(-5, 60), LONGS)))
def test_numbers_are_those_of_a_sort(values):
    values = np.array(values, np.int64)
    distinct, position = np.unique(values, return_inverse=True)
    known, numbers = numbered(values)
    np.testing.assert_array_equal(known, distinct)
    np.testing.assert_array_equal(numbers, position)
    np.testing.assert_array_equal(positions(known, values), numbers)


def test_dense_and_sparse_values_are_numbered_alike():
    random = np.random.default_rng(0)
    dense = random.integers(10**12, 10**12 + 3000, 2000)
    for values in (dense, dense * 1_000_003):
        known, numbers = numbered(values)
        np.testing.assert_array_equal(known[numbers], values)
        np.testing.assert_array_equal(positions(known, values), numbers)
