"""Compute each graph's hubs and the members' agreement once for a run's graphs."""

from __future__ import annotations

from cdp_spark.base import schemas
from cdp_spark.config.sections import fingerprint
from cdp_spark.report import graph_figures
from cdp_spark.report.figures import Agreement, Hubs
from cdp_spark.report.given_labels import NamedLabels
from cdp_spark.report.model_agreement import PairCount, agreement_of
from cdp_spark.runs import register
from cdp_spark.runs.finished_run import FinishedRun

_ITEMS = _PAIRS = 250_000
"""Sample size: a share is then known to 0.2 percent, and every task can hold the sample."""


def hubs(run: FinishedRun) -> list[Hubs]:
    """Count for each model how many lists contain each item."""
    models = run.config.input.models
    share = min(1.0, _ITEMS / max(1, run.item_count))
    key = fingerprint(
        "hubs",
        register.HUBS.version,
        [run.stage(register.KNN.of(model)).fingerprint for model in models],
        share,
    )

    def counted() -> dict[str, list[list[int]]]:
        table = graph_figures.in_degrees(
            [run.table(register.KNN.of(model), schemas.KNN) for model in models], share=share
        )
        return {"rows": [[row["graph"], row["in_degree"], row["items"]] for row in table.collect()]}

    rows = run.facts(register.HUBS, key, counted)["rows"]
    return [
        Hubs.of(model, [(degree, items) for graph, degree, items in rows if graph == index], sampled=share < 1)
        for index, model in enumerate(models)
    ]


def agreement(run: FinishedRun, labels: NamedLabels | None) -> Agreement | None:
    """Count the base's pairs that members confirm and, with labels, the right ones.

    Parameters
    ----------
    run : FinishedRun
    labels : NamedLabels, optional

    Returns
    -------
    Agreement or None
        None without a committee, or with more than ``MOST_MEMBERS`` members.
    """
    base, *members = run.config.input.models
    if not members or len(members) > graph_figures.MOST_MEMBERS:
        return None
    share = min(1.0, _PAIRS / max(1, run.stage(register.KNN.of(base)).rows * run.config.knn.k))
    graphs = [run.stage(register.KNN.of(model)).fingerprint for model in (base, *members)]
    key = fingerprint("agreement", register.HUBS.version, graphs, share, labels.fingerprint if labels else None)

    def counted() -> dict[str, list[list[int | bool | None]]]:
        lists = [run.table(register.KNN.of(model), schemas.KNN) for model in members]
        of_items = labels.of_items(run.table(register.ITEMS)) if labels else None
        table = graph_figures.confirmed_pairs(
            run.table(register.KNN.of(base), schemas.KNN), lists, of_items, share=share
        )
        return {"rows": [[row["members"], row["same"], row["pairs"]] for row in table.collect()]}

    rows = run.facts(register.AGREEMENT, key, counted)["rows"]
    return agreement_of([PairCount(*row) for row in rows], members, sampled=share < 1)
