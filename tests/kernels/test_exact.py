import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cdp_spark.kernels.exact import ExactSearch, principal_directions
from cdp_spark.kernels.search import Block
from tests.kernels.test_search import brute_force, unit


def searched(vectors, asked, k, blocks, directions=None):
    queries = vectors[asked]
    search = ExactSearch.of(
        Block.of(asked, queries), principal_directions(queries) if directions is None else directions, k
    )
    for part in np.array_split(np.arange(len(vectors)), blocks):
        search.add(Block.of(part, vectors[part]))
    return search.found


def falling(count, dimension, seed=0):
    """Vectors whose spread falls from direction to direction, turned at random: real ones are so."""
    random = np.random.default_rng(seed)
    turn = np.linalg.qr(random.standard_normal((dimension, dimension)))[0]
    points = random.standard_normal((count, dimension)) * np.arange(1, dimension + 1) ** -1.0 @ turn
    return (points / np.linalg.norm(points, axis=1, keepdims=True)).astype(np.float16).astype(np.float32)


@pytest.mark.parametrize("blocks", [1, 3, 40])
@pytest.mark.parametrize("made", [unit, falling])
def test_lists_are_those_of_a_comparison_with_all_rows(made, blocks):
    vectors = made(6000, 24)
    vectors[100:130] = vectors[7]
    asked = np.arange(0, 6000, 50)
    found = searched(vectors, asked, 9, blocks)
    wanted, wanted_similarities = brute_force(vectors, 9)
    np.testing.assert_array_equal(found.neighbors, wanted[asked])
    np.testing.assert_array_equal(found.similarities, wanted_similarities[asked])
    assert (found.counts == 9).all()


@settings(deadline=None, max_examples=20)
@given(st.integers(2, 40), st.integers(1, 12), st.integers(1, 8), st.integers(0, 99))
def test_directions_decide_nothing(count, dimension, kept, seed):
    vectors = unit(count, dimension)
    turn = np.linalg.qr(np.random.default_rng(seed).standard_normal((dimension, dimension)))[0].astype(np.float32)
    asked = np.arange(count)
    found = searched(vectors, asked, 4, 2, np.ascontiguousarray(turn[:, : min(kept, dimension)]))
    other = searched(vectors, asked, 4, 1, np.eye(dimension, dtype=np.float32))
    np.testing.assert_array_equal(found.neighbors, other.neighbors)
    np.testing.assert_array_equal(found.similarities, other.similarities)


def test_few_directions_hold_most_of_vectors_that_differ_little():
    directions = principal_directions(falling(2000, 64))
    assert directions.shape[1] < 16
    np.testing.assert_allclose(directions.T @ directions, np.eye(directions.shape[1]), atol=1e-5)
    assert principal_directions(np.zeros((5, 4), np.float32)).shape[1] == 4
