import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cdp_spark.knn.kernels.neighbors_of_neighbors import _ROUNDS, _SETTLED, LISTING, VIA, expanded
from cdp_spark.knn.kernels.search_cells import Block, nearest_rows
from tests.knn.kernels.test_search_cells import brute_force, unit


def begun(vectors, k, cells, seed=0):
    """Return rows in random order, and their nearest rows in their own cell and another."""
    random = np.random.default_rng(seed)
    cell = np.sort(random.integers(0, cells, len(vectors)))
    items = random.permutation(len(vectors)).astype(np.int64)
    rows = Block.of(items, vectors[items])
    offsets = np.searchsorted(cell, np.arange(cells + 1))
    other = (cell + random.integers(1, max(2, cells), len(cell))) % cells
    probes = np.stack([cell, np.where(other == cell, -1, other)], axis=1).astype(np.int32)
    return rows, *nearest_rows(rows, rows, offsets, probes, k)


def plain(vectors, lists, k):
    """Improve dictionaries of item -> list of (similarity, item) by a plain program."""
    exact = vectors.astype(np.float64)
    norms = np.sqrt((exact**2).sum(axis=1))

    def better(entry):
        return -entry[0], entry[1]

    earlier = {item: set() for item in lists}
    for _ in range(_ROUNDS):
        before = {item: [other for _, other in known] for item, known in lists.items()}
        fresh = {item: set(known) - earlier[item] for item, known in before.items()}
        listing = {item: [] for item in lists}
        for item, known in lists.items():
            for cosine, other in known:
                if item not in before[other]:
                    listing[other].append((cosine, item))
        changes = 0
        for item, known in lists.items():
            seen = {item, *before[item]}
            further = [via for _, via in sorted(listing[item], key=better)[:LISTING]]
            for via in (*before[item][:VIA], *further):
                new = via in further or via in fresh[item]
                for other in (via, *before[via]):
                    if other not in seen and (new or other in fresh[via]):
                        seen.add(other)
                        cosine = np.float32(np.clip(exact[item] @ exact[other] / (norms[item] * norms[other]), -1, 1))
                        known.append((cosine, other))
                        known.sort(key=better)
                        changes += (cosine, other) in known[:k]
                        del known[k:]
        earlier = {item: set(known) for item, known in before.items()}
        if changes <= _SETTLED * len(lists) * k:
            break
    return lists


@pytest.mark.parametrize(("k", "threads"), [(3, 1), (20, 3)])
def test_lists_are_those_of_a_plain_program(k, threads):
    vectors = unit(300, 8)
    vectors[50:60] = vectors[20]
    rows, near, similarities = begun(vectors, k, cells=12)
    by_item = {
        int(item): [(s, int(rows.items[n])) for s, n in zip(some, listed, strict=True) if n >= 0]
        for item, listed, some in zip(rows.items, near, similarities, strict=True)
    }
    wanted = plain(vectors, by_item, k)
    lists = expanded(rows, near, similarities, threads=threads)
    for item, near, some, count in zip(rows.items, lists.neighbors, lists.similarities, lists.counts, strict=True):
        assert [(s, n) for s, n in zip(some[:count], near[:count], strict=True)] == wanted[item]


@settings(deadline=None, max_examples=20)
@given(st.integers(2, 60), st.integers(1, 8), st.integers(1, 6), st.integers(0, 99))
def test_no_list_gets_worse_and_none_holds_its_own_item_or_one_twice(count, k, cells, seed):
    rows, near, similarities = begun(unit(count, 6), k, cells, seed)
    before = similarities.copy()
    lists = expanded(rows, near, similarities)
    assert (lists.similarities >= before).all()
    for item, near, used in zip(rows.items, lists.neighbors, lists.counts, strict=True):
        assert item not in near[:used]
        assert len(set(near[:used])) == used
        assert (near[used:] == -1).all()


def test_the_order_of_the_rows_does_not_matter():
    vectors = unit(200, 6)
    rows, near, similarities = begun(vectors, 5, cells=10)
    mixed = np.random.default_rng(3).permutation(200)
    back = np.argsort(mixed)
    moved = np.where(near >= 0, back[near], -1)[mixed].astype(np.int32)
    other = expanded(rows.take(mixed), moved, similarities[mixed])
    lists = expanded(rows, near, similarities)
    np.testing.assert_array_equal(other.neighbors[back], lists.neighbors)
    np.testing.assert_array_equal(other.similarities[back], lists.similarities)


def test_most_of_the_missed_neighbours_are_added():
    random = np.random.default_rng(1)
    vectors = np.repeat(unit(60, 16), 20, axis=0) + 0.2 * random.standard_normal((1200, 16)).astype(np.float32)
    vectors = (vectors / np.linalg.norm(vectors, axis=1, keepdims=True)).astype(np.float16).astype(np.float32)
    wanted = np.empty((1200, 6), np.int64)
    wanted[:] = brute_force(vectors, 6)[0]
    rows, near, similarities = begun(vectors, 6, cells=6)
    first = np.mean([np.isin(rows.items[n], wanted[i]).mean() for i, n in zip(rows.items, near, strict=True)])
    lists = expanded(rows, near, similarities)
    last = np.mean([np.isin(n, wanted[i]).mean() for i, n in zip(rows.items, lists.neighbors, strict=True)])
    assert first < 0.5
    assert last > 0.85
