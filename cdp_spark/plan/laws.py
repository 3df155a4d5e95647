"""How stages grow: the law of each kind of stage, by the size of the data."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Literal, NamedTuple

from cdp_spark.knn.kernels.cells import AROUND, COPIES, RANKED, cell_count
from cdp_spark.knn.kernels.neighbors_of_neighbors import VIA
from cdp_spark.knn.kernels.train_cells import MOST_SAMPLED, SAMPLE_PER_CELL
from cdp_spark.unlabelled.blocks import HELD_BYTES
from cdp_spark.unlabelled.kernels.self_training import MOST_PAIRS
from cdp_spark.unlabelled.kernels.splits import coordinate_splits, distinct_halves, model_splits
from cdp_spark.unlabelled.looks_flow import block_items
from cdp_spark.unlabelled.sample_flow import Sizes


@dataclass(frozen=True)
class Size:
    """Size of the data, and bounds of a task.

    Attributes
    ----------
    items : int
    dimension : float
        Dimension of one model, or the mean over models.
    k, models : int
    probed : float
        Number of cells that an item's search visits, in a set of at most one shard.
    shard_rows, task_edges : float
        Most rows of a shard (with copies of vectors near its borders) and most edges of the graph in one task.
    coordinates : bool
        Whether halves of the coordinates are compared although there are several models, whose halves do not agree.
    """

    items: float
    dimension: float
    k: int
    models: int
    probed: float = 1.0
    shard_rows: float = math.inf
    task_edges: float = math.inf
    coordinates: bool = False

    @property
    def cells(self) -> float:
        """Number of cells of a model."""
        return cell_count(int(self.items))


Work = Callable[[Size], float]


@dataclass(frozen=True)
class Law:
    """How a stage grows.

    Attributes
    ----------
    work : callable of a size
    holds : {"batch", "shard", "edges", "block"}
        Quantity that a worker's memory grows with: none, the shard, the edges of one task, or a block's items.
    tasks : {"many", "threads", "one"}
        Number of tasks that share the work. *threads* is one task per shard, with several threads if there are more
        cores.
    written : callable of a size
        Quantity that its stored bytes grow with.
    each_model : bool
        Whether it runs once per model.
    """

    work: Work
    holds: Literal["batch", "shard", "edges", "block"] = "batch"
    tasks: Literal["many", "threads", "one"] = "many"
    written: Work = lambda size: size.items
    each_model: bool = False


HALVES = "search of halves"
"""Search of the halves of the models' coordinates, which cost what models of half the dimension cost."""
_HALO = 3.0
"""Approximate number of blocks that an item is sent to, on 200,000 items."""
PAIRS = 12
"""Approximate number of pairs per item of the joint view."""

_EXPANDED = 44.0
"""Cost of a row that does not depend on visited cells, mostly comparing it with neighbours of neighbours.

In products of two vectors per neighbour of a neighbour; measured on a million vectors with k = 14."""


def _copies(size: Size) -> float:
    """Return how many shards a vector lies in, on average."""
    return 1.0 if size.items <= size.shard_rows else COPIES


def _products(size: Size) -> float:
    """Return the multiplications of the search of shards.

    The share of a shard that must be visited is that of a set of its size, and at least one cell.
    """
    rows = min(size.items, size.shard_rows)
    visited = max(size.probed * rows / cell_count(int(rows)), size.items / size.cells)
    return _copies(size) * _vectors(size) * (visited + min(size.cells, AROUND) + _EXPANDED * size.k * min(size.k, VIA))


def _sample(size: Size) -> float:
    return min(SAMPLE_PER_CELL * size.cells, MOST_SAMPLED)


def _vectors(size: Size) -> float:
    return size.items * size.dimension


def _edges(size: Size) -> float:
    return size.items * size.k


def _rows(size: Size) -> float:
    return size.items


class View(NamedTuple):
    """A joint view of some models that a run without labels makes, for subsets of these; some are compared."""

    models: int
    dimension: float
    subsets: int
    compared: int


def views(size: Size) -> tuple[View, ...]:
    """Return the joint views: that of the models, and that of the halves of their coordinates if these are compared."""
    halves = distinct_halves(model_splits(size.models))
    of_models = View(size.models, size.dimension, 1 + len(halves), len(halves))
    if size.models > 1 and not size.coordinates:
        return (of_models,)
    halves_of_each = 2 * coordinate_splits(size.models)
    return of_models, View(halves_of_each * size.models, size.dimension / 2, halves_of_each, halves_of_each)


def block_bytes(size: Size, *, bounded: bool = True) -> float:
    """Return the bytes of vectors and lists that a block of the joint view holds of its own items, or all blocks.

    All blocks together are sent in rounds if they would hold more than a bound.
    """
    of = views(size)[-1]
    block = block_items(int(size.items), [round(of.dimension)] * of.models, of.subsets)
    of_an_item = of.models * (2 * of.dimension + 12 * size.k)
    return min(size.items, block) * of_an_item if bounded else min(size.items * of_an_item, HELD_BYTES / _HALO)


def _joined(size: Size) -> float:
    return size.items * sum(of.models * (of.dimension + 250) + 10 * of.subsets for of in views(size))


def _looked_at(size: Size) -> float:
    return size.items * (size.models * (size.dimension + 750) + 1_600)


def _compared(size: Size) -> float:
    """Return the items among which clusterings are compared, however many there are."""
    return min(size.items, Sizes().compared)


def _alike(size: Size) -> float:
    """Return the rows that are clustered at each shift of a trained mediator, by each half of its members."""
    return _compared(size) * len(distinct_halves(model_splits(size.models - 1)))


def _halves_looked_at(size: Size) -> float:
    return _compared(size) * sum(6 * of.compared + of.models for of in views(size) if of.compared)


def _halves_written(size: Size) -> float:
    return _compared(size) * sum(of.compared for of in views(size))


def _clustered(size: Size) -> float:
    """Return the rows that are clustered at each shift: of the whole and of each half."""
    return _compared(size) * sum(1 + of.compared for of in views(size) if of.compared)


def _pairs(size: Size) -> float:
    return size.items * PAIRS


LAWS: dict[str, Law] = {
    "embeddings": Law(_vectors, written=_vectors, each_model=True),
    "items": Law(_rows),
    "quarantine": Law(_rows, written=lambda size: 1.0),
    "twins": Law(_vectors, written=lambda size: 1.0, each_model=True),
    "exact shards": Law(_vectors, written=_vectors, each_model=True),
    "exact knn": Law(lambda size: size.items * _vectors(size), "shard", written=_edges, each_model=True),
    "truth": Law(_vectors, written=lambda size: 1.0, each_model=True),
    "cells": Law(
        lambda size: _sample(size) * size.cells * size.dimension, tasks="one",
        written=lambda size: size.cells * size.dimension, each_model=True,
    ),
    "shards": Law(
        lambda size: _vectors(size) * (min(size.cells, RANKED) + 500 * _copies(size)),
        written=lambda size: _copies(size) * _vectors(size), each_model=True,
    ),
    "pilot": Law(_vectors, written=lambda size: 0.0, each_model=True),
    "lists": Law(
        _products, "shard", "threads", written=lambda size: _copies(size) * _edges(size), each_model=True
    ),
    "merged lists": Law(_edges, written=_edges, each_model=True),
    "scored_pairs, vote": Law(lambda size: _edges(size) * size.models, written=_edges),
    "blocks": Law(_rows),
    "members": Law(_edges),
    "scored_pairs, mediator": Law(lambda size: _edges(size) * size.models * (size.dimension + 50), written=_edges),
    "items alike": Law(_alike, written=_compared),
    "mediator fit": Law(_edges, written=lambda size: 0.0),
    HALVES: Law(_vectors, "shard"),
    "repeated items": Law(lambda size: _vectors(size) * size.models, written=lambda size: 1.0),
    "background": Law(_vectors, each_model=True),
    "joint view": Law(_joined, "block", written=lambda size: size.items * sum(view.subsets for view in views(size))),
    "first look": Law(_looked_at, "block", written=lambda size: size.items * (7 + size.models)),
    "second look": Law(
        lambda size: _pairs(size) * (4 + size.models), "block", written=lambda size: size.items * size.models
    ),
    "sample": Law(_rows, "edges", "one"),
    "looks at halves": Law(_halves_looked_at, "block", written=_halves_written),
    "agreement": Law(_clustered, written=_clustered),
    "taught": Law(
        lambda size: min(_pairs(size), MOST_PAIRS) * (4 + size.models), tasks="one",
        written=lambda size: min(_pairs(size), MOST_PAIRS) * size.models,
    ),
    "scored_pairs, without labels": Law(_pairs, written=_pairs),
    "forest": Law(_edges, "edges"),
    "components": Law(_rows, "edges", "one"),
    "labelled": Law(_rows, "edges", "one"),
    "pieces": Law(_rows, "edges", "one"),
    "labelled, agglomerated": Law(_edges, written=_rows),
    "clusters": Law(_rows),
    "merges": Law(_rows, "edges", "one"),
    "all else": Law(_rows, written=lambda size: 0.0, tasks="one"),
}  # fmt: skip
"""Law of each kind of stage, in the order of a run."""
