"""Explain why two items are, or are not, together, or one item's edges."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass, fields, replace
from typing import Any, NamedTuple

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F
from pyspark.sql.types import LongType

from cdp_spark.base import schemas
from cdp_spark.base.errors import CdpError, InputError
from cdp_spark.clusters import cut_and_number as cluster_stage
from cdp_spark.evidence import strongest_path
from cdp_spark.evidence.pair_evidence import Evidence, Pair
from cdp_spark.evidence.terms import Repeats
from cdp_spark.runs import register
from cdp_spark.runs.finished_run import FinishedRun

_MOST_PARTNERS = 1_000
_WHOLE = re.compile(r"-?(0|[1-9][0-9]{0,999})")


@dataclass(frozen=True)
class Item:
    """One item of the run: its number, and its row of ``clusters``.

    With a threshold, ``confidence`` and the following are None. Without labels, an item that is identical to a smaller
    one in all models has no pairs: ``same_as`` is the id of the smaller one, ``item`` its number. ``copies`` is the
    number of other items that are identical to it.
    """

    id: Any
    item: int
    cluster: int
    status: str
    size: int
    level: float | None
    confidence: float | None = None
    best_other: int | None = None
    best_other_probability: float | None = None
    same_as: Any = None
    copies: int = 0


@dataclass(frozen=True)
class Explanation:
    """Answer of :func:`explain`.

    Attributes
    ----------
    a, b : Item
        ``b`` is None when only one item was given.
    threshold : float
        Threshold of the run.
    together : bool or None
        Whether both are in one cluster.
    verdict : str
        The answer in words.
    meet : float or None
        Score of the weakest pair on the strongest path. The two share a component at smaller thresholds, but not at
        this one or greater ones. None when no path is known.
    path : list of Pair
        From ``a`` to ``b``. Every other path has a pair that is no stronger than the weakest one here.
    neighbors : list of Pair
        For one item: its neighbours in any model and the items whose neighbour it is, by descending score.
    """

    a: Item
    b: Item | None
    threshold: float
    together: bool | None
    verdict: str
    meet: float | None
    path: list[Pair]
    neighbors: list[Pair]


def explain(run: str, a: Any, b: Any = None, *, spark: SparkSession) -> Explanation:
    """Explain why two items are, or are not, in one cluster, or one item's edges.

    Parameters
    ----------
    run : str
        Output folder of a finished run.
    a, b : id
        Ids as in the run's input; numbers may be given as text.
    spark : SparkSession

    Returns
    -------
    Explanation

    Raises
    ------
    InputError
        If there is no finished run, or it does not have these items.
    """
    finished = FinishedRun.of(spark, run)
    items = _items(finished, [a] if b is None else [a, b])
    evidence = Evidence(finished)
    if b is None:
        return _of_one(finished, evidence, items[0])
    return _of_two(finished, evidence, items[0], items[1])


def _items(run: FinishedRun, ids: Sequence[Any]) -> list[Item]:
    items = run.table(register.ITEMS)
    wanted = [_id_of(each, items) for each in ids]
    # A value that no table can hold would fail before it reaches the engine.
    asked = F.col("id").isin([each for each in wanted if _can_be_held(each)])
    rows = items.where(asked).join(run.table(register.CLUSTERS), "id", "inner").collect()
    names = [field.name for field in fields(Item)]
    known = {row["id"]: Item(**{name: row[name] for name in names if name in row}) for row in rows}
    for each in wanted:
        if each not in known:
            raise InputError(
                f"explain: {run.folder.location} has no item {each!r}: check the id, or look in quarantine/"
            )
    return _first_of_equals(run, [known[each] for each in wanted])


def _first_of_equals(run: FinishedRun, items: list[Item]) -> list[Item]:
    """Replace items that repeat another by the one that stands for them."""
    equal = Repeats.of(run, [each.item for each in items])
    first = {each.item: equal.same_as.get(each.item, each.item) for each in items}
    names = {}
    if equal.same_as:
        rows = run.table(register.ITEMS).where(F.col("item").isin(sorted(set(equal.same_as.values())))).collect()
        names = {row["item"]: row["id"] for row in rows}
    return [
        replace(
            each, item=first[each.item], copies=equal.copies.get(first[each.item], 0),
            same_as=names[first[each.item]] if first[each.item] != each.item else None,
        )
        for each in items
    ]  # fmt: skip


def _can_be_held(identity: int | str) -> bool:
    """Return whether a column of ids can have a value: 64 bits, or valid Unicode."""
    if isinstance(identity, int):
        return -(2**63) <= identity < 2**63
    return not any("\ud800" <= sign <= "\udfff" for sign in identity)


def _id_of(given: Any, items: DataFrame) -> Any:
    """Return an id exactly as the run's input has it, without rounding or other notations of numbers."""
    if hasattr(given, "item") and not isinstance(given, str):  # a number of NumPy
        given = given.item()
    is_whole = isinstance(given, int) and not isinstance(given, bool)
    if not isinstance(items.schema["id"].dataType, LongType):
        if isinstance(given, str) or is_whole:
            return str(given)
        raise InputError(f"explain: the ids of this run are text, got {given!r}")
    if is_whole:
        return given
    if not isinstance(given, str) or not _WHOLE.fullmatch(given):
        raise InputError(f"explain: the ids of this run are whole numbers such as 4711, got {given!r}")
    return int(given)


def _of_one(run: FinishedRun, evidence: Evidence, item: Item) -> Explanation:
    pairs = run.table(register.VOTED_PAIRS, schemas.SCORED_PAIRS)
    touching = pairs.where((F.col("src") == item.item) | (F.col("dst") == item.item))
    rows = touching.orderBy(F.col("score").desc(), "src", "dst").limit(_MOST_PARTNERS).collect()
    scores = {row["src"] + row["dst"] - item.item: row["score"] for row in rows}
    others = sorted(evidence.neighbors_of(item.item) | set(scores))
    neighbors = evidence.pairs([(item.item, other) for other in others], [scores.get(other) for other in others])
    neighbors.sort(key=lambda pair: (pair.score is None, -(pair.score or 0.0), -pair.similarity))
    kept = sum(pair.kept for pair in neighbors)
    limit = "above the threshold" if run.config.clusters.has_threshold else "above even odds"
    whose = "its" if item.same_as is None else f"{item.same_as}'s"
    verdict = f"{_in_words(item)}; {kept} of {whose} {len(neighbors)} edges are {limit}"
    return Explanation(item, None, evidence.threshold, None, verdict, None, [], neighbors)


def _in_words(item: Item) -> str:
    if item.same_as is not None:
        return f"{_where(item)}, identical in all models to {item.same_as}, which stands for it"
    if item.copies:
        return f"{_where(item)}, identical in all models to {item.copies:,} other item{'s' * (item.copies > 1)}"
    return _where(item)


def _where(item: Item) -> str:
    if item.cluster < 0:
        return f"{item.id} has no cluster ({item.status})"
    where = f"{item.id} is in cluster {item.cluster} of {item.size:,} items ({item.status}"
    if item.confidence is None:
        return f"{where}{f', final at threshold {item.level:.3f}' if item.level is not None else ''})"
    if item.best_other is None:
        return f"{where}, confidence {item.confidence:.2f})"
    next_one = f"its cluster would next join cluster {item.best_other}, probability {item.best_other_probability:.2f}"
    return f"{where}, confidence {item.confidence:.2f}; {next_one})"


def _of_two(run: FinishedRun, evidence: Evidence, a: Item, b: Item) -> Explanation:
    if a.id == b.id:
        raise InputError(f"explain: {a.id!r} was given twice: give two different items, or one")
    together = a.cluster >= 0 and a.cluster == b.cluster
    if a.item == b.item:
        verdict = (
            f"{a.id} and {b.id} are identical in all models, and so together, in cluster {a.cluster} of {a.size:,}, "
            "whatever the threshold"
        )
        return Explanation(a, b, evidence.threshold, together, verdict, None, [], [])
    edges = _edges_between(run, evidence.threshold, a, b)
    rows = sorted(edges.collect(), key=lambda row: row["step"]) if edges is not None else []
    path, here = [], a.item
    for row in rows:
        path.append((here, row["src"] + row["dst"] - here))
        here = path[-1][1]
    pairs = evidence.pairs(path, [row["score"] for row in rows])
    meet = min((row["score"] for row in rows), default=None)
    two = _TwoItems(a, b, together, meet, edges is not None)
    verdict_of = _threshold_verdict if run.config.clusters.has_threshold else _merging_verdict
    verdict = verdict_of(run, evidence.threshold, two)
    if together:
        verdict += "".join(f"; {each.id} is identical in all models to {each.same_as}, which stands for it"
                           for each in (a, b) if each.same_as is not None)  # fmt: skip
    return Explanation(a, b, evidence.threshold, together, verdict, meet, pairs, [])


def _edges_between(run: FinishedRun, threshold: float, a: Item, b: Item) -> DataFrame | None:
    """Return the strongest path; None if it needs a table that no task can hold."""
    if run.record.forest_complete:
        return strongest_path.path(run.table(register.FOREST, schemas.FOREST), a.item, b.item, is_forest=True)
    components = run.table(register.COMPONENTS, schemas.COMPONENTS)
    of_two = components.where(F.col("item").isin(a.item, b.item)).collect()
    if len({row["component"] for row in of_two}) != 1 or len(of_two) != 2:
        return None
    ours = components.where(F.col("component") == of_two[0]["component"])
    edges = cluster_stage.edges_above(_graph(run), threshold)
    return strongest_path.path(cluster_stage.owned_edges(edges, ours), a.item, b.item, is_forest=False)


def _graph(run: FinishedRun) -> DataFrame:
    """Return the edges that pruning read: only the forest of a large component."""
    try:
        return run.table(register.TREES, schemas.FOREST)
    except CdpError:
        return run.table(register.FOREST, schemas.FOREST)


class _TwoItems(NamedTuple):
    """Facts for a verdict on two items.

    ``known`` is whether their component was searched for a path.
    """

    a: Item
    b: Item
    together: bool
    meet: float | None
    known: bool


def _threshold_verdict(run: FinishedRun, threshold: float, two: _TwoItems) -> str:
    """Explain a rule with a threshold."""
    a, b, together, meet, known = two
    if together:
        return (
            f"{a.id} and {b.id} are together, in cluster {a.cluster} of {a.size:,} items; they separate at thresholds "
            f"of {meet:.3f} and greater"
        )
    apart = f"{a.id} and {b.id} are apart: {_in_words(a)}, {_in_words(b)}"
    if meet is None:
        unknown = f"no path above {threshold:g} joins them; the forest is incomplete, so lower paths are not known"
        return f"{apart}; {'no path of scored pairs joins them at any threshold' if known else unknown}"
    if meet <= threshold:
        return f"{apart}; they would be joined at thresholds smaller than {meet:.3f} (the run has {threshold:g})"
    most = run.config.clusters.max_cluster_size
    return (
        f"{apart}; pairs above the threshold join them (the weakest has {meet:.3f}), but in a component of more than "
        f"{most:,} items (max_cluster_size), which was cut at rising thresholds"
    )


def _merging_verdict(run: FinishedRun, threshold: float, two: _TwoItems) -> str:
    """Explain a rule that merges whole clusters instead of cutting at a threshold."""
    a, b, together, meet, _ = two
    if together:
        rule = run.config.clusters.rule
        return f"{a.id} and {b.id} are together, in cluster {a.cluster} of {a.size:,} items (rule {rule})"
    apart = f"{a.id} and {b.id} are apart: {_in_words(a)}, {_in_words(b)}"
    if meet is None or meet <= threshold:
        weakest = "" if meet is None else f": every path has a pair with {meet:.3f} or less"
        return f"{apart}; no path of pairs above even odds joins them{weakest}"
    return (
        f"{apart}; pairs above even odds join them (the weakest has {meet:.3f}), but all pairs between their clusters "
        "together speak for two clusters"
    )
