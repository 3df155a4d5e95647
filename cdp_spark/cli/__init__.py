"""Parse a ``cdp-spark`` command, run it, and print the result.

Results go to stdout, everything else to stderr. Each command has a module with its help, its options and the function
that it runs. The rooms, and Spark with them, are imported only when a command runs, so help answers at once.
"""

from __future__ import annotations

import argparse
import sys
import tempfile
import traceback
from collections.abc import Sequence
from contextlib import suppress

from cdp_spark.base.errors import CdpError
from cdp_spark.base.messages import masked, one_line
from cdp_spark.cli import clean, cluster, denoise, doctor, evaluate, explain, export, plan, report, sweep, train
from cdp_spark.cli.options import Parser, progress, spark_options
from cdp_spark.cli.terminal import (
    check_docstrings,
    check_folder,
    check_words,
    flush_stdout,
    reader_has_gone,
    replace_what_stdout_lacks,
)

COMMANDS = (doctor, plan, cluster, train, evaluate, sweep, explain, denoise, export, report, clean)


def main(arguments: Sequence[str] | None = None) -> int:
    """Run a command and return its exit code.

    0 done, 1 failed, 2 wrong input, 3 environment, 4 refused, 130 interrupted.
    """
    options = None
    replace_what_stdout_lacks()
    try:
        check_folder()
        check_docstrings()
        check_words(sys.argv[1:] if arguments is None else arguments)
        options, unknown = _parser().parse_known_args(arguments)
        if unknown:
            options.parser.refuse(unknown)
        code: int = options.run(options)
        flush_stdout()
        return code
    except SystemExit:  # after --help
        flush_stdout()
        raise
    except CdpError as error:
        _complain(options, str(error))
        return error.exit_code
    except KeyboardInterrupt:
        _complain(options, "interrupted; run the same command again to continue")
        return 130
    except Exception as error:
        return 0 if reader_has_gone(error) else _failed(options, error)


def _failed(options: argparse.Namespace | None, error: Exception) -> int:
    """Report a known error in our words; for an unknown one, keep Python's whole traceback in a log."""
    try:
        from cdp_spark.base.refusals import cause_of, whole_text
        from cdp_spark.sources.damaged import translated
        from cdp_spark.spark import gateway
    except OSError as why:  # too many open files, mostly
        _complain(options, f"{why.strerror}: raise the limits of this process, such as ulimit -n 65536")
        return 3
    except Exception as why:  # a package whose release does not go with the others
        _complain(options, f"a package does not import ({one_line(str(why), 200)}): cdp-spark doctor names it")
        return 3

    ours = translated(error, gateway.output())
    if ours is not None:
        _complain(options, str(ours))
        return ours.exit_code
    first = one_line(cause_of(whole_text(error)) if str(error).strip() else type(error).__name__, 300)
    try:
        with tempfile.NamedTemporaryFile(
            "w", prefix="cdp-spark-", suffix=".log", delete=False, encoding="utf-8", errors="replace"
        ) as log:
            log.write(masked(traceback.format_exc()))
        first = f"{first} (details in {log.name})"
    except OSError:  # nowhere to write it
        pass
    _complain(options, first)
    return 1


def _complain(options: argparse.Namespace | None, text: str) -> None:
    line = one_line(text)
    if options is not None and options.log == "json":
        progress(options).say(line, "error")
    else:
        with suppress(OSError, ValueError):  # nobody reads it
            print(f"cdp-spark: {line}", file=sys.stderr)


def task() -> None:
    """Run one command, and raise if it fails.

    For Databricks wheel tasks and the like, which ignore what a function returns.

    Raises
    ------
    CdpError
        If the exit code is not 0.
    """
    if code := main():
        raise CdpError(f"cdp-spark ended with exit code {code}; its last line on stderr says why")


def _parser() -> Parser:
    parser = Parser(prog="cdp-spark", description="Find identities in millions of unlabelled images.")
    commands = parser.add_subparsers(dest="command", required=True, metavar="COMMAND", parser_class=Parser)
    for command in COMMANDS:
        name = command.__name__.rpartition(".")[2]
        added = commands.add_parser(name, help=command.HELP, description=command.HELP)
        spark_options(added)
        command.add_options(added)
        added.set_defaults(run=command.run, parser=added)
    return parser
