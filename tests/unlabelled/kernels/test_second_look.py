"""What is around a pair equals a plain implementation; order of ends and other items change nothing."""

import numpy as np

from cdp_spark.pairs.kernels.neighborhoods import Neighborhoods
from cdp_spark.unlabelled.kernels.second_look import AROUND, around, lists_of_pairs


def some_pairs(seed: int = 0) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    rng = np.random.default_rng(seed)
    src, dst = np.triu_indices(25, 1)
    kept = rng.random(len(src)) < 0.3
    return src[kept] * 3, dst[kept] * 3, rng.normal(0, 5, kept.sum()).astype(np.float32)


def plain(known: dict[int, dict[int, float]], i: int, j: int) -> list[float]:
    p = {a: {b: 1 / (1 + np.exp(-z)) for b, z in others.items()} for a, others in known.items()}
    z, common = known[i][j], (known[i].keys() & known[j].keys()) - {i, j}
    degree = [sum(p[end].values()) - p[i][j] for end in (i, j)]
    both = [(p[i][m], p[j][m]) for m in sorted(common)]
    triangles = sum(a * b for a, b in both)
    conflict = sum(abs(a - b) * max(a, b) for a, b in both)
    rivals = [z - max((v for m, v in known[a].items() if m != b), default=-9.0) for a, b in ((i, j), (j, i))]
    met = [sum(p[end][m] for m in common) for end in (i, j)]
    stance = [sum(p[a][m] * known[b][m] for m in common) for a, b in ((i, j), (j, i))]
    inside = [one / (all_ + 1e-6) for one, all_ in zip(met, degree, strict=True)]
    stances = [(s - 4 * (d - m)) / (d + 0.2) for s, d, m in zip(stance, degree, met, strict=True)]
    return [
        z, *np.log1p(sorted(degree)), np.log1p(triangles), max((min(ab) for ab in both), default=0.0),
        np.log1p(conflict), triangles / (sum(degree) - triangles + 0.2), *sorted(rivals), *sorted(inside),
        *sorted(stances),
    ]  # fmt: skip


def test_around_is_what_its_definitions_say():
    src, dst, z = some_pairs()
    items, lists = lists_of_pairs(src, dst, z)
    found = around(items, lists, np.searchsorted(items, src), np.searchsorted(items, dst))
    known: dict[int, dict[int, float]] = {}
    for i, j, value in zip(src.tolist(), dst.tolist(), np.clip(z.astype(float), -8, 8).tolist(), strict=True):
        known.setdefault(i, {})[j] = known.setdefault(j, {})[i] = value
    assert found.shape == (len(src), len(AROUND))
    for row, i, j in zip(found, src.tolist(), dst.tolist(), strict=True):
        np.testing.assert_allclose(row, plain(known, i, j), atol=1e-4, rtol=1e-5)


def test_the_order_of_the_ends_changes_no_bit():
    src, dst, z = some_pairs(1)
    items, lists = lists_of_pairs(src, dst, z)
    a, b = np.searchsorted(items, src), np.searchsorted(items, dst)
    order = np.lexsort((a, b))
    swapped = np.empty((len(src), len(AROUND)), np.float32)
    swapped[order] = around(items, lists, b[order], a[order])
    assert np.array_equal(swapped, around(items, lists, a, b))


def test_a_block_needs_the_lists_of_both_ends_only():
    src, dst, z = some_pairs(2)
    items, lists = lists_of_pairs(src, dst, z)
    whole = around(items, lists, np.searchsorted(items, src), np.searchsorted(items, dst))
    some = np.flatnonzero(src < 30)
    ends = np.unique(np.concatenate([src[some], dst[some]]))
    cut = Neighborhoods.ordered(np.searchsorted(items, ends), *lists)
    found = around(ends, cut, np.searchsorted(ends, src[some]), np.searchsorted(ends, dst[some]))
    assert np.array_equal(found, whole[some])
