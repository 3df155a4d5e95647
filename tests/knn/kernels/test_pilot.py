"""The pilot counts what a plain search over the cells returns."""

import numpy as np
import pytest

from cdp_spark.knn.kernels.cells import assign
from cdp_spark.knn.kernels.neighbor_lists import empty_lists
from cdp_spark.knn.kernels.pilot import StepEntries, cells_needed, cumulative, ladder, probes_by_step, recalls
from cdp_spark.knn.kernels.search_cells import Block, search
from cdp_spark.knn.kernels.train_cells import train_cells
from tests.knn.kernels.test_cells import clumps
from tests.knn.kernels.test_search_cells import brute_force

K, ROWS = 6, 1500


@pytest.fixture(scope="module")
def searched():
    vectors = clumps(ROWS, 12)
    cells = train_cells(vectors.astype(np.float32), 40, 3)
    return vectors, cells


def plain_probes(vector, cells, spill, count):
    """Return the nearest cells of every shard that holds the vector."""
    assigned = assign(vector[None], cells)
    held = {int(assigned.shard[0, 0])} | set(assigned.shard[0][assigned.gap[0] <= spill].tolist())
    probes = set()
    for number in held:
        shard = cells.in_shard(number)
        probes |= set(shard.cells[shard.ranked(vector[None])[0, :count]].tolist())
    return probes


@pytest.mark.parametrize("spill", [0.0, 0.3])
def test_steps_visit_the_nearest_cells_of_every_shard_once(searched, spill):
    vectors, cells = searched
    queries = vectors[:50].astype(np.float64)
    steps = [1, 3, 8, 100]
    probes = probes_by_step(queries, cells, spill, steps)
    for row, query in enumerate(queries):
        seen: list[int] = []
        for step, added in zip(steps, probes[row], strict=True):
            seen += added[added >= 0].tolist()
            assert len(seen) == len(set(seen))
            assert set(seen) == plain_probes(query, cells, spill, step)


def test_cumulative_lists_are_those_of_one_search_of_as_many_cells(searched):
    vectors, cells = searched
    home = assign(vectors.astype(np.float64), cells).cell[:, 0]
    order = np.argsort(home, kind="stable")
    rows, offsets = Block.of(order, vectors[order]), np.searchsorted(home[order], np.arange(len(cells.centroids) + 1))
    queries = Block.of(np.arange(60), vectors[:60])
    probes = probes_by_step(queries.vectors.astype(np.float64), cells, 0.0, [2, 5])
    by_step = [search(queries, rows, offsets, probes[:, step], K) for step in range(2)]
    entries = [
        (row, step, added.neighbors[row, i], added.similarities[row, i])
        for row in range(60)
        for step, added in enumerate(by_step)
        for i in range(added.counts[row])
    ]
    columns = StepEntries(*(np.array(column) for column in zip(*entries, strict=True)))
    lists = cumulative(columns, queries=60, steps=2, k=K)
    whole = search(queries, rows, offsets, probes.reshape(60, -1), K)
    used = np.arange(K) < whole.counts[:, None]
    np.testing.assert_array_equal(lists[1].counts, whole.counts)
    np.testing.assert_array_equal(lists[1].neighbors[used], whole.neighbors[used])
    np.testing.assert_array_equal(lists[1].similarities[used], whole.similarities[used])


def test_recall_after_expansion_is_a_plain_count(searched):
    vectors, _ = searched
    wanted, _ = brute_force(vectors, K)
    random = np.random.default_rng(3)
    lists = empty_lists(ROWS, K)
    for item in range(ROWS):
        kept = wanted[item][random.random(K) < 0.7]
        lists.neighbors[item, : len(kept)], lists.counts[item] = kept, len(kept)
    known = [set(lists.neighbors[item, : lists.counts[item]].tolist()) for item in range(ROWS)]
    asked = np.unique(np.concatenate([np.arange(30), wanted[:30].ravel()]))
    some = type(lists)(lists.neighbors[asked], lists.similarities[asked], lists.counts[asked])
    before, after = recalls(some, asked, [(item, wanted[item]) for item in range(30)])
    for item in range(30):
        assert before[item] == pytest.approx(len(known[item]) / K)
        reached = known[item].union(*(known[other] for other in known[item]))
        assert after[item] == pytest.approx(np.mean([true in reached for true in wanted[item].tolist()]))


def test_where_no_step_suffices_the_search_without_expansion_is_chosen():
    steps = ladder(100)
    low, full = np.full(500, 0.5), np.ones(500)
    assert cells_needed(steps, [(low, low)] * len(steps), 0.99, 100) == 100
    assert cells_needed(steps, [(low, full)] * len(steps), 0.99, 100) == steps[0]
    rising = [(np.full(500, share), np.linspace(share, 1, 500)) for share in np.linspace(0.5, 0.95, len(steps))]
    few, many = (cells_needed(steps, rising, target, 100) for target in (0.9, 0.97))
    assert few < many < 100
