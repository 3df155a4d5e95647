"""The features of a pair equal a plain implementation, whichever block owns the pair."""

import functools

import numpy as np
import pytest

from cdp_spark.pairs.kernels.features import feature_names, pair_features
from cdp_spark.pairs.kernels.neighborhoods import Neighborhoods, PairBlock, owned_pairs
from tests import data, reference

K = 4


def models(count: int = 3, items: int = 60) -> list[np.ndarray]:
    vectors = []
    for number in range(count):
        random = np.random.default_rng(number)
        centres = random.standard_normal((items // 5, 6 + 3 * number))
        rows = centres[np.arange(items) % len(centres)] + 0.8 * random.standard_normal((items, 6 + 3 * number))
        rows[7:12] = rows[7]  # ties
        vectors.append(data.unit(rows))
    return vectors


@functools.cache
def _known(content: bytes, kind: str, columns: int, k: int) -> tuple[list[list[int]], list[list[float]]]:
    """Search the same vectors once, not for each pair."""
    return reference.knn(np.frombuffer(content, kind).reshape(-1, columns), k)


def plain(vectors: list[np.ndarray], pair: tuple[int, int], feature_set: str, k: int = K) -> list[float]:
    """Return relationship, affinity and structure of one pair, by definition."""
    i, j = pair
    lists = [_known(rows.tobytes(), rows.dtype.str, rows.shape[1], k) for rows in vectors]
    relationship = [float(j in near[i] or i in near[j]) for near, _ in lists[1:]]
    exact = [rows.astype(np.float64) for rows in vectors]
    affinity = [row[i] @ row[j] / np.sqrt((row[i] @ row[i]) * (row[j] @ row[j])) for row in exact]
    if feature_set == "code":
        structure = [len({*near[i], i} & {*near[j], j}) / (k + 1) for near, _ in lists]
    else:
        structure = []
        for _, similarities in lists:
            for figure in (np.mean, np.std):
                ends = [float(figure(similarities[end])) for end in pair]
                structure += [min(ends), max(ends)]
    return [*relationship, *affinity, *structure]


def candidates(vectors: list[np.ndarray], graphs: int, k: int = K) -> set[tuple[int, int]]:
    pairs = set()
    for rows in vectors[:graphs]:
        near, _ = reference.knn(rows, k)
        pairs |= {(min(i, j), max(i, j)) for i, row in enumerate(near) for j in row}
    return pairs


def block_of(vectors: list[np.ndarray], own: np.ndarray, graphs: int) -> PairBlock:
    """Make the block that owns some items: they and the ends of their candidate edges."""
    lists = [reference.knn(rows, K) for rows in vectors]
    halo = {j for near, _ in lists[:graphs] for i in np.flatnonzero(own) for j in near[i]}
    items = np.array(sorted(halo | set(np.flatnonzero(own).tolist())), np.int64)
    order = np.random.default_rng(0).permutation(len(items))  # as rows arrive
    known = []
    for near, similarities in lists:
        lengths = [len(near[items[row]]) for row in order]
        offsets = np.concatenate([[0], np.cumsum(lengths)]).astype(np.int64)
        flat = np.concatenate([near[items[row]] for row in order]).astype(np.int64)
        values = np.concatenate([similarities[items[row]] for row in order]).astype(np.float32)
        known.append(Neighborhoods.ordered(np.argsort(order), offsets, flat, values))
    first, second = owned_pairs(items, own[items], known[:graphs])

    def rows_of(model: int):
        return None if graphs == 1 and model == 0 else vectors[model][items].astype(np.float32)

    return PairBlock(items, known, rows_of, first, second)


@pytest.mark.parametrize("feature_set", ["code", "paper"])
@pytest.mark.parametrize("graphs", [1, 3], ids=["base pairs", "pairs of all models"])
@pytest.mark.parametrize("blocks", [1, 4])
def test_features_are_those_of_the_definitions_and_every_pair_is_owned_once(feature_set, graphs, blocks):
    vectors = models()
    rows = {}
    for number in range(blocks):
        block = block_of(vectors, np.arange(60) % blocks == number, graphs)
        features = pair_features(block, feature_set, K)
        assert features.shape[1] == len(feature_names("abc", feature_set))
        for a, b, row in zip(block.items[block.first], block.items[block.second], features, strict=True):
            pair = (min(int(a), int(b)), max(int(a), int(b)))
            assert pair not in rows
            rows[pair] = row
    assert set(rows) == candidates(vectors, graphs)
    for pair, row in rows.items():
        np.testing.assert_allclose(row, plain(vectors, pair, feature_set), atol=1e-6)
