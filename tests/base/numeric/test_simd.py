import numpy as np
import pytest
from numba import njit, types

from cdp_spark.base.numeric import float16
from cdp_spark.base.numeric.simd import LANES, bits_above, bits_above_scaled, intrinsic, lowest, prefetch


@njit
def _columns_above(values, row, bound):
    columns = [-1]  # numba cannot infer the type of an empty list
    for start in range(0, values.shape[1], LANES):
        bits = bits_above(values, row, start, bound)
        while bits:
            columns.append(start + lowest(bits))
            bits &= bits - np.uint32(1)
    return np.array(columns[1:])


@njit
def _columns_above_scaled(values, row, factors, bound):
    columns = [-1]
    for start in range(0, values.shape[1], LANES):
        bits = bits_above_scaled(values, row, start, factors, bound)
        while bits:
            columns.append(start + lowest(bits))
            bits &= bits - np.uint32(1)
    return np.array(columns[1:])


@pytest.mark.parametrize("width", [1, LANES - 1, LANES, LANES + 1, 5 * LANES, 235])
def test_the_bits_are_those_of_single_comparisons(width):
    random = np.random.default_rng(width)
    values = random.integers(-3, 4, (3, width)).astype(np.float32)
    factors = random.random(width).astype(np.float32)
    values[1, :: width - 1 or 1] = 9
    for row in range(3):
        above = _columns_above(values, row, np.float32(1))
        np.testing.assert_array_equal(above, np.flatnonzero(values[row] > 1))
        above = _columns_above_scaled(values, row, factors, np.float32(0.5))
        np.testing.assert_array_equal(above, np.flatnonzero(values[row] * factors > np.float32(0.5)))


def test_nothing_is_above_infinity_and_all_numbers_are_above_its_opposite():
    values = np.zeros((1, LANES), np.float32)

    @njit
    def both(values):
        return bits_above(values, 0, 0, np.float32(np.inf)), bits_above(values, 0, 0, np.float32(-np.inf))

    assert both(values) == (0, 2**LANES - 1)


def test_a_prefetch_changes_nothing():
    @njit
    def prefetched(values):
        for row in range(len(values)):
            prefetch(values, row)
        return values.sum()

    for values in (np.arange(600.0).reshape(3, 200), np.ones((4, 7), np.uint16), np.ones((5, 1))):
        assert prefetched(values) == values.sum()


def test_float16_is_converted_alike_with_and_without_an_instruction_for_it():
    @intrinsic
    def by_shifts(typing_context, bits):
        return types.float32(types.uint16), lambda context, builder, signature, given: float16._by_shifts(
            builder, given[0]
        )

    @njit
    def shifted(bits, out):
        for i in range(len(bits)):
            out[i] = by_shifts(bits[i])

    every = np.arange(1 << 16).astype(np.uint16)
    finite = every[np.isfinite(every.view(np.float16))]
    converted = np.empty(len(finite), np.float32)
    shifted(finite, converted)
    np.testing.assert_array_equal(converted, finite.view(np.float16).astype(np.float32))
    np.testing.assert_array_equal(float16.floats_of(finite[None], converted[None]), converted[None])
