"""Run the main job: :func:`_clustered` reads like the picture in the README."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import dataclass, replace
from typing import Any

from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from cdp_spark.base.errors import CdpError, InputError, MissingRequirementError
from cdp_spark.clusters.carry_ids import carried, earlier_run
from cdp_spark.clusters.flow import Consensus, consensus_clusters, merges_of
from cdp_spark.config.sections import PublishConfig, fingerprint
from cdp_spark.config.whole import RunConfig
from cdp_spark.evaluation.flow import evaluated
from cdp_spark.files.object_stores import take_settings
from cdp_spark.intake.flow import Intake, taken_in
from cdp_spark.knn.flow import knn_graph
from cdp_spark.report import write_report
from cdp_spark.runs import register
from cdp_spark.runs.catalog_table import check_catalog, write_partition
from cdp_spark.runs.finished_run import FinishedRun, made_otherwise
from cdp_spark.runs.lease import Lease
from cdp_spark.runs.run_json import ClusterRecord
from cdp_spark.runs.run_record import RunRecord, without_secrets, write_config, write_record
from cdp_spark.runs.stage_store import StageResult, StageStore
from cdp_spark.runs.tracking import EVENT_FILE, lineage_event, log_to_mlflow
from cdp_spark.scoring.choice import mediator_of, with_rule
from cdp_spark.scoring.flow import Scored, scored_by_mediator, scored_by_vote
from cdp_spark.scoring.mediator_folder import Mediator
from cdp_spark.sources import open_table
from cdp_spark.sources.beside import Beside
from cdp_spark.sources.damaged import translated
from cdp_spark.sources.labels import Labels
from cdp_spark.spark.progress import Progress
from cdp_spark.unlabelled.flow import mediator_without_labels, scored_without_labels
from cdp_spark.unlabelled.trained_shift import at_agreed_shift

_MUCH_DISCARDED = 0.5


@dataclass(frozen=True)
class Run:
    """A finished run.

    Attributes
    ----------
    clusters : DataFrame (id, cluster: long, status: string, size: long, best_score: float, level: double)
    record : dict
        Content of ``run.json``.
    output : str
    """

    clusters: DataFrame
    record: dict[str, Any]
    output: str


def cluster(
    config: RunConfig,
    *,
    spark: SparkSession,
    tables: Mapping[str, DataFrame] | None = None,
    progress: Progress | None = None,
) -> Run:
    """Cluster the items of a base model and its committee.

    Everything is written to ``config.output``.

    Parameters
    ----------
    config : RunConfig
        ``previous`` may also be the folder around ``output``; it then means the newest run in it, if there is one.
    spark : SparkSession
    tables : mapping of model to DataFrame, optional
        Tables to read instead of the config's paths.
    progress : Progress, optional
        Receives the progress; default: none is reported.

    Returns
    -------
    Run

    Raises
    ------
    InputError
        If the data cannot be used (see the input contract). Clusters of an earlier run then stay as they are.
    GuardError
        If another run holds the output, or a limit of the config would be passed.
    """
    if config.previous is not None:
        config = config.model_copy(update={"previous": earlier_run(config.output, config.previous)})
    take_settings(spark)
    if config.publish is not None:
        check_catalog(spark, config.publish.table, config.publish.format)
    open_table.check_apart(config.output, _input_paths(config))
    if config.previous is not None:
        FinishedRun.of(spark, config.previous)
    mediator = _mediator_of(config)
    config = with_rule(config, mediator)
    folders = [config.output, *([] if config.previous is None else [config.previous])]
    other_ways = [warning for folder in folders for warning in made_otherwise(config, folder)]
    store = StageStore(spark, config.output, progress or Progress())
    with Lease(config.output) as lease:
        store.guard = lease.check
        record = RunRecord(config)
        try:
            record.note(way=config.why)
            store.progress.say(f"pairs are scored {config.why}")
            beside = Beside.of(store, config.input)
            consensus = _clustered(store, record, config, (tables or {}, beside), mediator)
            record.sections["warnings"] += other_ways
            _evaluate(store, record, beside.labels, consensus)
            finished = _publish(store, record, config, consensus)
        except CdpError:
            raise
        except Exception as error:
            if (ours := translated(error)) is not None:
                raise ours from error
            raise
        return Run(consensus.clusters.table, finished, config.output)


def _mediator_of(config: RunConfig) -> Mediator | None:
    """Load a trained mediator; check one that needs no labels, so that a damaged one costs no work."""
    if config.consensus.without_labels:
        mediator_without_labels(config.consensus.mediator)
    return mediator_of(config)


def _clustered(
    store: StageStore,
    record: RunRecord,
    config: RunConfig,
    given: tuple[Mapping[str, DataFrame], Beside],
    mediator: Mediator | None,
) -> Consensus:
    tables, beside = given
    intake = taken_in(store, config.input, tables)
    beside.check_items(store, intake.items)
    scored = _scored(store, intake, config, mediator)
    consensus = consensus_clusters(store, intake.items, scored, config)
    if config.previous is not None:
        consensus = _with_lasting_ids(store, record, consensus, config.previous)
    store.publish(register.MERGES, merges_of(store, intake.items, consensus))
    store.publish(register.QUARANTINE, intake.quarantine)
    _note(record, intake, scored, consensus)
    return consensus


def _scored(store: StageStore, intake: Intake, config: RunConfig, mediator: Mediator | None) -> Scored:
    """Search neighbours and score pairs as the config says."""
    if config.consensus.without_labels:
        return scored_without_labels(store, intake, config)
    graphs = {model: knn_graph(store, vectors, config.knn) for model, vectors in intake.vectors.items()}
    if mediator is None:
        return scored_by_vote(store, intake, graphs, config)
    return at_agreed_shift(store, scored_by_mediator(store, intake, graphs, config, mediator), config)


def _with_lasting_ids(store: StageStore, record: RunRecord, consensus: Consensus, previous: str) -> Consensus:
    lasting = carried(store, consensus.clusters, previous)
    store.publish(register.LINEAGE, lasting.lineage)
    record.note(lineage=lasting.facts)
    return replace(consensus, clusters=lasting.clusters)


def _discards(record: RunRecord) -> list[str]:
    """Warn when a mediator discards much of the data."""
    counts = record.sections["counts"]
    share = counts["statuses"].get("discarded", 0) / max(1, counts["items"])
    if share <= _MUCH_DISCARDED:
        return []
    return [
        f"mediator: {share:.0%} of the items are discarded, more than {_MUCH_DISCARDED:.0%}: "
        "lower consensus.threshold, or train on data more like this"
    ]


def _note(record: RunRecord, intake: Intake, scored: Scored, consensus: Consensus) -> None:
    graphs = scored.graphs
    missed = [
        f"model {model}: recall {graph.recall['recall']:.4f}; the lower end of its interval, "
        f"{graph.recall['low']:.4f}, is below the target {graph.recall['target']}"
        for model, graph in graphs.items()
        if not graph.recall.get("met", True)
    ]
    record.note(
        counts={
            "rows": intake.rows,
            "items": intake.item_count,
            "quarantined": intake.quarantined,
            **_cluster_counts(consensus.clusters.table),
            **{name: consensus.facts[name] for name in ("scored_pairs", "forest_edges", "largest_component")},
        },
        dimensions={model: graph.vectors.dimension for model, graph in graphs.items()},
        recall={model: graph.recall for model, graph in graphs.items()},
        components_engine=consensus.facts["engine"],
        giant=consensus.facts["giant"],
        pieces=consensus.facts.get("pieces"),
        forest_complete=consensus.facts["forest_complete"],
        threshold=consensus.threshold,
        warnings=[*intake.warnings, *missed, *consensus.warnings, *scored.warnings],
    )
    if scored.section:
        record.note(**{scored.section: scored.facts})
    if scored.section == "mediator":
        record.sections["warnings"] += _discards(record)


def _cluster_counts(clusters: DataFrame) -> dict[str, Any]:
    statuses = {row["status"]: row["count"] for row in clusters.groupBy("status").count().collect()}
    named = F.when(F.col("cluster") >= 0, F.col("cluster"))
    row = clusters.agg(F.count_distinct(named).alias("clusters"), F.max("size").alias("largest")).collect()[0]
    return {"statuses": statuses, "clusters": row["clusters"], "largest": row["largest"] or 0}


def _evaluate(store: StageStore, record: RunRecord, labels: Labels | None, consensus: Consensus) -> None:
    """Compare the clusters with labels, if there are any."""
    record.note(metrics=None)
    if labels is None or not consensus.clusters.rows:
        return
    clusters = consensus.clusters.table

    def metrics() -> dict[str, Any]:
        figures, missed = evaluated(clusters, labels)
        return {"figures": figures, "warnings": [*labels.warnings, *missed]}

    key = fingerprint(consensus.clusters.fingerprint, labels.fingerprint)
    facts = store.facts(register.METRICS, key, metrics)
    record.note(metrics=facts["figures"])
    record.sections["warnings"] += facts["warnings"]


def _publish(store: StageStore, record: RunRecord, config: RunConfig, consensus: Consensus) -> dict[str, Any]:
    """Publish the result; ``latest.json`` comes last."""
    clusters = consensus.clusters
    store.publish(register.CLUSTERS, clusters)
    if config.publish is not None:
        record.note(published=_to_catalog(store, config.publish, clusters))
    store.guard()
    write_config(store.folder, without_secrets(config.model_dump(mode="json")))
    finished = record.finished(store)
    _report(store, finished)
    if config.mlflow is not None:
        _to_mlflow(store, finished, config, clusters.fingerprint)
    event = lineage_event(finished, store.folder, rows=clusters.rows, size=clusters.written_bytes)
    store.write(EVENT_FILE, json.dumps(event, indent=1))
    write_record(store, finished)
    store.write("latest.json", json.dumps({"clusters": clusters.path, "fingerprint": clusters.fingerprint}))
    return finished


def _to_catalog(store: StageStore, publish: PublishConfig, clusters: StageResult) -> dict[str, Any]:
    """Write the clusters as a partition of a catalog table, once."""
    run = publish.run or store.folder.location.rpartition("/")[2]

    def written() -> dict[str, Any]:
        write_partition(clusters.table, publish.table, run=run, provider=publish.format)
        return {"table": publish.table, "run": run, "rows": clusters.rows}

    return store.facts(register.PUBLISHED, fingerprint(clusters.fingerprint, publish, run), written)


def _report(store: StageStore, finished: dict[str, Any]) -> None:
    """Write the report, or warn if the extra ``report`` is missing."""
    with store.progress.stage(store.spark, "report"):
        try:
            write_report(FinishedRun(store.spark, store.folder, ClusterRecord.model_validate(finished)))
        except MissingRequirementError as error:
            finished["warnings"].append(str(error))
        except InputError as error:
            finished["warnings"].append(f"the report needs pictures that can be read: {error}")


def _to_mlflow(store: StageStore, finished: dict[str, Any], config: RunConfig, clusters: str) -> None:
    """Log the run to MLflow once, or warn if MLflow is not installed."""
    experiment = str(config.mlflow)
    key = fingerprint("mlflow", config.model_copy(update={"engine": "auto"}), clusters)
    try:
        logged = store.facts(register.MLFLOW, key, lambda: {"run": log_to_mlflow(finished, store.folder, experiment)})
    except MissingRequirementError as error:
        finished["warnings"].append(str(error))
    else:
        finished["mlflow"] = {"experiment": experiment, "run": logged["run"]}


def _input_paths(config: RunConfig) -> list[str]:
    paths = [source.path for source in config.input.sources if source.path is not None]
    beside = [source.path for source in (config.input.labels, config.input.images) if source is not None]
    return [*paths, *beside, *([config.previous] if config.previous is not None else [])]
