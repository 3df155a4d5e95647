import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from cdp_spark.base.numeric.dense_numbers import numbered, places

LONGS = st.integers(-(2**63), 2**63 - 1)


@given(st.lists(st.one_of(st.integers(-5, 60), LONGS)))
def test_numbers_are_those_of_a_sort(values):
    values = np.array(values, np.int64)
    wanted, wanted_place = np.unique(values, return_inverse=True)
    found, place = numbered(values)
    np.testing.assert_array_equal(found, wanted)
    np.testing.assert_array_equal(place, wanted_place)
    np.testing.assert_array_equal(places(found, values), place)


def test_dense_and_sparse_values_are_numbered_alike():
    random = np.random.default_rng(0)
    dense = random.integers(10**12, 10**12 + 3000, 2000)
    for values in (dense, dense * 1_000_003):
        found, place = numbered(values)
        np.testing.assert_array_equal(found[place], values)
        np.testing.assert_array_equal(places(found, values), place)
