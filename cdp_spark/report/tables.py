"""Format rows as the tables of the page: every cell is text, numbers align right."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from cdp_spark.report.figures import Agreement, Figures, Hubs, MergedCluster, SplitIdentity, Suspect
from cdp_spark.runs.run_json import ClusterRecord, Recall

LONGEST = 80
"""Characters shown of an id or label, which may be of any length."""


def short(text: object) -> str:
    """Shorten a long text.

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
    """A table whose cells are all text.

    Attributes
    ----------
    caption : str
    columns : list of (name, is_number)
    rows : list of list of str
        The first cell names its row.
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
    """List the input of each model."""
    counts, dimensions = record.counts, record.dimensions
    rows = [
        (model, rows, dimensions.get(model), sum(counts.quarantined.get(model, {}).values()))
        for model, rows in counts.rows.items()
    ]
    return Table.of(
        "Rows of each model", {"model": "text", "rows": "count", "dimensions": "count", "set aside": "count"}, rows
    )


def set_aside_table(record: ClusterRecord) -> Table:
    """Count the rows set aside by reason."""
    quarantined = record.counts.quarantined
    rows = [(model, reason, rows) for model, reasons in quarantined.items() for reason, rows in reasons.items()]
    return Table.of("Rows set aside, by reason", {"model": "text", "reason": "text", "rows": "count"}, rows)


def graph_table(record: ClusterRecord, hubs: Sequence[Hubs]) -> Table:
    """List recall, hubs and exact duplicates of each KNN graph."""
    twins = {stage.name.removeprefix("twins/"): stage.rows for stage in record.stages}
    known = {each.model: each for each in hubs}
    rows = []
    for model, recall in record.recall.items():
        hub = known.get(model)
        uneven = (hub.largest, hub.top_share, hub.in_none) if hub else (None, None, None)
        rows.append((model, recall.method, recall.recall, _interval(recall), twins.get(model), *uneven))
    columns = {
        "model": "text", "search": "text", "recall": "metric", "95 % interval": "text", "duplicates": "count",
        "largest in-degree": "count", "edges to top 1 %": "share", "in no list": "share",
    }  # fmt: skip
    return Table.of("KNN graphs", columns, rows)


def _interval(recall: Recall) -> str:
    return "exact" if recall.method == "exact" else f"{recall.low:.4f} to {recall.high:.4f}"


def member_table(agreement: Agreement) -> Table:
    """List each member's agreement with the base's pairs."""
    columns = {"member": "text", "confirms": "share"}
    rows: list[tuple[Any, ...]] = [(each.model, each.confirmed) for each in agreement.members]
    if agreement.labelled:
        columns |= {"right if confirmed": "share", "right if not": "share"}
        columns |= {"all others and it": "share", "all others, not it": "share", "verdict": "text"}
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
            for each in agreement.members
        ]
    return Table.of("Committee members and the base's pairs", columns, rows)


_SIGNS = {
    "bridge": "one pair is far weaker than the rest",
    "loose": "low mean score",
    "large": "near or above max_cluster_size",
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
    columns = {
        "identity": "text",
        "items": "count",
        "clusters": "count",
        "in the largest": "count",
        "unclustered": "count",
    }
    rows = [(each.label, each.size, each.clusters, each.largest, each.without) for each in split]
    return Table.of("Identities in several clusters", columns, rows)


def merged_table(merged: Sequence[MergedCluster]) -> Table:
    """List clusters of several identities."""
    columns = {"cluster": "text", "items": "count", "identities": "count", "most common": "text", "its items": "count"}
    rows = [(each.cluster, each.size, each.identities, each.label, each.most) for each in merged]
    return Table.of("Clusters of several identities", columns, rows)


def metric_table(metrics: Mapping[str, Any]) -> Table:
    """List all metrics, one per row, so that the table fits a narrow page."""
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
    """List the thresholds of a sweep."""
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
    """List the time, memory and files of each stage."""
    columns = {
        "stage": "text", "rows": "count", "seconds": "seconds", "peak memory": "bytes", "written": "bytes",
        "files": "count", "skew": "times", "made": "text",
    }  # fmt: skip
    rows = []
    for stage in figures.record.stages:
        written = figures.stage_files.get(stage.name)
        files = (written.files, written.skew) if written else (None, None)
        rows.append((
            stage.name, stage.rows, stage.made_seconds, stage.peak_worker_bytes,
            stage.written_bytes, *files, "earlier" if stage.reused else "now",
        ))  # fmt: skip
    return Table.of("Stages, in the order of the run", columns, rows)
