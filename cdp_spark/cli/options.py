"""Parse options that several commands share: data, scoring, Spark."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NoReturn

from cdp_spark.base.errors import ConfigError, nearest
from cdp_spark.base.plain_numbers import real_number, whole_number

SHORTHAND = ("base", "committee", "labels", "output", "k", "threshold", "accept", "mediator")
"""Options that are short forms of config keys."""

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from cdp_spark.config.loading import Whole
    from cdp_spark.config.whole import RunConfig, TrainConfig
    from cdp_spark.spark.progress import Progress

IMAGES = "pictures for the report: Parquet with id and image (encoded, or a path), or a path with {id} in it"


_PATHS = ("PATH", "FOLDER", "FILE", "RUN")


class Parser(argparse.ArgumentParser):
    """Parser that reports an error in one line, with the exit code of wrong options."""

    def add_argument(self, *names: Any, **settings: Any) -> argparse.Action:
        """Add an option; check values whose metavar is a path."""
        if settings.get("metavar") in _PATHS:
            settings.setdefault("type", _path)
        return super().add_argument(*names, **settings)

    def error(self, message: str) -> NoReturn:
        """Raise instead of exiting."""
        raise ConfigError(f"{message}; see {self.prog} --help")

    def refuse(self, unknown: Sequence[str]) -> NoReturn:
        """Refuse unknown options, and name the nearest known one."""
        known = [option for action in self._actions for option in action.option_strings]
        near = nearest(unknown[0], known)
        words = f"unrecognized arguments: {' '.join(unknown)}{near}"
        takes_words = any(not action.option_strings and action.nargs == "+" for action in self._actions)
        if takes_words and not near:
            words += f"; put values that begin with a dash after --, as in: -- {unknown[0]}"
        self.error(words)


def _path(text: str) -> str:
    if not text.strip():
        raise argparse.ArgumentTypeError("an empty path: name a file or folder (is a shell variable unset?)")
    return text


def spark_options(parser: argparse.ArgumentParser) -> None:
    """Add the options of every command."""
    parser.add_argument(
        "--engine", choices=["auto", "spark", "sail"],
        help="engine (default: auto, the embedded engine Sail unless an option or the data asks for Spark)",
    )  # fmt: skip
    parser.add_argument("--master", help="Spark master (default: Spark's own setting, else local[*]); implies Spark")
    parser.add_argument(
        "--conf", action="append", default=[], metavar="K=V", help="Spark setting, repeatable; implies Spark"
    )
    parser.add_argument("--json", action="store_true", help="print one JSON object to stdout")
    parser.add_argument(
        "--log",
        choices=["text", "json"],
        default="text",
        help="progress on stderr as text, or as one JSON object per line",
    )


def run_option(parser: argparse.ArgumentParser) -> None:
    """Add the option for the finished run that a command reads."""
    parser.add_argument("--run", required=True, dest="run_folder", metavar="FOLDER", help="output of a finished run")


def data_options(parser: argparse.ArgumentParser, setting: str, labels: str) -> None:
    """Add the options for the config and its short forms."""
    parser.add_argument(
        "--config", metavar="FILE", help="YAML config, local or on storage that Spark reads; options override it"
    )
    parser.add_argument(
        "--set", action="append", default=[], metavar="KEY=VALUE", help=f"any config key, such as {setting}"
    )
    parser.add_argument("--base", metavar="PATH", help="embeddings of the base model")
    parser.add_argument("--committee", nargs="+", metavar="PATH", help="embeddings of the committee members")
    parser.add_argument("--labels", metavar="PATH", help=labels)
    parser.add_argument("--output", metavar="FOLDER", help="folder for the result")
    parser.add_argument("--k", type=whole, metavar="K", help="number of neighbours, without the item itself (knn.k)")


def consensus_options(parser: argparse.ArgumentParser) -> None:
    """Add the options for scoring pairs."""
    parser.add_argument(
        "--threshold",
        type=_number_or_auto,
        metavar="T",
        help="score above which a pair is kept; alone, it asks for a vote",
    )
    parser.add_argument(
        "--accept", type=_whole_or_all, metavar="N", help="vote: number of committee members that must agree, or all"
    )
    parser.add_argument("--mediator", metavar="FOLDER", help="trained mediator (default: the one that ships)")


def number(text: str) -> float:
    """Read a number of an option."""
    try:
        return real_number(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number: write it as 0.5") from None


def whole(text: str) -> int:
    """Read a whole number of an option."""
    try:
        return whole_number(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is not a whole number: write it as 15") from None


def _number_or_auto(text: str) -> float | str:
    return text if text == "auto" else number(text)


def _whole_or_all(text: str) -> int | str:
    return text if text == "all" else whole(text)


def conf(options: argparse.Namespace) -> dict[str, str]:
    """Return the Spark settings of the command line."""
    wrong = [setting for setting in options.conf if not setting.partition("=")[0].strip() or "=" not in setting]
    if wrong:
        raise ConfigError(f"--conf {wrong[0]}: needs the form key=value")
    return dict(setting.split("=", 1) for setting in options.conf)


def session(options: argparse.Namespace, config: RunConfig | TrainConfig | None = None) -> SparkSession:
    """Start the session that the options and the config need."""
    from cdp_spark.spark.session import local_session

    configured, needs_spark = "auto", None
    if config is not None:
        from cdp_spark.sources.work_size import needs_of, too_large_for_sail

        configured, needs_spark = config.engine, needs_of(config)
        if needs_spark is None and (options.engine or configured) == "auto" and options.master is None:
            needs_spark = too_large_for_sail(config, conf(options))
    spark = local_session(
        options.master, conf(options), engine=options.engine, configured=configured, needs_spark=needs_spark
    )
    if options.command != "plan":
        from cdp_spark.commands.worker_checks import check_workers

        check_workers(spark)
    return spark


def progress(options: argparse.Namespace) -> Progress:
    """Return the reporter of progress and warnings, on stderr."""
    from cdp_spark.spark.progress import Progress

    return Progress.on_stderr(structured=options.log == "json")


def config(kind: type[Whole], options: argparse.Namespace, **shorthand: Any) -> Whole:
    """Build a command's config from :func:`data_options` and further short forms."""
    from cdp_spark.config.shorthand import config_of_file

    given = {name: getattr(options, name, None) for name in SHORTHAND}
    return config_of_file(kind, options.config, options.set, from_afar=_from_afar(options), **(given | shorthand))


def _from_afar(options: argparse.Namespace) -> Callable[[str], str]:
    """Return a reader of remote configs, by Arrow or, where it cannot read, by Spark."""

    def read(path: str) -> str:
        from cdp_spark.sources.open_table import text_of
        from cdp_spark.sources.work_size import remote_text

        text = remote_text(path, conf(options))
        return text if text is not None else text_of(session(options), path)

    return read
