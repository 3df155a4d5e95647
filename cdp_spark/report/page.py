"""Render a run's figures as one HTML file that loads nothing from a network."""

from __future__ import annotations

import base64
import datetime
import hashlib
from importlib.resources import files
from typing import Any

import jinja2
import yaml
from markupsafe import Markup, escape

from cdp_spark.report import charts, model_charts, tables
from cdp_spark.report.figures import Figures
from cdp_spark.report.trust import agreement_chart, alike_chart, trust_table
from cdp_spark.report.what_if import what_if
from cdp_spark.runs.run_json import ClusterRecord


def page(run: str, figures: Figures) -> str:
    """Render the report.

    Parameters
    ----------
    run : str
        Name of the output folder, for the title.
    figures : Figures
    """
    environment = jinja2.Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True)
    environment.filters["n"] = lambda number: "–" if number is None else f"{number:,}"
    environment.filters["short"] = tables.short
    # Lets long stage names wrap on a phone.
    environment.filters["breakable"] = lambda name: escape(name).replace("/", Markup("/<wbr>"))
    record, drawn = figures.record, _charts(figures)
    script = _text("page.js") if drawn["what_if"] else None
    return environment.from_string(_text("page.html")).render(
        style=Markup(_text("page.css")),
        script=None if script is None else Markup(script),
        policy=_policy(script),
        run=run,
        record=record,
        figures=figures,
        when=datetime.datetime.fromtimestamp(record.finished, datetime.timezone.utc).strftime("%Y-%m-%d %H:%M UTC"),
        models=list(record.counts.rows),
        tiles=_tiles(record),
        config=yaml.safe_dump(record.config, sort_keys=False),
        **drawn,
        **_tables(figures),
    )


def _text(name: str) -> str:
    return files("cdp_spark.report").joinpath(name).read_text(encoding="utf-8")


def _policy(script: str | None) -> str:
    """Make the browser refuse all requests and foreign scripts: ids are user data."""
    allowed = "'none'"
    if script is not None:
        # The digest covers the exact text between the tags, with the line breaks of the template.
        digest = hashlib.sha256(f"\n{script}".encode()).digest()
        allowed = f"'sha256-{base64.b64encode(digest).decode()}'"
    return f"default-src 'none'; img-src data:; style-src 'unsafe-inline'; script-src {allowed}"


def _charts(figures: Figures) -> dict[str, Any]:
    record, agreement = figures.record, figures.agreement
    by_vote = record.config["consensus"]["strategy"] == "vote"
    scores = "Scores of the pairs that passed the vote" if by_vote else "Scores of all candidate pairs"
    own, line = float(record.threshold), "even odds" if figures.coverage else "threshold {:g}"
    sweep = figures.sweep if figures.sweep and len(figures.sweep["rows"]) > 1 else None
    way = record.without_labels
    return {
        "agreement_chart": agreement_chart(way) if way else None,
        "alike": alike_chart(record.mediator),
        "coverage": charts.coverage_chart(figures.coverage) if figures.coverage else None,
        "scores": charts.score_chart(figures.scores, own, title=scores, line=line) if figures.scores else None,
        "sizes": charts.size_chart(figures.sizes) if figures.sizes else None,
        "sweep_chart": charts.sweep_chart(sweep, own) if sweep else None,
        "what_if": what_if(sweep, record) if sweep else None,
        "recall": model_charts.recall_chart(record.recall),
        "degrees": model_charts.degree_chart(figures.hubs) if any(each.counts for each in figures.hubs) else None,
        "votes": model_charts.votes_chart(agreement) if agreement and agreement.pairs else None,
        "worth": model_charts.members_chart(agreement) if agreement and agreement.labelled else None,
        "times": charts.time_chart(record.stages),
        "memory": charts.memory_chart(record.stages),
    }


def _tables(figures: Figures) -> dict[str, tables.Table | None]:
    record, agreement = figures.record, figures.agreement
    labelled = any(each.others is not None for each in figures.suspects)
    return {
        "trust": trust_table(record.without_labels) if record.without_labels else None,
        "came_in": tables.input_table(record),
        "set_aside": tables.set_aside_table(record),
        "graphs": tables.graph_table(record, figures.hubs),
        "members": tables.member_table(agreement) if agreement and agreement.pairs else None,
        "statuses": tables.status_table(record),
        "suspects": tables.suspect_table(figures.suspects, labelled=labelled),
        "split": tables.split_table(figures.split),
        "merged": tables.merged_table(figures.merged),
        "metrics": tables.metric_table(record.metrics) if record.metrics else None,
        "stages": tables.stage_table(figures),
    }


def _tiles(record: ClusterRecord) -> list[tuple[str, str]]:
    """Return the key figures for the top of the page."""
    counts, metrics = record.counts, record.metrics
    statuses, items = counts.statuses, counts.items
    share = (statuses.get("clustered", 0) + statuses.get("forced", 0)) / items if items else 0.0
    tiles = [
        ("items", f"{items:,}"),
        ("clusters", f"{counts.clusters:,}"),
        ("clustered with others", f"{share:.1%}"),
        ("largest cluster", f"{counts.largest:,}"),
        ("unclustered", f"{statuses.get('discarded', 0) + statuses.get('unlabelled', 0):,}"),
    ]
    if metrics:
        kept = metrics["kept"]
        tiles += [
            (name, "–" if kept[key] is None else f"{kept[key]:.3f}")
            for name, key in (("pairwise F", "pairwise_f"), ("BCubed F", "bcubed_f"))
        ]
    return tiles
