"""What commands share: the parser, options of data and of Spark."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any, NoReturn

from cdp_spark.base.errors import ConfigError, nearest
from cdp_spark.base.plain_numbers import real_number, whole_number

SHORTHAND = ("base", "committee", "labels", "output", "k", "threshold", "accept", "mediator")
"""Options that stand for keys of the config."""

if TYPE_CHECKING:
    from pyspark.sql import SparkSession

    from cdp_spark.config.loading import Whole
    from cdp_spark.config.whole import RunConfig, TrainConfig
    from cdp_spark.spark.progress import Progress

IMAGES = "pictures for the report: Parquet with id and image (encoded, or a path), or a path with {id} in it"


class Parser(argparse.ArgumentParser):
    """Says what is wrong in one line, with the exit code of wrong options."""

    def error(self, message: str) -> NoReturn:
        """Raise instead of leaving."""
        raise ConfigError(f"{message}; see {self.prog} --help")

    def refuse(self, unknown: Sequence[str]) -> NoReturn:
        """Say that there are no such options, and which is nearest."""
        known = [option for action in self._actions for option in action.option_strings]
        near = nearest(unknown[0], known)
        words = f"unrecognized arguments: {' '.join(unknown)}{near}"
        takes_words = any(not action.option_strings and action.nargs == "+" for action in self._actions)
        if takes_words and not near:
            words += f"; what begins with a dash and is no option comes after --, as in: -- {unknown[0]}"
        self.error(words)


def spark_options(parser: argparse.ArgumentParser) -> None:
    """Add what every command takes."""
    parser.add_argument(
        "--engine", choices=["auto", "spark", "sail"],
        help="what executes the command (default: auto, the embedded engine Sail unless something asks for Spark)",
    )  # fmt: skip
    parser.add_argument("--master", help="Spark master (default: Spark's own setting, else local[*]); asks for Spark")
    parser.add_argument(
        "--conf", action="append", default=[], metavar="K=V", help="Spark setting, repeatable; asks for Spark"
    )
    parser.add_argument("--json", action="store_true", help="one JSON object on stdout")
    parser.add_argument(
        "--log", choices=["text", "json"], default="text", help="stderr for people, or an object of JSON per line"
    )


def run_option(parser: argparse.ArgumentParser) -> None:
    """Add the finished run that a command reads."""
    parser.add_argument("--run", required=True, dest="run_folder", metavar="FOLDER", help="output of a finished run")


def data_options(parser: argparse.ArgumentParser, setting: str, labels: str) -> None:
    """Add the config and its shorthand."""
    parser.add_argument("--config", metavar="FILE", help="YAML config, here or where Spark reads; options win over it")
    parser.add_argument("--set", action="append", default=[], metavar="KEY=VALUE", help=f"such as {setting}")
    parser.add_argument("--base", metavar="PATH", help="embeddings of the base model")
    parser.add_argument("--committee", nargs="+", metavar="PATH", help="embeddings of the committee's models")
    parser.add_argument("--labels", metavar="PATH", help=labels)
    parser.add_argument("--output", metavar="FOLDER", help="folder that the result is written to")
    parser.add_argument("--k", type=whole, metavar="K", help="neighbours of an item, without itself (knn.k)")


def consensus_options(parser: argparse.ArgumentParser) -> None:
    """Add the shorthand of how pairs are scored."""
    parser.add_argument("--threshold", type=_number_or_auto, metavar="T", help="a pair is kept above it")
    parser.add_argument("--accept", type=_whole_or_all, metavar="N", help="committee members that must agree, or all")
    parser.add_argument("--mediator", metavar="FOLDER", help="trained mediator that scores the pairs instead of a vote")


def number(text: str) -> float:
    """Read a number of an option."""
    try:
        return real_number(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no number: write it as 0.5") from None


def whole(text: str) -> int:
    """Read a whole number of an option."""
    try:
        return whole_number(text)
    except ValueError:
        raise argparse.ArgumentTypeError(f"{text!r} is no whole number: write it as 15") from None


def _number_or_auto(text: str) -> float | str:
    return text if text == "auto" else number(text)


def _whole_or_all(text: str) -> int | str:
    return text if text == "all" else whole(text)


def conf(options: argparse.Namespace) -> dict[str, str]:
    """Return the Spark settings of the command line."""
    wrong = [setting for setting in options.conf if "=" not in setting]
    if wrong:
        raise ConfigError(f"--conf {wrong[0]}: write it as key=value")
    return dict(setting.split("=", 1) for setting in options.conf)


def session(options: argparse.Namespace, config: RunConfig | TrainConfig | None = None) -> SparkSession:
    """Get the session that the options, and the config of the work at hand, ask for."""
    from cdp_spark.spark.session import local_session

    configured, needs_spark = "auto", None
    if config is not None:
        from cdp_spark.sources.work_size import needs_of, too_large_for_sail

        configured, needs_spark = config.engine, needs_of(config)
        if needs_spark is None and (options.engine or configured) == "auto" and options.master is None:
            needs_spark = too_large_for_sail(config, conf(options))
    return local_session(
        options.master, conf(options), engine=options.engine, configured=configured, needs_spark=needs_spark
    )


def progress(options: argparse.Namespace) -> Progress:
    """Return where progress and warnings go: to stderr, in the form that the options ask for."""
    from cdp_spark.spark.progress import Progress

    return Progress.on_stderr(structured=options.log == "json")


def config(kind: type[Whole], options: argparse.Namespace, **shorthand: Any) -> Whole:
    """Make a command's config of :func:`data_options` and of shorthand of its own."""
    from cdp_spark.config.shorthand import config_of_file

    given = {name: getattr(options, name, None) for name in SHORTHAND}
    return config_of_file(kind, options.config, options.set, from_afar=_from_afar(options), **(given | shorthand))


def _from_afar(options: argparse.Namespace) -> Callable[[str], str]:
    """Return what reads a config that lies elsewhere: by Arrow or, where only Spark knows the place, by Spark."""

    def read(path: str) -> str:
        from cdp_spark.sources.open_table import text_of
        from cdp_spark.sources.work_size import remote_text

        text = remote_text(path, conf(options))
        return text if text is not None else text_of(session(options), path)

    return read
