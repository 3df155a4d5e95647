import json
import os
import platform
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cdp_spark.base.numeric.best_of_many import empty_pools
from cdp_spark.base.numeric.float16 import bits_of
from cdp_spark.knn.kernels import int16_products
from cdp_spark.knn.kernels.int16_products import Asking, Scored
from tests.knn.kernels.test_search_cells import unit

OTHER_PROCESSOR = """
import json, sys
import numpy as np
from cdp_spark.knn.kernels import int16_products
from tests.knn.kernels.test_int16_products import all_products

products = all_products(np.random.default_rng(0), 13, 40, 9)
print(json.dumps([bool(int16_products.pays()), products.tolist()]))
"""


def nominated(queries: np.ndarray, rows: np.ndarray, room: int, offsets: np.ndarray | None = None):
    """Let all queries, whose items no row has, probe one cell that holds all rows."""
    count, ones = len(queries), np.ones(len(rows), np.float32)
    pools = empty_pools(count, room)
    cells = np.array([0, len(rows)]), np.arange(count), np.array([0, count])
    scored = Scored(np.arange(len(rows)), bits_of(rows), ones, ones * 0 if offsets is None else offsets)
    int16_products.nominate(Asking(np.full(count, -1), bits_of(queries)), scored, cells, pools, room)
    return pools[:3]


def all_products(random: np.random.Generator, queries: int, rows: int, dimension: int) -> np.ndarray:
    """Return all products of the codes of random vectors; the pools have room for all."""
    vectors = unit(queries + rows, dimension, int(random.integers(1 << 30)))
    nominees, scores, used = nominated(vectors[:queries], vectors[queries:], rows)
    assert (used == rows).all()
    assert all(sorted(some[:rows]) == list(range(rows)) for some in nominees.tolist())
    by_row = np.empty((queries, rows), np.float32)
    np.put_along_axis(by_row, nominees[:, :rows], scores[:, :rows], axis=1)
    return by_row


@settings(max_examples=40, deadline=None)
@given(st.integers(1, 30), st.integers(1, 130), st.integers(1, 300), st.integers(0, 10_000))
def test_products_are_off_by_no_more_than_the_slack(queries, rows, dimension, seed):
    vectors = unit(queries + rows, dimension, int(np.random.default_rng(seed).integers(1 << 30))).astype(np.float64)
    products = all_products(np.random.default_rng(seed), queries, rows, dimension)
    error = np.abs(products - vectors[:queries] @ vectors[queries:].T)
    assert error.max() <= int16_products.slack_of_codes(dimension)


def test_products_are_those_of_rounded_vectors():
    """Integers multiply exactly; only the last step rounds."""
    vectors = unit(60, 70)
    codes = np.rint(vectors * int16_products.SCALE).astype(np.int64)
    nominees, scores, _ = nominated(vectors[:20], vectors[20:], 40)
    exact = codes[:20] @ codes[20:].T / int16_products.SCALE**2
    np.testing.assert_allclose(
        scores[:, :40], np.take_along_axis(exact, nominees[:, :40], axis=1), rtol=1e-6, atol=1e-9
    )


def test_the_greatest_products_stay_in_the_pools():
    vectors = unit(3030, 24)
    offsets = np.random.default_rng(0).random(3000).astype(np.float32)
    nominees, _, used = nominated(vectors[:30], vectors[30:], 20, offsets)
    best = np.argsort(-(vectors[:30] @ vectors[30:].T + offsets), axis=1)[:, :15]
    assert all(set(own) <= set(held[:n]) for own, held, n in zip(best.tolist(), nominees.tolist(), used, strict=True))


def test_a_vector_of_one_number_fits_its_code():
    vectors = np.zeros((8, 8), np.float32)
    vectors[np.arange(8), np.arange(8)] = [1, -1, 1, -1, 1, -1, 1, -1]
    nominees, scores, _ = nominated(vectors, np.abs(vectors), 8)
    by_row = np.take_along_axis(scores[:, :8], np.argsort(nominees[:, :8], axis=1), axis=1)
    np.testing.assert_array_equal(by_row, vectors)


@pytest.mark.skipif(
    platform.machine() not in ("x86_64", "AMD64"), reason="pretends to be an older processor of this kind"
)
def test_a_processor_without_the_instruction_gives_the_same_products():
    environment = {**os.environ, "NUMBA_CPU_NAME": "x86-64", "NUMBA_CPU_FEATURES": "+sse2"}
    done = subprocess.run(
        [sys.executable, "-c", OTHER_PROCESSOR], capture_output=True, text=True, env=environment, check=True
    )
    pays, products = json.loads(done.stdout.splitlines()[-1])
    assert not pays
    np.testing.assert_array_equal(np.float32(products), all_products(np.random.default_rng(0), 13, 40, 9))
