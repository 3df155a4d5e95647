import numpy as np
import pytest

from cdp_spark.knn.kernels import cells as kernel
from cdp_spark.knn.kernels import int16_products
from cdp_spark.knn.kernels.cells import Cells, assign
from cdp_spark.knn.kernels.choose_probing import Recall, choose
from cdp_spark.knn.kernels.search_cells import Block, everything, search
from cdp_spark.knn.kernels.train_cells import pack, train_cells


@pytest.fixture(autouse=True, params=[True, False], ids=["integers", "floats"])
def by_integers(request, monkeypatch):
    """Rank by either kind of products, whichever is faster on this processor."""
    monkeypatch.setattr(int16_products, "pays", lambda: request.param)


def clumps(rows: int, dimension: int, seed: int = 0) -> np.ndarray:
    random = np.random.default_rng(seed)
    centres = random.standard_normal((40, dimension))
    points = centres[random.integers(0, 40, rows)] + 0.7 * random.standard_normal((rows, dimension))
    return (points / np.linalg.norm(points, axis=1, keepdims=True)).astype(np.float16).astype(np.float32)


def test_training_depends_only_on_the_sample():
    sample = clumps(4000, 16)
    first, second = train_cells(sample, 100, 4), train_cells(sample.copy(), 100, 4)
    np.testing.assert_array_equal(first.centroids, second.centroids)
    np.testing.assert_array_equal(first.shard, second.shard)


def test_a_cell_with_half_of_all_vectors_is_divided():
    sample = clumps(4000, 16)
    sample[:2000] = sample[0] + 0.02 * np.random.default_rng(3).standard_normal((2000, 16))
    sample = (sample / np.linalg.norm(sample, axis=1, keepdims=True)).astype(np.float16).astype(np.float32)
    cells = train_cells(sample, 100, 1)
    sizes = np.bincount(assign(sample.astype(np.float64), cells).cell[:, 0], minlength=len(cells.centroids))
    assert sizes.max() < 10 * len(sample) / 100


def test_shards_get_about_equal_weight():
    weight = np.random.default_rng(0).integers(1, 50, 300)
    shard = pack(clumps(300, 8), weight, 7)
    shares = np.bincount(shard, weight, 7)
    assert len(shares) == 7
    assert shares.max() < 1.5 * shares.mean()


def plain_scores(vectors, cells):
    exact = cells.centroids.astype(np.float64)
    return vectors @ exact.T - (exact**2).sum(axis=1) / 2


@pytest.mark.parametrize("shards", [1, 3])
def test_a_vector_probes_the_nearest_cells(shards):
    sample = clumps(2000, 16).astype(np.float64)
    cells = train_cells(sample.astype(np.float32), 60, shards)
    scores = plain_scores(sample, cells)
    for number in range(shards):
        shard = cells.in_shard(number)
        wanted = np.sort(np.argsort(-scores[:, shard.cells], axis=1, kind="stable")[:, :12], axis=1)
        np.testing.assert_array_equal(shard.probes(sample, 12), wanted)


def test_close_calls_of_float32_are_decided_exactly_in_any_batch():
    random = np.random.default_rng(4)
    # Many centroids at equal distances, or a hair apart: the last bit of float16.
    base = np.tile(random.standard_normal(64).astype(np.float16) / np.float16(8), (300, 1))
    for row in range(300):
        base[row, row % 64] += np.float16(0.0005)
    cells = Cells(base, np.zeros(300, np.int64))
    queries = clumps(500, 64).astype(np.float64)
    scores = plain_scores(queries, cells)
    wanted = np.sort(np.argsort(-scores, axis=1, kind="stable")[:, :50], axis=1)
    shard = cells.in_shard(0)
    np.testing.assert_array_equal(shard.probes(queries, 50), wanted)
    np.testing.assert_array_equal(
        np.concatenate([shard.probes(queries[i : i + 7], 50) for i in range(0, 500, 7)]), wanted
    )
    np.testing.assert_array_equal(shard.nearest(queries)[0], scores.argmax(axis=1))


@pytest.mark.parametrize("nprobe", [3, 30])
def test_a_query_probes_the_nearest_of_the_cells_around_its_own(nprobe, monkeypatch):
    monkeypatch.setattr(kernel, "AROUND", 20)
    monkeypatch.setattr(kernel, "_AROUND_PROBE", 1)
    sample = clumps(2000, 16)
    cells = train_cells(sample, 60, 1)
    shard, exact = cells.in_shard(0), sample.astype(np.float16).astype(np.float64)
    home = plain_scores(exact, cells).argmax(axis=1)
    order = np.argsort(home, kind="stable")
    exact, home = exact[order], home[order]
    around = shard.around(nprobe)
    assert around.shape == (len(cells.centroids), max(20, nprobe))
    scores, kept = plain_scores(exact, cells), around[home]
    best = np.argsort(-np.take_along_axis(scores, kept, axis=1), axis=1, kind="stable")[:, :nprobe]
    wanted = np.sort(np.take_along_axis(kept, best, axis=1), axis=1)
    np.testing.assert_array_equal(shard.probes_near(exact, home, nprobe, around), wanted)
    some = [slice(start, start + 7) for start in range(0, 2000, 7)]
    batches = [shard.probes_near(exact[rows], home[rows], nprobe, around) for rows in some]
    np.testing.assert_array_equal(np.concatenate(batches), wanted)
    everywhere = np.broadcast_to(np.arange(len(cells.centroids)), (len(cells.centroids),) * 2)
    np.testing.assert_array_equal(shard.probes_near(exact, home, nprobe, everywhere), shard.probes(exact, nprobe))


@pytest.mark.parametrize("shards", [1, 5])
def test_the_chosen_probing_is_predicted_to_reach_the_target_and_is_not_everything(shards):
    vectors = clumps(6000, 16)
    cells = train_cells(vectors, 100, shards)
    rows = Block.of(np.arange(6000), vectors)
    asked = np.arange(0, 6000, 12)
    lists = search(rows.take(asked), rows, np.array([0, 6000]), everything(len(asked)), 10)
    near = vectors[lists.neighbors.ravel()].astype(np.float64)
    owner = np.repeat(np.arange(len(asked)), 10)
    known = (vectors[asked].astype(np.float64), near, owner, cells)
    fewer, chosen = choose(*known, needed=0.6), choose(*known, needed=0.9)
    assert 1 < chosen.nprobe < len(cells.centroids) // shards
    assert (chosen.spill > 0) == (shards > 1)
    assert fewer.nprobe < chosen.nprobe


def test_an_interval_has_width_even_when_every_query_is_right():
    assert Recall.of(1.0, 0.0, 2000).low < 1.0
    assert Recall.of(0.95, 0.1, 2500).low == pytest.approx(0.95 - 1.96 * 0.1 / 50)
