"""The guard against a giant component, which holds a large share of all items or far more than a cluster may."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

from pyspark.sql import DataFrame, Row
from pyspark.sql import functions as F

from cdp_spark.base.errors import GuardError
from cdp_spark.clusters.forest.merges import giants
from cdp_spark.config.sections import ClustersConfig, fingerprint
from cdp_spark.runs import register
from cdp_spark.runs.stage_store import StageResult, StageStore
from cdp_spark.spark.keyed_table import KeyedTable

GIANT_SHARE = 0.1
"""Share of all items above which a component is a giant."""
GIANT_FACTOR = 10
"""Multiple of ``max_cluster_size`` above which a component is a giant."""
_EXAMPLES = 3


@dataclass(frozen=True)
class Guarded:
    """Facts about a giant component, or None."""

    giant: dict[str, Any] | None
    warnings: list[str]


def guarded(
    store: StageStore,
    items: StageResult,
    graph: ConsensusGraph,
    limits: ClustersConfig,
    threshold: float,
) -> Guarded:
    """Warn about a giant component: its size, the score at which it falls apart, the pairs that joined it.

    Parameters
    ----------
    store : StageStore
    items : StageResult (id, item: long)
    graph : ConsensusGraph
    limits : ClustersConfig
    threshold : float

    Raises
    ------
    GuardError
        If there is one and ``clusters.on_giant`` is ``refuse``.
    """
    if not is_giant(graph.largest, items.rows, limits.max_cluster_size):
        return Guarded(None, [])
    giant = store.facts(
        register.GIANT,
        fingerprint(graph.fingerprint, items.fingerprint),
        lambda: _described(graph.grouped, items, threshold),
    )
    text = giant_message(giant, items.rows, limits.max_cluster_size)
    if limits.on_giant == "refuse":
        raise GuardError(f"{text}: raise consensus.threshold (clusters.on_giant: refuse)")
    return Guarded(giant, [f"{text}; it is cut by rising thresholds; a higher threshold may do better"])


def is_giant(size: int, item_count: int, most: int) -> bool:
    """Return whether a component is far too large for a cluster.

    >>> is_giant(700, 100_000, 600), is_giant(7_000, 100_000, 600), is_giant(700, 5_000, 600), is_giant(20, 100, 600)
    (False, True, True, False)
    """
    return size > most and (size > GIANT_SHARE * item_count or size > GIANT_FACTOR * most)


def giant_message(giant: Mapping[str, Any], item_count: int, most: int) -> str:
    """Describe a giant in one line."""
    bridges = "; ".join(
        f"{bridge['src']} – {bridge['dst']} ({bridge['score']:.3f}, {bridge['left_size']:,} with "
        f"{bridge['right_size']:,})"
        for bridge in giant["bridges"][:_EXAMPLES]
    )
    return (
        f"one component holds {giant['size']:,} of {item_count:,} items at this threshold (max_cluster_size {most:,}); "
        f"at {giant['falls_apart']:.3f} it has fallen apart, no part with more than half of it; the weakest pairs that "
        f"joined its largest parts: {bridges}"
    )


def _described(grouped: DataFrame, items: StageResult, threshold: float) -> dict[str, Any]:
    giant = giants(grouped, threshold).orderBy(F.col("size").desc(), "component").limit(1).collect()[0]
    needed = sorted({bridge[end] for bridge in giant["bridges"] for end in ("src", "dst")})
    rows = items.table.where(F.col("item").isin(needed)).collect()
    ids = {row["item"]: row["id"] for row in rows}
    return {
        "size": giant["size"],
        "falls_apart": giant["falls_apart"],
        "bridges": [_named(bridge, ids) for bridge in giant["bridges"]],
    }


def _named(bridge: Row, ids: Mapping[int, Any]) -> dict[str, Any]:
    sizes = {name: bridge[name] for name in ("score", "left_size", "right_size")}
    return {"src": ids[bridge["src"]], "dst": ids[bridge["dst"]], **sizes}


@dataclass(frozen=True)
class ConsensusGraph:
    """The pairs above one threshold.

    Attributes
    ----------
    pairs_above, edges_above : DataFrame
        All pairs of the graph; its forest, or a superset.
    grouped : DataFrame
        ``edges_above``, whole components in one partition.
    components : StageResult
    tasks : int
    engine, why : str
    start : float or None
        The smallest score; None if there is no pair.
    largest : int
        Items of the largest component.
    fingerprint : str
    """

    pairs_above: DataFrame
    edges_above: DataFrame
    grouped: DataFrame
    components: StageResult
    tasks: int
    engine: str
    why: str
    start: float | None
    largest: int
    fingerprint: str

    @property
    def whole_components(self) -> KeyedTable:
        """``grouped``; its row count is an upper bound."""
        return KeyedTable(self.grouped, self.components.rows, self.fingerprint)
