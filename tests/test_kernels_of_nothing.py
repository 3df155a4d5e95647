"""Engines hand partitions without a row to functions: every kernel answers with nothing."""

import numpy as np
import pyarrow as pa
import pytest

from cdp_spark.agglomeration.kernels import agglomeration, links
from cdp_spark.base.numeric import unit_vectors
from cdp_spark.base.numeric.connected import Components
from cdp_spark.base.numeric.float16 import bits_of, floats_of, row_norms
from cdp_spark.clusters.kernels.dendrogram import Dendrogram, largest_component, largest_components
from cdp_spark.clusters.kernels.pruning import Limits, cut_by_code
from cdp_spark.clusters.kernels.spanning_forest import Forest, best_first, maximum_spanning_forest
from cdp_spark.evaluation.kernels.metrics import scores, sums_of
from cdp_spark.knn.kernels import neighbor_lists
from cdp_spark.knn.kernels.nearest_cells import Ranking
from cdp_spark.knn.kernels.neighbors_of_neighbors import expanded
from cdp_spark.knn.kernels.search_cells import Block
from cdp_spark.networks.kernels import mlp
from cdp_spark.pairs.kernels import neighborhoods
from cdp_spark.pairs.kernels.features import pair_features
from cdp_spark.pairs.kernels.neighborhoods import PairBlock
from cdp_spark.scoring.kernels.count_votes import votes

NONE, ZERO, FLOATS = np.empty(0, np.int64), np.zeros(1, np.int64), np.empty(0, np.float32)
FLOAT16S = np.empty((0, 5), np.float16)


def test_edges():
    assert not len(maximum_spanning_forest(NONE, NONE, FLOATS))
    assert not len(best_first(NONE, NONE, FLOATS))
    assert [len(column) for column in Forest(1).edges()] == [0, 0, 0]
    assert [len(column) for column in Components().result()] == [0, 0]


def test_trees():
    tree = Dendrogram.of_edges(NONE, NONE, FLOATS)
    assert [len(column) for column in tree.joined()] == [0, 0, 0, 0]
    assert largest_component(tree, 0.5) is None
    assert not largest_components(tree, np.array([0.5])).any()
    assert not len(cut_by_code(tree, 0.5, start=0.6, limits=Limits(10, 0.5, 3)).items)


@pytest.mark.parametrize("rows", [0, 2])
def test_lists(rows):
    """No rows, and rows whose lists are empty."""
    offsets = np.zeros(rows + 1, np.int64)
    assert not votes((offsets, NONE), [(offsets, NONE)]).any()
    assert neighbor_lists.merge(neighbor_lists.Entries(offsets, NONE, FLOATS), 3).counts.tolist() == [0] * rows
    twins = neighbor_lists.Twins.of(NONE, pa.array([], pa.list_(pa.int64())))
    assert len(neighbor_lists.with_twins(np.arange(rows), neighbor_lists.empty_lists(rows, 3), twins).counts) == rows
    assert neighbor_lists.to_arrow(np.arange(rows), neighbor_lists.empty_lists(rows, 3)).num_rows == rows
    assert not len(neighbor_lists.of_twin(NONE, NONE, neighbor_lists.Entries(ZERO, NONE, FLOATS), 3).counts)


def test_vectors():
    assert floats_of(bits_of(FLOAT16S), np.empty((0, 5), np.float32)).shape == (0, 5)
    assert row_norms(FLOAT16S).shape == (0,)
    assert unit_vectors.decode(pa.array([], pa.binary()), 5).shape == (0, 5)
    for column in (pa.array([], pa.list_(pa.float32())), pa.array([], pa.list_(pa.float64()))):
        assert [len(part) for part in unit_vectors.checked_vectors(column)] == [0, 0]
    assert [len(part) for part in unit_vectors.checked_vectors(pa.array([], pa.binary()), "float16")] == [0, 0]
    cells = Ranking(np.eye(6, 5, dtype=np.float16))
    assert cells.nearest(FLOAT16S, 2).shape == (0, 2)
    assert cells.scores(FLOAT16S, NONE).shape == (0,)
    found = expanded(Block.of(NONE, FLOAT16S), np.empty((0, 4), np.int32), np.empty((0, 4), np.float32))
    assert found.neighbors.shape == (0, 4)


@pytest.mark.parametrize("features", ["code", "paper", "rich"])
def test_pairs(features):
    graph = neighborhoods.Neighborhoods(ZERO, NONE, FLOATS)
    first, second = neighborhoods.owned_pairs(NONE, np.empty(0, np.bool_), [graph, graph])
    assert len(first) == len(second) == 0
    block = PairBlock(NONE, [graph, graph], lambda model: FLOAT16S if model else None, first, second)
    assert len(pair_features(block, features, 5)) == 0


def test_scores():
    layer = np.zeros((3, 4), np.float32), np.zeros(4, np.float32)
    net = mlp.Mlp(np.zeros(3, np.float32), np.ones(3, np.float32), (layer,))
    nothing = np.empty((0, 3), np.float32)
    assert mlp.outputs(net, nothing).shape == (0, 4)
    assert len(mlp.probabilities(mlp.Ensemble((net,), mixture=(0.5, 0.5)), nothing)) == 0
    assert len(mlp.mixture_logits(np.empty((0, 4)), np.array([0.5, 0.5]))) == 0
    assert scores(sums_of(NONE, NONE))["pairwise_f"] is None


def test_clusters():
    assert len(links.Links.of_pairs(NONE, NONE, FLOATS, rivals=2, models=1)) == 0
    assert len(agglomeration.agglomerated(links.ItemPairs(NONE, NONE, FLOATS, 0), agglomeration.Rule()).root) == 0
