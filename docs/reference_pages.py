"""Reference pages that are generated from the code: commands, tables, stages, exit codes."""

from __future__ import annotations

import argparse
import ast
import inspect
import re
from collections.abc import Iterator
from pathlib import Path

from config_reference import reference as settings
from history_page import benchmarks
from pyspark.sql.types import DataType, LongType, StringType, StructField, StructType

from cdp_spark.base import errors, schemas
from cdp_spark.cli import _parser
from cdp_spark.clusters import lineage
from cdp_spark.runs import register
from cdp_spark.training_lists import training_rows

EVERY_COMMAND = ("--help", "--engine", "--master", "--conf", "--json", "--log")
"""Options that all commands share; they have a section of their own."""

_BY_HAND = {
    0: "done", 1: "failed: an error of this program or of the engine; the message names a log file",
    130: "interrupted; run the same command again to continue",
}  # fmt: skip
"""Exit codes that no error class has."""


def write_pages(folder: Path) -> None:
    """Write every page that has changed."""
    for name, make in PAGES.items():
        text, path = make(), folder / name
        if not path.exists() or path.read_text(encoding="utf-8") != text:
            path.write_text(text, encoding="utf-8")


def commands() -> str:
    """Return the page of all commands, from the parser."""
    parsers = command_parsers()
    first = next(iter(parsers.values()))
    lines = [
        "# Commands", "",
        "Run `cdp-spark COMMAND [options]`, or equally `python -m cdp_spark COMMAND [options]`; for `spark-submit`, "
        "use `jobs/COMMAND.py`. Results go to stdout, progress and messages to stderr.", "",
        "## Options of every command", "",
        *_options([action for action in first._actions if _is_shared(action)]), "",
    ]  # fmt: skip
    for name, parser in parsers.items():
        own = [action for action in parser._actions if not _is_shared(action)]
        lines += [f"## {name}", "", f"{_sentence(parser.description or '')}", "", *_options(own), ""]
    return "\n".join(lines)


def command_parsers() -> dict[str, argparse.ArgumentParser]:
    """Return the parser of each command."""
    return next(dict(action.choices) for action in _parser()._actions if isinstance(action.choices, dict))


def _is_shared(action: argparse.Action) -> bool:
    return any(option in EVERY_COMMAND for option in action.option_strings)


def _options(actions: list[argparse.Action]) -> list[str]:
    lines = ["| option | values | |", "|---|---|---|"]
    for action in actions:
        name = ", ".join(f"`{option}`" for option in action.option_strings) or f"`{action.metavar or action.dest}`"
        needed = "required; " if action.required and action.option_strings else ""
        lines.append(f"| {name} | {_values(action)} | {needed}{_cell(action.help or '')}{_default(action)} |")
    return lines


def _values(action: argparse.Action) -> str:
    if action.nargs == 0:
        return ""
    if action.choices is not None:
        return ", ".join(f"`{choice}`" for choice in action.choices)
    one = f"`{action.metavar or action.dest.upper()}`"
    return f"{one} ..." if action.nargs in ("+", "*") else one


def _default(action: argparse.Action) -> str:
    plain = isinstance(action.default, (int, float, str)) and not isinstance(action.default, bool)
    said = not plain or action.default == argparse.SUPPRESS or "default:" in (action.help or "")
    return "" if said else f" (default: `{action.default}`)"


def tables() -> str:
    """Return the page of tables, from their schemas."""
    lines = ["# Tables", "", "A column of type `id` has the type of your ids, integer or string.", ""]
    lines += ["## What a command writes", ""]
    for name, text, make in _USERS:
        lines += [f"### {name}", "", text, "", *_columns(make(StringType()), make(LongType()))]
    lines += ["## Between the stages", "", "Items are dense numbers from 0, in the order of the ids.", ""]
    for name, text, schema in _of_module():
        lines += [f"### {name}", "", *([text, ""] if text else []), *schema]
    return "\n".join(lines)


_USERS = [
    ("clusters", "One row per item; [what a run writes](output.md) explains the columns.", schemas.clusters),
    (
        "clusters, by a rule without a threshold",
        "The same columns, and confidences and probabilities in [0, 1].",
        lambda of: schemas.clusters(of, confident=True),
    ),
    ("merges", "The dendrogram: one row per pair that joined two components.", schemas.merges),
    ("lineage", "With `--previous`: one row per pair of a cluster and an earlier cluster that share items, and one per "
     "cluster that shares none.", lambda of: lineage.LINEAGE),
    ("items", "The result of `export`: one row per item of the training data.", training_rows.exported_schema),
]  # fmt: skip


def _of_module() -> Iterator[tuple[str, str, list[str]]]:
    """Yield each schema of the module: its name, its docstring, its columns."""
    body = ast.parse(inspect.getsource(schemas)).body
    for node, following in zip(body, [*body[1:], None], strict=True):
        if isinstance(node, ast.FunctionDef):
            made = getattr(schemas, node.name)
            if list(inspect.signature(made).parameters) == ["id_type"] and node.name != "merges":
                yield node.name, _cell(ast.get_docstring(node) or ""), _columns(made(StringType()), made(LongType()))
        elif isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name):
            name = node.targets[0].id
            schema = getattr(schemas, name)
            if isinstance(schema, StructType):
                yield name.lower(), _cell(_docstring(following)), _columns(schema, schema)


def _docstring(node: ast.stmt | None) -> str:
    value = node.value if isinstance(node, ast.Expr) else None
    return value.value if isinstance(value, ast.Constant) and isinstance(value.value, str) else ""


def _columns(by_string: StructType, by_long: StructType) -> list[str]:
    pairs = zip(by_string.fields, by_long.fields, strict=True)
    rows = [f"| `{one.name}` | {_type(one, other)} |" for one, other in pairs]
    return ["| column | type |", "|---|---|", *rows, ""]


def _type(by_string: StructField, by_long: StructField) -> str:
    kind: DataType = by_string.dataType
    return f"`{kind.simpleString()}`" if kind == by_long.dataType else "id"


def stages() -> str:
    """Return the page of stages, from the register."""
    lines = [
        "# Stages", "",
        "Each stage is a folder `stages/NAME-FINGERPRINT` of an output. It is complete once it has a manifest; "
        "numbers are one JSON file. A stage is made anew if its version, its settings or an earlier stage changes. "
        "[`clean`](../howto/clean.md) lists stages that the last run does not use.", "",
        "| stage | room | version | holds | copies of embeddings | planned as |", "|---|---|---|---|---|---|",
    ]  # fmt: skip
    for stage in register.STAGES:
        kind = f"{stage.holds} (numbers)" if stage.numbers else stage.holds
        laws, copies = ", ".join(stage.laws), "yes" if stage.vectors else ""
        lines.append(f"| `{stage.name}` | {stage.room} | {stage.version} | {_cell(kind)} | {copies} | {laws} |")
    return "\n".join([*lines, ""])


def exit_codes() -> str:
    """Return the page of exit codes, from the errors."""
    found: dict[int, list[str]] = {code: [text] for code, text in _BY_HAND.items()}
    for name, kind in vars(errors).items():
        if isinstance(kind, type) and issubclass(kind, errors.CdpError) and kind is not errors.CdpError:
            found.setdefault(kind.exit_code, []).append(f"`{name}`: {_cell(kind.__doc__ or '')}")
    lines = [
        "# Exit codes", "",
        "Every command ends with one of these codes. The last line on stderr says what was wrong, where, and what to "
        "do. In Python, the same errors are raised; all derive from `cdp_spark.base.errors.CdpError`.", "",
        "| code | meaning |", "|---|---|",
    ]  # fmt: skip
    return "\n".join([*lines, *(f"| {code} | {'<br>'.join(found[code])} |" for code in sorted(found)), ""])


def _cell(text: str) -> str:
    """Put a text into one line of Markdown."""
    plain = re.sub(r"``(.+?)``", r"`\1`", " ".join(text.split())).replace("%%", "%")
    return plain.replace("|", "\\|").replace("{id}", "`{id}`")


def _sentence(text: str) -> str:
    line = _cell(text)
    return f"{line[:1].upper()}{line[1:]}."


PAGES = {
    "config.md": settings, "commands.md": commands, "tables.md": tables, "stages.md": stages,
    "exit-codes.md": exit_codes, "benchmarks.md": benchmarks,
}  # fmt: skip
"""Files of ``docs/reference`` and the functions that make them; git ignores them."""
