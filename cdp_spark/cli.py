"""The ``cdp-spark`` command: parses, calls one task, prints. Results go to stdout, all else to stderr."""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import traceback
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

from cdp_spark.base.errors import CdpError, ConfigError, nearest

_IMAGES = "pictures for the report: Parquet with id and image (encoded, or a path), or a path with {id} in it"


class _Parser(argparse.ArgumentParser):
    def error(self, message: str) -> NoReturn:
        raise ConfigError(f"{message}; see {self.prog} --help")

    def refuse(self, unknown: Sequence[str]) -> NoReturn:
        known = [option for action in self._actions for option in action.option_strings]
        self.error(f"unrecognized arguments: {' '.join(unknown)}{nearest(unknown[0], known)}")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; return its exit code: 0 done, 1 failed, 2 wrong input, 3 environment, 4 refused."""
    try:
        options, unknown = _parser().parse_known_args(arguments)
        if unknown:
            options.parser.refuse(unknown)
        code: int = options.run(options)
        return code
    except CdpError as error:
        print(f"cdp-spark: {error}", file=sys.stderr)
        return error.exit_code
    except KeyboardInterrupt:
        print("cdp-spark: stopped by hand; the same command continues where it was", file=sys.stderr)
        return 130
    except Exception as error:
        with tempfile.NamedTemporaryFile("w", prefix="cdp-spark-", suffix=".log", delete=False) as log:
            traceback.print_exc(file=log)
        first = (str(error).strip().splitlines() or [type(error).__name__])[0]
        print(f"cdp-spark: {first} (details in {log.name})", file=sys.stderr)
        return 1


def _parser() -> argparse.ArgumentParser:
    parser = _Parser(prog="cdp-spark", description="Identities out of millions of unlabelled images.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND", parser_class=_Parser)
    _command(commands, "doctor", "look at Java, Spark, packages, memory and disk", _doctor).add_argument(
        "--output", default=".", help="folder that a run would write to"
    )
    cluster = _command(commands, "cluster", "the main job: embeddings to clusters", _cluster)
    _data_options(cluster, "consensus.threshold=0.6", "labels to judge by; never used to cluster")
    cluster.add_argument("--images", metavar="PATH", help=_IMAGES)
    train = _command(commands, "train", "labelled embeddings to a mediator", _train)
    _data_options(train, "mediator.seed=1", "labels to learn from")
    evaluate = _command(commands, "evaluate", "judge clusters by labels", _evaluate)
    evaluate.add_argument("--clusters", required=True, metavar="PATH", help="folder of clusters")
    evaluate.add_argument("--labels", required=True, metavar="PATH", help="Parquet with ids and labels")
    evaluate.add_argument("--id-column", default="id")
    evaluate.add_argument("--label-column", default="label")
    sweep = _command(commands, "sweep", "what other thresholds would give, without another search", _sweep)
    sweep.add_argument("--run", required=True, dest="run_folder", metavar="FOLDER", help="output of a finished run")
    sweep.add_argument("--thresholds", default="0.05:0.95:0.05", help="first:last:step, or a list with commas")
    sweep.add_argument("--labels", metavar="PATH", help="labels to judge by (default: those of the run)")
    sweep.add_argument("--metric", default="pairwise_f", help="by which the best is chosen where there are labels")
    sweep.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help="such as max_cluster_size=300 or rule=paper"
    )
    sweep.add_argument("--apply", metavar="T", help="make the run's clusters those of this threshold, or of the best")
    explain = _command(commands, "explain", "why two items are, or are not, together", _explain)
    explain.add_argument("--run", required=True, dest="run_folder", metavar="FOLDER", help="output of a finished run")
    explain.add_argument("items", nargs="+", metavar="ID", help="two items; or one, to see each of its edges")
    report = _command(commands, "report", "a finished run to one HTML file", _report)
    report.add_argument("--run", required=True, dest="run_folder", metavar="FOLDER", help="output of a finished run")
    report.add_argument("--labels", metavar="PATH", help="labels to mark by (default: those of the run)")
    report.add_argument("--images", metavar="PATH", help=_IMAGES)
    return parser


def _command(commands: Any, name: str, text: str, run: Callable[[argparse.Namespace], int]) -> argparse.ArgumentParser:
    parser: argparse.ArgumentParser = commands.add_parser(name, help=text, description=text)
    parser.add_argument("--master", help="Spark master (default: Spark's own setting, else local[*])")
    parser.add_argument("--conf", action="append", default=[], metavar="K=V", help="Spark setting, repeatable")
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")
    parser.set_defaults(run=run, parser=parser)
    return parser


def _data_options(parser: argparse.ArgumentParser, setting: str, labels: str) -> None:
    parser.add_argument("--config", metavar="FILE", help="YAML config; options win over it")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help=f"such as {setting}")
    parser.add_argument("--base", metavar="PATH", help="embeddings of the base model")
    parser.add_argument("--committee", nargs="+", metavar="PATH", help="embeddings of the committee's models")
    parser.add_argument("--labels", metavar="PATH", help=labels)
    parser.add_argument("--output", metavar="FOLDER", help="folder that the result is written to")


def _conf(options: argparse.Namespace) -> dict[str, str]:
    wrong = [setting for setting in options.conf if "=" not in setting]
    if wrong:
        raise ConfigError(f"--conf {wrong[0]}: write it as key=value")
    return dict(setting.split("=", 1) for setting in options.conf)


def _doctor(options: argparse.Namespace) -> int:
    from cdp_spark.tasks.doctor import doctor

    findings = doctor(master=options.master, conf=_conf(options), output=options.output)
    if options.json:
        print(json.dumps({finding.name: {"ok": finding.ok, "text": finding.text} for finding in findings}))
    else:
        for finding in findings:
            print(f"{finding.name:<12} {'ok' if finding.ok else 'NO' if finding.essential else '--'}  {finding.text}")
    return 0 if all(finding.ok for finding in findings if finding.essential) else 3


def _cluster(options: argparse.Namespace) -> int:
    from cdp_spark.base.config import RunConfig
    from cdp_spark.tasks.options import config_of_file

    config = config_of_file(
        RunConfig, options.config, options.set, base=options.base, committee=options.committee, output=options.output,
        labels=options.labels, images=options.images,
    )  # fmt: skip
    from cdp_spark.runtime.progress import Progress
    from cdp_spark.runtime.session import local_session
    from cdp_spark.tasks.cluster import cluster

    spark = local_session(options.master, _conf(options))
    run = cluster(config, spark=spark, progress=Progress.on_stderr())
    for warning in run.record["warnings"]:
        print(f"warning: {warning}", file=sys.stderr)
    print(json.dumps(run.record) if options.json else _found(run.record, run.output))
    return 0


def _train(options: argparse.Namespace) -> int:
    from cdp_spark.base.config import TrainConfig
    from cdp_spark.tasks.options import config_of_file

    config = config_of_file(
        TrainConfig, options.config, options.set, base=options.base, committee=options.committee,
        output=options.output, labels=options.labels,
    )  # fmt: skip
    from cdp_spark.runtime.progress import Progress
    from cdp_spark.runtime.session import local_session
    from cdp_spark.tasks.train import train

    spark = local_session(options.master, _conf(options))
    card = train(config, spark=spark, progress=Progress.on_stderr()).card
    print(json.dumps(card) if options.json else _learned(card, config.output))
    return 0


def _learned(card: dict[str, Any], output: str) -> str:
    pairs, held = card["pairs"], card["held_out"]
    lines = [
        f"pairs      {pairs['training']:,} to train, {pairs['calibration']:,} to calibrate, of {pairs['all']:,}",
        f"held out   pairwise F {held['pairwise_f']:.4f}, BCubed F {held['bcubed_f']:.4f} at threshold "
        f"{card['threshold']:g}; calibration error {held['calibration_error']:.4f}",
        f"output     {output}: cluster with --set consensus.strategy=mediator --set consensus.mediator={output}",
    ]
    return "\n".join(lines)


def _found(record: dict[str, Any], output: str) -> str:
    counts = record["counts"]
    statuses = ", ".join(f"{name} {number:,}" for name, number in sorted(counts["statuses"].items()))
    set_aside = sum(sum(reasons.values()) for reasons in counts["quarantined"].values())
    made = sum(not stage["reused"] for stage in record["stages"])
    lines = [
        f"items      {counts['items']:,} ({set_aside:,} rows set aside): {statuses}",
        f"clusters   {counts['clusters']:,}, the largest of {counts['largest']:,}",
        "recall     " + ", ".join(f"{model} {found['recall']:.4f}" for model, found in record["recall"].items()),
    ]
    if record["metrics"]:
        lines.append(_table(record["metrics"]))
    work = f"{made} stages made, {len(record['stages']) - made} reused" if made else "nothing to do, all stages reused"
    lines.append(f"output     {output}/clusters ({work}, {record['seconds']:.1f} s)")
    return "\n".join([*lines, f"report     {output}/report.html"] if _has_report(record) else lines)


def _has_report(record: dict[str, Any]) -> bool:
    return not any(warning.startswith("the report needs") for warning in record["warnings"])


def _evaluate(options: argparse.Namespace) -> int:
    from cdp_spark.base.config import LabelsConfig
    from cdp_spark.runtime import sources
    from cdp_spark.runtime.session import local_session
    from cdp_spark.tasks.evaluate import evaluate

    spark = local_session(options.master, _conf(options))
    clusters, labels = (
        sources.open_source(spark, LabelsConfig(path=path), name)
        for name, path in (("clusters", options.clusters), ("labels", options.labels))
    )
    figures = evaluate(clusters, labels, id_column=options.id_column, label_column=options.label_column)
    print(json.dumps(figures) if options.json else _table(figures))
    return 0


def _sweep(options: argparse.Namespace) -> int:
    from cdp_spark.base.config import LabelsConfig
    from cdp_spark.tasks.options import clusters_settings, threshold_list

    thresholds, settings = threshold_list(options.thresholds), clusters_settings(options.set)
    from cdp_spark.runtime.progress import Progress
    from cdp_spark.runtime.session import local_session
    from cdp_spark.tasks.sweep import apply_threshold, sweep

    spark = local_session(options.master, _conf(options))
    found = sweep(
        options.run_folder, thresholds, spark=spark, metric=options.metric, clusters=settings,
        labels=LabelsConfig(path=options.labels) if options.labels else None, progress=Progress.on_stderr(),
    )  # fmt: skip
    print(json.dumps({"rows": found.rows, "best": found.best, "why": found.why}) if options.json else _swept(found))
    if options.apply is not None:
        apply_threshold(options.run_folder, found, options.apply, spark=spark, clusters=settings)
    else:
        _redraw(options.run_folder, spark)
    return 0


def _redraw(run: str, spark: Any) -> None:
    """Write the report again; where its extra is not installed, nothing is lost."""
    from cdp_spark.base.errors import MissingRequirementError
    from cdp_spark.tasks.report import report

    try:
        report(run, spark=spark)
    except MissingRequirementError as error:
        print(f"warning: {error}", file=sys.stderr)


def _swept(found: Any) -> str:
    counts = ("clusters", "singletons", "discarded", "largest", "largest_component")
    judged = any(row["pairwise_f"] is not None for row in found.rows)
    metrics = ("pairwise_f", "bcubed_f", "ami") if judged else ()
    lines = ["threshold " + " ".join(f"{name.replace('_', ' '):>17}" for name in (*counts, *metrics))]
    for row in found.rows:
        cells = [f"{row[name]:,}" for name in counts]
        cells += ["-" if row[name] is None else f"{row[name]:.4f}" for name in metrics]
        marks = [text for text, at in (("best", found.best), ("current", found.current)) if at == row["threshold"]]
        lines.append(f"{row['threshold']:<9g} {' '.join(f'{cell:>17}' for cell in cells)}  {', '.join(marks)}".rstrip())
    chosen = "none" if found.best is None else f"{found.best:g}"
    return "\n".join([*lines, f"best: {chosen} ({found.why}); the run's threshold is {found.current:g}"])


def _explain(options: argparse.Namespace) -> int:
    from dataclasses import asdict

    if len(options.items) > 2:
        raise ConfigError(f"explain takes one item or two; there are {len(options.items)}")
    from cdp_spark.runtime.session import local_session
    from cdp_spark.tasks.explain import explain
    from cdp_spark.tasks.explained import text

    found = explain(options.run_folder, *options.items, spark=local_session(options.master, _conf(options)))
    print(json.dumps(asdict(found)) if options.json else text(found))
    return 0


def _report(options: argparse.Namespace) -> int:
    from cdp_spark.base.config import ImagesConfig, LabelsConfig
    from cdp_spark.runtime.session import local_session
    from cdp_spark.tasks.report import report

    spark = local_session(options.master, _conf(options))
    images = ImagesConfig(path=options.images) if options.images else None
    labels = LabelsConfig(path=options.labels) if options.labels else None
    page = report(options.run_folder, spark=spark, images=images, labels=labels)
    print(json.dumps({"report": page}) if options.json else page)
    return 0


def _table(figures: dict[str, dict[str, Any]]) -> str:
    lines = [f"{'':<20} {'kept':>10} {'removed':>10}   items without cluster kept as clusters of one, or removed"]
    for name in figures["kept"]:
        cells = [figures[way][name] for way in ("kept", "removed")]
        shown = ["-" if cell is None else f"{cell:.4f}" if isinstance(cell, float) else f"{cell:,}" for cell in cells]
        lines.append(f"{name:<20} {shown[0]:>10} {shown[1]:>10}")
    return "\n".join(lines)
