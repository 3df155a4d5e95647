import numpy as np

from cdp_spark.base.numeric.pair_order import first_of_each_pair


def test_both_directions_of_a_pair_give_one():
    src, dst = np.array([3, 1, 3, 1, 0]), np.array([4, 2, 4, 3, 9])
    kept = first_of_each_pair(src, dst)
    assert list(zip(src[kept].tolist(), dst[kept].tolist(), strict=True)) == [(0, 9), (1, 2), (1, 3), (3, 4)]


def test_no_pairs_give_no_pairs():
    assert len(first_of_each_pair(np.empty(0, np.int64), np.empty(0, np.int64))) == 0


def test_more_items_than_a_pair_of_them_fits_into_64_bits():
    src, dst = np.array([3, 2**40, 3]), np.array([2**41, 2**41 + 1, 2**41])
    assert first_of_each_pair(src, dst).tolist() == [0, 1]
