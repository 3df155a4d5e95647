"""Features of a pair from all models: relationship, affinity and structure, in this order, base first.

Three feature sets for a base and N committee members. ``code`` (3N + 2, as in the authors' code): relationship (N),
affinity (N + 1), structure (N + 1: the share of common neighbours). ``paper`` (6N + 5, as in the paper): for each
model, structure is the smaller and the larger of the ends' mean similarities to their own neighbours, and the same of
their standard deviations. ``rich`` (13N + 17): see :func:`rich_names`. No feature depends on
the order of the two ends.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal, NamedTuple

import numpy as np
from numpy.typing import NDArray

from cdp_spark.base.compiled import compiled
from cdp_spark.pairs.kernels.neighborhoods import (
    Neighborhoods,
    PairBlock,
    affinity,
    empty_table,
    free_slot,
    neighborhood_means,
    shared_neighbors,
    slot_of,
)

Floats = NDArray[np.float32]
Longs = NDArray[np.int64]

FeatureSet = Literal["code", "paper", "rich"]


def feature_names(models: Sequence[str], feature_set: FeatureSet) -> list[str]:
    """Name the columns of a feature set.

    >>> feature_names(["v3", "casia"], "code")
    ['relationship.casia', 'affinity.v3', 'affinity.casia', 'structure.v3', 'structure.casia']
    >>> len(feature_names(["a", "b", "c"], "paper")) == 6 * 2 + 5
    True
    """
    if feature_set == "rich":
        return rich_names(models)
    relationship = [f"relationship.{member}" for member in models[1:]]
    cosine = [f"affinity.{model}" for model in models]
    suffixes = [""] if feature_set == "code" else [".mean_low", ".mean_high", ".deviation_low", ".deviation_high"]
    return [*relationship, *cosine, *(f"structure.{model}{suffix}" for model in models for suffix in suffixes)]


def chosen_columns(names: Sequence[str], wanted: Sequence[str]) -> list[int]:
    """Return the columns of the wanted features or groups of features, in order.

    >>> chosen_columns(["relationship.b", "affinity.a", "affinity.b"], ["affinity", "relationship.b"])
    [0, 1, 2]
    """
    return [column for column, name in enumerate(names) if name in wanted or name.split(".")[0] in wanted]


def pair_features(block: PairBlock, feature_set: FeatureSet, k: int) -> Floats:
    """Compute the features of all pairs of a block.

    Parameters
    ----------
    block : PairBlock
    feature_set : {"code", "paper", "rich"}
    k : int
        Neighbours in a full list; structure is a share of k + 1, because the authors' lists hold the item itself.

    Returns
    -------
    ndarray of float32, shape (pairs, 3N + 2, 6N + 5 or 13N + 17)
    """
    if feature_set == "rich":
        return rich_features(block, k)
    models = len(block.graphs)
    width = 1 if feature_set == "code" else 4
    features = np.empty((len(block.first), 2 * models - 1 + width * models), np.float32)
    for model, graph in enumerate(block.graphs):
        shared, related = shared_neighbors(block.items, graph, block.first, block.second)
        if model:
            features[:, model - 1] = related
        features[:, models - 1 + model] = affinity(block, model)
        start = 2 * models - 1 + width * model
        if feature_set == "code":
            features[:, start] = shared / np.float32(k + 1)
        else:
            features[:, start : start + width] = _density(graph, block)
    return features


def _density(graph: Neighborhoods, block: PairBlock) -> Floats:
    columns = np.empty((len(block.first), 4), np.float32)
    for i, values in enumerate(neighborhood_means(graph)):
        a, b = values[block.first], values[block.second]
        columns[:, 2 * i], columns[:, 2 * i + 1] = np.minimum(a, b), np.maximum(a, b)
    return columns


STRUCTURE = (
    "shared",  # common neighbours as a share of k + 1, where each end counts among its own
    "overlap",  # weighted Jaccard index of the two lists
    "mean_low", "mean_high", "deviation_low", "deviation_high",  # of each end's similarities to its own neighbours
    "above_mean_low", "above_mean_high",  # cosine minus mean_low, minus mean_high
    "below_best",  # cosine minus the larger of the ends' best similarities
    "rank_low", "rank_high",  # log(1 + rank) of one end in the other's list; rank k if it is absent
)  # fmt: skip
"""Features of one model, in order."""

_AFFINITIES = ("mean", "least", "deviation")
_OVERLAPS = ("overlap_mean", "overlap_least")
_OVER_MODELS = "over_models"


def rich_names(models: Sequence[str]) -> list[str]:
    """Name the columns.

    >>> [len(rich_names("abcde"[:models])) for models in (1, 4, 5)]
    [17, 56, 69]
    >>> rich_names(["v3", "casia"])[:4]
    ['relationship.casia', 'affinity.v3', 'affinity.casia', 'affinity.over_models.mean']
    """
    return [
        *(f"relationship.{member}" for member in models[1:]),
        *(f"affinity.{model}" for model in models),
        *(f"affinity.{_OVER_MODELS}.{name}" for name in _AFFINITIES),
        *(f"structure.{model}.{name}" for model in models for name in STRUCTURE),
        *(f"structure.{_OVER_MODELS}.{name}" for name in _OVERLAPS),
    ]


def rich_features(block: PairBlock, k: int) -> Floats:
    """Compute the features of all pairs of a block.

    Parameters
    ----------
    block : PairBlock
    k : int
        Neighbours in a full list.

    Returns
    -------
    ndarray of float32, shape (pairs, 13N + 17)
    """
    models = len(block.graphs)
    width = len(STRUCTURE)
    start = 2 * models - 1 + len(_AFFINITIES)
    features = np.empty((len(block.first), start + width * models + len(_OVERLAPS)), np.float32)
    for model, graph in enumerate(block.graphs):
        cosine = affinity(block, model)
        own = features[:, start + width * model : start + width * (model + 1)]
        related = _structure(block, graph, cosine, k, own)
        features[:, models - 1 + model] = cosine
        if model:
            features[:, model - 1] = related
    cosines = features[:, models - 1 : 2 * models - 1]
    overlaps = features[:, start + 1 : start + width * models : width]
    _over_models(cosines, features[:, 2 * models - 1 : start])
    features[:, -2], features[:, -1] = _mean(overlaps), overlaps.min(axis=1)
    return features


def _over_models(cosines: Floats, columns: Floats) -> None:
    mean = _mean(cosines)
    columns[:, 0], columns[:, 1] = mean, cosines.min(axis=1)
    columns[:, 2] = np.sqrt(_mean((cosines - mean[:, None]) ** 2))


def _mean(columns: Floats) -> Floats:
    """Average columns one by one."""
    # NumPy's own order of additions depends on the memory layout.
    total = np.zeros(len(columns), np.float64)
    for column in columns.T:
        total += column
    return np.asarray(total / columns.shape[1], np.float32)


def _structure(block: PairBlock, graph: Neighborhoods, cosine: Floats, k: int, columns: Floats) -> NDArray[np.bool_]:
    """Fill one model's columns; tell whether one end is a neighbour of the other."""
    pairs, (keys, filled) = len(block.first), empty_table(graph)
    shared, overlap, ranks = np.zeros(pairs, np.int32), np.zeros(pairs, np.float32), np.full((pairs, 2), k, np.int64)
    out = _Comparison(shared, overlap, ranks)
    _compare(block.items, graph, (block.first, block.second), (keys, filled, np.empty_like(keys)), out)
    columns[:, 0], columns[:, 1] = shared / np.float32(k + 1), overlap
    for i, values in enumerate(neighborhood_means(graph)):
        a, b = values[block.first], values[block.second]
        columns[:, 2 + 2 * i], columns[:, 3 + 2 * i] = np.minimum(a, b), np.maximum(a, b)
    columns[:, 6], columns[:, 7] = cosine - columns[:, 2], cosine - columns[:, 3]
    best = _best(graph)
    columns[:, 8] = cosine - np.maximum(best[block.first], best[block.second])
    logs = np.log1p(np.arange(k + 1)).astype(np.float32)
    columns[:, 9:11] = logs[np.sort(ranks, axis=1)]
    return np.asarray(ranks.min(axis=1) < k)


def _best(graph: Neighborhoods) -> Floats:
    """Return the largest similarity of each row; 0 if it has no neighbours."""
    best = np.zeros(len(graph.offsets) - 1, np.float32)
    some = np.diff(graph.offsets) > 0
    best[some] = graph.similarities[graph.offsets[:-1][some]]
    return best


class _Comparison(NamedTuple):
    """Common neighbours, overlap, and both ranks, which stay as they are if absent."""

    shared: NDArray[np.int32]
    overlap: Floats
    ranks: Longs


@compiled
def _compare(
    items: Longs,
    graph: Neighborhoods,
    pairs: tuple[Longs, Longs],
    table: tuple[Longs, Longs, Longs],
    out: _Comparison,
) -> None:
    """Compare the two lists of each pair.

    The second end's list is looked up in a hash table of the first's. The overlap sums up a few float32 values in
    float64, which is exact, so that the order of the ends does not matter.
    """
    offsets, neighbors, similarities = graph.offsets, graph.neighbors, graph.similarities
    (first, second), (keys, filled, entries), (shared, overlap, ranks) = pairs, table, out
    current, sum_i = -1, 0.0
    for pair in range(len(first)):
        i, j = first[pair], second[pair]
        if i != current:
            current, sum_i = i, _total(similarities, offsets[i], offsets[i + 1])
            for entry in range(offsets[i], offsets[i + 1]):
                slot = free_slot(neighbors[entry], filled, current)
                keys[slot], entries[slot], filled[slot] = neighbors[entry], entry, current
        common = 0.0
        forward = slot_of(items[j], keys, filled, current)
        if forward >= 0:
            ranks[pair, 0] = entries[forward] - offsets[i]
            shared[pair] += 1
        for entry in range(offsets[j], offsets[j + 1]):
            if neighbors[entry] == items[i]:
                ranks[pair, 1] = entry - offsets[j]
                shared[pair] += 1
                continue
            slot = slot_of(neighbors[entry], keys, filled, current)
            if slot >= 0:
                shared[pair] += 1
                common += max(0.0, np.float64(min(similarities[entry], similarities[entries[slot]])))
        union = sum_i + _total(similarities, offsets[j], offsets[j + 1]) - common
        if union > 0:
            overlap[pair] = common / union


@compiled(inline="always")
def _total(similarities: Floats, start: int, stop: int) -> float:
    """Sum up the positive similarities."""
    total = 0.0
    for entry in range(start, stop):
        total += max(0.0, np.float64(similarities[entry]))
    return total
