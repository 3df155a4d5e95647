"""Features of a pair from all models: relationship, affinity and structure, in this order, base first.

Three feature sets for a base and N committee members. ``code`` (3N + 2, as in the authors' code): relationship (N),
affinity (N + 1), structure (N + 1: the share of common neighbours). ``paper`` (6N + 5, as in the paper): for each
model, structure is the smaller and the larger of the ends' mean similarities to their own neighbours, and the same of
their standard deviations. ``rich`` (13N + 17): see :mod:`~cdp_spark.pairs.kernels.rich_features`. No feature depends on
the order of the two ends.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from cdp_spark.pairs.kernels.neighborhoods import Neighborhoods, neighborhood_means, shared_neighbors
from cdp_spark.pairs.kernels.pair_block import PairBlock, affinity
from cdp_spark.pairs.kernels.rich_features import rich_features, rich_names

Floats = NDArray[np.float32]
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
