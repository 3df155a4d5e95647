"""Rows -> tables as the page shows them: every cell a text, numbers to the right."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cdp_spark.report.figures import Agreement, Figures, Hubs, MergedCluster, SplitIdentity, Suspect
from cdp_spark.runs.run_json import ClusterRecord, Recall

LONGEST = 80
"""Of ids and labels, which may be of any length, as many characters are shown."""


def short(text: object) -> str:
    """Cut a long text.

    >>> short("x" * 100)[-3:], len(short("x" * 100))
    ('xx…', 80)
    """
    whole = str(text)
    return whole if len(whole) <= LONGEST else f"{whole[: LONGEST - 1]}…"


_FORMATS: Mapping[str, Callable[[Any], str]] = {
    "text": short,
    "count": lambda value: f"{value:,}",
    "number": lambda value: f"{value:,.2f}",
    "score": lambda value: f"{value:.3f}",
    "metric": lambda value: f"{value:.4f}",
    "threshold": lambda value: f"{value:g}",
    "share": lambda value: f"{value:.1%}",
    "seconds": lambda value: f"{value:,.1f}",
    "times": lambda value: f"{value:,.1f} ×",
    "bytes": lambda value: f"{value / 2**20:,.1f} MiB",
}


@dataclass(frozen=True)
class Table:
    """A table with all cells as text.

    Attributes
    ----------
    caption : str
    columns : list of (name, is_number)
    rows : list of list of str
        The first cell of a row names it.
    """

    caption: str
    columns: list[tuple[str, bool]]
    rows: list[list[str]]

    @classmethod
    def of(cls, caption: str, columns: Mapping[str, str], rows: Sequence[Sequence[Any]]) -> Table:
        """Format rows; None is a dash.

        Parameters
        ----------
        caption : str
        columns : mapping of name to format
        rows : sequence of rows

        Examples
        --------
        >>> Table.of("Sizes", {"items": "text", "clusters": "count"}, [("2–3", 1234), ("4", None)]).rows
        [['2–3', '1,234'], ['4', '–']]
        """
        formats = list(columns.values())
        texts = [
            ["–" if cell is None else _FORMATS[kind](cell) for kind, cell in zip(formats, row, strict=True)]
            for row in rows
        ]
        return cls(caption, [(name, kind != "text") for name, kind in columns.items()], texts)


def input_table(record: ClusterRecord) -> Table:
    """Say what each model brought."""
    counts, dimensions = record.counts, record.dimensions
    rows = [
        (model, rows, dimensions.get(model), sum(counts.quarantined.get(model, {}).values()))
        for model, rows in counts.rows.items()
    ]
    return Table.of(
        "Rows of each model", {"model": "text", "rows": "count", "dimensions": "count", "set aside": "count"}, rows
    )


def set_aside_table(record: ClusterRecord) -> Table:
    """Say why rows were set aside."""
    quarantined = record.counts.quarantined
    rows = [(model, reason, rows) for model, reasons in quarantined.items() for reason, rows in reasons.items()]
    return Table.of("Rows set aside, by reason", {"model": "text", "reason": "text", "rows": "count"}, rows)


def graph_table(record: ClusterRecord, hubs: Sequence[Hubs]) -> Table:
    """Say how good each KNN graph is, how uneven, and how many exact duplicates its model has."""
    twins = {stage.name.removeprefix("twins/"): stage.rows for stage in record.stages}
    known = {each.model: each for each in hubs}
    rows = []
    for model, recall in record.recall.items():
        hub = known.get(model)
        uneven = (hub.largest, hub.top_share, hub.in_none) if hub else (None, None, None)
        rows.append((model, recall.method, recall.recall, _interval(recall), twins.get(model), *uneven))
    columns = {
        "model": "text", "search": "text", "recall": "metric", "95 % interval": "text", "duplicates": "count",
        "most lists": "count", "to top 1 %": "share", "in no list": "share",
    }  # fmt: skip
    return Table.of("KNN graphs", columns, rows)


def _interval(recall: Recall) -> str:
    return "exact" if recall.method == "exact" else f"{recall.low:.4f} to {recall.high:.4f}"


def member_table(found: Agreement) -> Table:
    """Say how each member sees the base's pairs."""
    columns = {"member": "text", "confirms": "share"}
    rows: list[tuple[Any, ...]] = [(each.model, each.confirmed) for each in found.members]
    if found.judged:
        columns |= {"right if it does": "share", "right if not": "share"}
        columns |= {"others and it": "share", "others, not it": "share", "so it": "text"}
        rows = [
            (
                each.model,
                each.confirmed,
                each.right,
                each.right_otherwise,
                each.alone_with,
                each.alone_without,
                each.verdict,
            )
            for each in found.members
        ]
    return Table.of("Members of the committee, and the base's pairs", columns, rows)


_SIGNS = {
    "bridge": "one pair far weaker than the rest",
    "loose": "low mean score",
    "large": "near max_cluster_size or beyond",
}


def suspect_table(suspects: Sequence[Suspect], *, labelled: bool) -> Table:
    """List suspicious clusters."""
    columns = {"cluster": "text", "items": "count", "mean score": "score", "weakest pair": "score"}
    columns |= ({"other labels": "count"} if labelled else {}) | {"why": "text"}
    rows = [
        (each.cluster, each.size, each.mean_score, each.weakest, *([each.others] if labelled else []),
         "; ".join(_SIGNS[sign] for sign in each.signs))
        for each in suspects
    ]  # fmt: skip
    return Table.of("Suspicious clusters", columns, rows)


def split_table(split: Sequence[SplitIdentity]) -> Table:
    """List identities in several clusters."""
    columns = {"identity": "text", "items": "count", "clusters": "count", "in the largest": "count", "in none": "count"}
    rows = [(each.label, each.size, each.clusters, each.largest, each.without) for each in split]
    return Table.of("Identities in several clusters", columns, rows)


def merged_table(merged: Sequence[MergedCluster]) -> Table:
    """List clusters of several identities."""
    columns = {"cluster": "text", "items": "count", "identities": "count", "most common": "text", "its items": "count"}
    rows = [(each.cluster, each.size, each.identities, each.label, each.most) for each in merged]
    return Table.of("Clusters of several identities", columns, rows)


def metric_table(metrics: Mapping[str, Any]) -> Table:
    """List all metrics, both ways, one metric a row: a narrow page shows it whole."""
    names = {
        "pairwise precision": "pairwise_precision", "pairwise recall": "pairwise_recall", "pairwise F": "pairwise_f",
        "BCubed precision": "bcubed_precision", "BCubed recall": "bcubed_recall", "BCubed F": "bcubed_f",
        "NMI": "nmi", "AMI": "ami", "V-measure": "v_measure", "ARI": "ari",
    }  # fmt: skip
    kept, removed = metrics["kept"], metrics["removed"]
    rows = [(name, kept.get(key), removed.get(key)) for name, key in names.items()]
    return Table.of("Metrics", {"metric": "text", "all items": "metric", "clustered items": "metric"}, rows)


def status_table(record: ClusterRecord) -> Table:
    """Count the items by status."""
    items = record.counts.items or 1
    rows = [(status, count, count / items) for status, count in sorted(record.counts.statuses.items())]
    return Table.of("Items by status", {"status": "text", "items": "count", "share": "share"}, rows)


def sweep_table(rows: Sequence[Mapping[str, Any]]) -> Table:
    """List a sweep."""
    columns = {
        "threshold": "threshold", "clusters": "count", "singletons": "count", "discarded": "count", "largest": "count",
        "largest component": "count", "pairwise F": "metric", "BCubed F": "metric",
    }  # fmt: skip
    keys = (
        "threshold",
        "clusters",
        "singletons",
        "discarded",
        "largest",
        "largest_component",
        "pairwise_f",
        "bcubed_f",
    )
    return Table.of("All thresholds", columns, [[row[key] for key in keys] for row in rows])


def stage_table(figures: Figures) -> Table:
    """List the stages with what each took."""
    columns = {
        "stage": "text", "rows": "count", "seconds": "seconds", "peak memory": "bytes", "written": "bytes",
        "files": "count", "skew": "times", "made": "text",
    }  # fmt: skip
    rows = []
    for stage in figures.record.stages:
        parts = figures.parts.get(stage.name)
        files = (parts.files, parts.skew) if parts else (None, None)
        rows.append((
            stage.name, stage.rows, stage.made_seconds, stage.peak_worker_bytes,
            stage.written_bytes, *files, "earlier" if stage.reused else "now",
        ))  # fmt: skip
    return Table.of("Stages, in the order of the run", columns, rows)
