"""Vectors are assigned as by a plain program over all cells, or over those around their leader."""

import numpy as np
import pytest

from cdp_spark.knn.kernels import cells as cell_kernel
from cdp_spark.knn.kernels import int16_products
from cdp_spark.knn.kernels.cells import MAX_COPIES, Cells, Leaders, assign
from cdp_spark.knn.kernels.train_cells import train_cells
from tests.knn.kernels.test_cells import clumps, plain_scores

ROWS, DIMENSION = 2000, 16


@pytest.fixture(autouse=True, params=[True, False], ids=["integers", "floats"])
def by_integers(request, monkeypatch):
    """Rank by either kind of products, whichever is faster on this processor."""
    monkeypatch.setattr(int16_products, "pays", lambda: request.param)


def plain(scores, among, cells):
    """Return the shards of one vector, the nearest first: (shard, cell, gap)."""
    best = {}
    for cell in among:
        own = int(cells.shard[cell])
        if own not in best or scores[cell] > scores[best[own]]:
            best[own] = int(cell)
    ranked = sorted(best, key=lambda shard: (-scores[best[shard]], shard))[:MAX_COPIES]
    home = scores[best[ranked[0]]]
    return [(shard, best[shard], home - scores[best[shard]]) for shard in ranked]


def as_rows(assigned, row):
    used = assigned.shard[row] >= 0
    return list(zip(assigned.shard[row][used], assigned.cell[row][used], assigned.gap[row][used], strict=True))


@pytest.mark.parametrize("shards", [1, 3, 7])
def test_where_all_cells_are_ranked_a_vector_lives_in_the_nearest(shards):
    sample = clumps(ROWS, DIMENSION)
    cells = train_cells(sample, 60, shards)
    scores = plain_scores(sample.astype(np.float64), cells)
    assigned = assign(sample, cells)
    for row in range(0, ROWS, 19):
        assert as_rows(assigned, row) == plain(scores[row], range(len(cells.centroids)), cells)
    np.testing.assert_array_equal(assigned.cell[:, 0], scores.argmax(axis=1))


@pytest.mark.parametrize("shards", [1, 4])
def test_of_many_cells_those_around_the_nearest_leader_are_ranked(shards, monkeypatch):
    monkeypatch.setattr(cell_kernel, "RANKED", 60)
    sample = clumps(ROWS, DIMENSION)
    cells = train_cells(sample, 200, shards)
    leaders = Leaders.of(cells)
    assert 1 < len(leaders.cells) < len(cells.centroids) / 2
    assert leaders.around.shape == (len(leaders.cells), 60)
    scores = plain_scores(sample.astype(np.float64), cells)
    led_by = scores[:, leaders.cells].argmax(axis=1)
    assigned = assign(sample, cells, leaders)
    for row in range(0, ROWS, 19):
        assert as_rows(assigned, row) == plain(scores[row], leaders.around[led_by[row]], cells)
    assert (assigned.cell[:, 0] == scores.argmax(axis=1)).mean() > 0.8


def test_vectors_are_assigned_alike_alone_and_in_a_batch(monkeypatch):
    monkeypatch.setattr(cell_kernel, "RANKED", 60)
    sample = clumps(ROWS, DIMENSION)
    cells = train_cells(sample, 200, 4)
    together = assign(sample, cells)
    for row in range(0, ROWS, 97):
        assert as_rows(assign(sample[row : row + 1], cells), 0) == as_rows(together, row)


def test_close_calls_of_float32_are_decided_exactly():
    random = np.random.default_rng(4)
    # Many centroids at equal distances, or a hair apart: the last bit of float16.
    base = np.tile(random.standard_normal(64).astype(np.float16) / np.float16(8), (300, 1))
    for row in range(300):
        base[row, row % 64] += np.float16(0.0005)
    cells = Cells(base, np.arange(300) % 3)
    queries = clumps(500, 64)
    scores = plain_scores(queries.astype(np.float64), cells)
    assigned = assign(queries, cells)
    for row in range(500):
        assert as_rows(assigned, row) == plain(scores[row], range(300), cells)
