import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from cdp_spark.knn.kernels import search_cells as search_kernel
from cdp_spark.knn.kernels.neighbor_lists import Entries, Twins, merge, of_twin, with_twins
from cdp_spark.knn.kernels.search_cells import Block, everything, search


@pytest.fixture(autouse=True, params=[True, False], ids=["integers", "floats"])
def by_integers(request, monkeypatch):
    """Search by either kind of products, whichever is faster on this processor."""
    monkeypatch.setattr(search_kernel.int16_products, "pays", lambda: request.param)
    return request.param


def unit(rows: int, dimension: int, seed: int = 0) -> np.ndarray:
    points = np.random.default_rng(seed).standard_normal((rows, dimension))
    return (points / np.linalg.norm(points, axis=1, keepdims=True)).astype(np.float16).astype(np.float32)


def brute_force(vectors: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    exact = vectors.astype(np.float64)
    norms = np.sqrt((exact**2).sum(axis=1))
    similarity = np.clip((exact @ exact.T) / (norms[:, None] * norms[None, :]), -1, 1).astype(np.float32)
    np.fill_diagonal(similarity, -2)
    order = np.stack([np.lexsort((np.arange(len(exact)), -row))[:k] for row in similarity])
    return order, np.take_along_axis(similarity, order, axis=1)


def whole(vectors: np.ndarray, k: int, items: np.ndarray | None = None):
    block = Block.of(np.arange(len(vectors)) if items is None else items, vectors)
    return search(block, block, np.array([0, len(vectors)]), everything(len(vectors)), k)


@pytest.mark.parametrize(("rows", "dimension", "k"), [(700, 16, 5), (5000, 64, 15), (20, 3, 19)])
def test_a_search_over_one_cell_equals_brute_force(rows, dimension, k):
    vectors = unit(rows, dimension)
    lists = whole(vectors, k)
    neighbors, similarities = brute_force(vectors, k)
    np.testing.assert_array_equal(lists.neighbors, neighbors)
    np.testing.assert_array_equal(lists.similarities, similarities)


@pytest.mark.parametrize(("queries", "rows"), [(0, 0), (0, 9), (9, 0)])
def test_without_queries_or_rows_the_lists_are_empty(queries, rows):
    asking, asked = (Block.of(np.arange(count), unit(count, 8)) for count in (queries, rows))
    for cells in (1, 3):
        offsets = np.linspace(0, rows, cells + 1).astype(np.int64)
        lists = search(asking, asked, offsets, np.zeros((queries, 1), np.int32), 4)
        assert lists.neighbors.shape == (queries, 4)
        assert lists.neighbors.dtype == np.int64
        assert not lists.counts.any() or rows


@settings(
    max_examples=60, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture, HealthCheck.too_slow]
)
@given(st.integers(2, 60), st.integers(1, 4), st.integers(1, 12), st.integers(0, 10_000))
def test_ties_are_broken_by_item_on_lattices_where_nearly_everything_ties(rows, dimension, k, seed):
    random = np.random.default_rng(seed)
    points = random.integers(-1, 2, (rows, dimension)).astype(np.float64)
    points[~points.any(axis=1)] = 1
    vectors = (points / np.linalg.norm(points, axis=1, keepdims=True)).astype(np.float16).astype(np.float32)
    lists = whole(vectors, k)
    neighbors, similarities = brute_force(vectors, min(k, rows - 1))
    assert (lists.counts == min(k, rows - 1)).all()
    np.testing.assert_array_equal(lists.neighbors[:, : rows - 1], neighbors)
    np.testing.assert_array_equal(lists.similarities[:, : rows - 1], similarities)


def test_vectors_nearer_to_each_other_than_float32_can_tell_are_ranked_exactly():
    vectors = np.repeat(unit(1, 256), 400, axis=0)
    vectors[np.arange(400), np.arange(400) % 256] += np.float32(2.0**-12)
    vectors = vectors.astype(np.float16).astype(np.float32)
    lists = whole(vectors, 15)
    neighbors, _ = brute_force(vectors, 15)
    np.testing.assert_array_equal(lists.neighbors, neighbors)


def test_the_order_of_rows_and_the_shape_of_tiles_change_nothing():
    vectors, items = unit(3000, 32), np.arange(3000)
    shuffled = np.random.default_rng(1).permutation(3000)
    straight, other = whole(vectors, 10), whole(vectors[shuffled], 10, items[shuffled])
    np.testing.assert_array_equal(straight.neighbors[shuffled], other.neighbors)
    np.testing.assert_array_equal(straight.similarities[shuffled], other.similarities)


def test_only_probed_cells_are_searched():
    vectors = unit(100, 8)
    block = Block.of(np.arange(100), vectors)
    probes = np.array([[0, -1]] * 50 + [[1, -1]] * 50, np.int32)
    lists = search(block, block, np.array([0, 50, 100]), probes, 5)
    assert (lists.neighbors[:50] < 50).all()
    assert (lists.neighbors[50:] >= 50).all()


def test_fewer_candidates_than_k_leave_entries_unused():
    lists = whole(unit(4, 8), 10)
    assert lists.counts.tolist() == [3, 3, 3, 3]
    assert (lists.neighbors[:, 3:] == -1).all()


def test_twins_come_in_as_if_all_rows_had_been_searched():
    import pyarrow as pa

    distinct = unit(50, 4)
    owner = np.concatenate([np.arange(50), np.random.default_rng(2).integers(0, 10, 40)])
    neighbors, similarities = brute_force(distinct[owner], 6)
    twins = [sorted(np.flatnonzero(owner == i)[1:].tolist())[:6] or None for i in range(50)]
    table = Twins.of(np.arange(50), pa.array(twins, pa.list_(pa.int64())))
    wide = with_twins(np.arange(50), whole(distinct, 6), table)
    np.testing.assert_array_equal(wide.neighbors, neighbors[:50])
    entries = Entries(np.arange(41) * 6, wide.neighbors[owner[50:]].ravel(), wide.similarities[owner[50:]].ravel())
    flat = of_twin(np.arange(50, 90), owner[50:], entries, 6)
    np.testing.assert_array_equal(flat.neighbors, neighbors[50:])
    np.testing.assert_array_equal(flat.similarities, similarities[50:])


def test_merging_drops_repetitions_and_keeps_the_best():
    entries = Entries(np.array([0, 5]), np.array([3, 1, 3, 2, 9]), np.float32([0.5, 0.9, 0.5, 0.5, 0.1]))
    merged = merge(entries, 3)
    assert merged.neighbors.tolist() == [[1, 2, 3]]
    assert merged.counts.tolist() == [3]


def test_vectors_of_any_norm_are_searched(by_integers):
    vectors = unit(200, 16) * np.float32(0.25)
    vectors[::3] *= np.float32(8)
    block = Block.of(np.arange(200), vectors)
    assert not search_kernel._may_be_coded(block, block)
    neighbors, _ = brute_force(vectors, 5)
    np.testing.assert_array_equal(whole(vectors, 5).neighbors, neighbors)


@pytest.mark.parametrize("clumped", [0.0, 1e-3])
def test_cells_of_all_sizes_are_searched_as_by_brute_force(clumped):
    random = np.random.default_rng(0)
    sizes = np.array([0, 1, 31, 32, 33, 511, 512, 513, 0, 1100])
    offsets = np.concatenate([[0], np.cumsum(sizes)])
    vectors = unit(offsets[-1], 50)
    if clumped:  # all so near to each other that integer products settle little
        vectors = np.float32(vectors * clumped + unit(1, 50))
        vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float16).astype(np.float32)
    items = random.permutation(len(vectors))
    rows = Block.of(items, vectors)
    asked = np.sort(random.choice(len(vectors), 300, replace=False))
    probes = np.array([random.permutation(len(sizes))[:4] for _ in asked], np.int32)
    probes[::7, 2] = -1
    lists = search(rows.take(asked), rows, offsets, probes, 12)
    exact = vectors.astype(np.float64)
    exact /= np.sqrt((exact**2).sum(axis=1, keepdims=True))
    for query, row in enumerate(asked):
        among = np.concatenate([np.arange(offsets[cell], offsets[cell + 1]) for cell in probes[query] if cell >= 0])
        among = among[among != row]
        similarity = np.clip(exact[among] @ exact[row], -1, 1).astype(np.float32)
        best = among[np.lexsort((items[among], -similarity))[:12]]
        assert lists.counts[query] == len(best)
        np.testing.assert_allclose(lists.similarities[query, : len(best)], np.sort(similarity)[::-1][:12], atol=1e-7)
        if not clumped:
            assert lists.neighbors[query, : len(best)].tolist() == items[best].tolist()
