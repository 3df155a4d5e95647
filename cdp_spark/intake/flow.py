"""The user's tables -> checked embeddings, items numbered over all models, and quarantine, with counts that add up."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from functools import partial

from pyspark.sql import DataFrame
from pyspark.sql import functions as F
from pyspark.sql.types import StringType, StructField, StructType

from cdp_spark.base import schemas
from cdp_spark.base.errors import InputError
from cdp_spark.config.input_sections import InputConfig, SourceConfig
from cdp_spark.config.sections import fingerprint
from cdp_spark.intake import checks as stage
from cdp_spark.runs import register
from cdp_spark.runs.stage_store import StageResult, StageStore
from cdp_spark.sources import open_table
from cdp_spark.spark.dense_rank import dense_rank
from cdp_spark.spark.keyed_table import KeyedTable

_ALL = {
    "null_vector": "all values are null: the embedding is missing",
    "empty": "all values are empty lists: the embedding is missing",
    "zero": "all values are zero: the embedding is missing",
    "null_id": "all values are null: the id is missing",
}
"""Messages for a model whose rows are all set aside for one reason."""


@dataclass(frozen=True)
class Intake:
    """Result of intake.

    Attributes
    ----------
    models : list of str
        Base first.
    items, quarantine : StageResult
    vectors : dict of model to Vectors
    rows : dict of model to the number of its input rows
    quarantined : dict of model to dict of reason to rows
    warnings : list of str
    """

    models: list[str]
    items: StageResult
    quarantine: StageResult
    vectors: dict[str, Vectors]
    rows: dict[str, int]
    quarantined: dict[str, dict[str, int]]
    warnings: list[str] = field(default_factory=list)

    @property
    def item_count(self) -> int:
        """Number of items."""
        return self.items.rows


@dataclass(frozen=True)
class _Embeddings(KeyedTable):
    dimension: int


def taken_in(store: StageStore, config: InputConfig, tables: Mapping[str, DataFrame]) -> Intake:
    """Check and number items, set bad rows aside, and refuse input by the input contract.

    Raises
    ------
    InputError
        One line: what, where, why, how to fix it.
    """
    warnings: list[str] = []
    models = {source.model: _model(store, source, config, tables, warnings) for source in config.sources}
    kinds = {name: model.table.schema["id"].dataType for name, model in models.items()}
    if len({kind.simpleString() for kind in kinds.values()}) > 1:
        listed = ", ".join(f"{name}: {kind.simpleString()}" for name, kind in kinds.items())
        raise InputError(f"ids have different types ({listed}): cast them to one")
    key = fingerprint(register.ITEMS.version, [model.fingerprint for model in models.values()])
    id_type = next(iter(kinds.values()))
    good = {name: stage.good_rows(model.table) for name, model in models.items()}
    at_most = min(model.rows for model in models.values())
    items = store.stage(
        register.ITEMS, key, lambda: dense_rank(stage.common_ids(good), "id", "item", at_most=at_most),
        schema=schemas.items(id_type),
    )  # fmt: skip
    if not items.rows:
        warnings.append(_without_items(good))
    embeddings = {name: model.table for name, model in models.items()}
    quarantine = store.stage(
        register.QUARANTINE,
        key,
        lambda: stage.quarantine(embeddings, items.table),
        schema=_quarantine_schema(id_type),
    )
    quarantined = _by_reason(quarantine.table, list(models))
    rows = {name: model.rows for name, model in models.items()}
    _check_shares(rows, quarantined, config.max_bad_fraction, partial(_missing, quarantine.table))
    vectors = {
        name: Vectors(
            stage.vectors(model.table, items.table), items.rows, fingerprint(key, name), name,
            model.dimension,
        )
        for name, model in models.items()
    }  # fmt: skip
    return Intake(list(models), items, quarantine, vectors, rows, quarantined, warnings)


def _without_items(good: Mapping[str, DataFrame]) -> str:
    """Say why there are no items; refuse if every model has good rows but none shares an id with all others.

    Raises
    ------
    InputError
    """
    smallest = {name: table.agg(F.min("id").alias("id")).collect()[0]["id"] for name, table in good.items()}
    empty = [name for name, example in smallest.items() if example is None]
    if not empty:
        examples = ", ".join(f"{name} has {example!r}" for name, example in smallest.items())
        raise InputError(
            f"no id is common to all models ({examples}): write the ids of an image in the same form in each"
        )
    return f"no item is left: {', '.join(empty)} has no usable row; see quarantine for the reasons"


def _quarantine_schema(id_type: object) -> StructType:
    return StructType(
        [StructField("model", StringType()), StructField("id", id_type), StructField("reason", StringType())]  # type: ignore[arg-type]
    )


def _model(
    store: StageStore, source: SourceConfig, config: InputConfig, tables: Mapping[str, DataFrame], warnings: list[str]
) -> _Embeddings:
    """Store one model's checked embeddings, and apply the checks of the whole table."""
    where, encoding = f"model {source.model}", source.encoding or config.encoding
    opened = _opened(store, source, config, tables)
    checked = stage.checked_embeddings(
        opened.table, id_column=config.id_column, embedding_column=config.embedding_column, encoding=encoding,
        where=where,
    )  # fmt: skip
    key = fingerprint(register.ITEMS.version, opened.fingerprint, config.id_column, config.embedding_column, encoding)
    stored = store.stage(register.EMBEDDINGS.of(source.model), key, lambda: checked, schema=checked.schema)
    if opened.rows not in (None, stored.rows):
        raise InputError(
            f"{where}: {stored.rows:,} rows were read, but the files hold {opened.rows:,}: run again when nothing "
            "writes to them"
        )
    counts = [row for row in stage.intake_counts(stored.table).collect() if row["reason"] is None]
    dimension = stage.choose_dimension(
        {row["dimension"]: row["rows"] for row in counts}, model=source.model, forced=config.force_dimension
    )
    if counts and dimension <= 2:
        warnings.append(f"model {source.model}: only {dimension} dimensions; is this the embedding column?")
    policy = _duplicates(stored.table, config.duplicates, where)
    embeddings = stage.settled(stored.table, dimension=dimension, duplicates=policy)
    return _Embeddings(embeddings, stored.rows, fingerprint(key, dimension, policy), dimension)


def _opened(
    store: StageStore, source: SourceConfig, config: InputConfig, tables: Mapping[str, DataFrame]
) -> open_table.Opened:
    """Open a model's table, or take the given one."""
    where, columns = f"model {source.model}", open_table.columns_of_models(config)
    if source.model not in tables:
        return open_table.opened(store.spark, source, where, columns)
    table = open_table.needed_columns(tables[source.model], columns, where)
    return open_table.Opened(table, partial(open_table.dataframe_fingerprint, table), None)


def _duplicates(checked: DataFrame, policy: str, where: str) -> str | None:
    repeated = stage.repeated_ids(checked)
    example = repeated.orderBy("id").limit(1).collect()
    if not example:
        return None
    if policy == "refuse":
        raise InputError(
            f"{where}: {repeated.count():,} ids occur more than once, such as {example[0]['id']!r} "
            f"({example[0]['rows']} times): make them unique, or set input.duplicates: keep_first or quarantine"
        )
    return policy


def _by_reason(quarantine: DataFrame, models: list[str]) -> dict[str, dict[str, int]]:
    counts: dict[str, dict[str, int]] = {model: {} for model in models}
    for row in quarantine.groupBy("model", "reason").count().orderBy("model", "reason").collect():
        counts[row["model"]][row["reason"]] = row["count"]
    return counts


def _missing(quarantine: DataFrame) -> str:
    """Give an example of the ids that each model has and others lack: they may be written in different forms."""
    lone = quarantine.where(F.col("reason").startswith("missing_in:") & F.col("id").isNotNull())
    examples = sorted(lone.groupBy("model").agg(F.min("id").alias("id")).collect())
    return f"; only {', only '.join(f'{row[0]} has {row[1]!r}' for row in examples)}" if len(examples) > 1 else ""


def _check_shares(
    rows: Mapping[str, int],
    quarantined: Mapping[str, dict[str, int]],
    limit: float,
    missing: Callable[[], str],
) -> None:
    # The model with bad rows of its own comes first: the others only lack its items.
    own = {model: sum(n for why, n in reasons.items() if ":" not in why) for model, reasons in quarantined.items()}
    for model, reasons in sorted(quarantined.items(), key=lambda entry: -own[entry[0]]):
        bad = sum(reasons.values())
        if rows[model] and bad > limit * rows[model]:
            if bad == rows[model] and (what := _ALL.get(" ".join(reasons))):
                raise InputError(f"model {model}: {what} in all {bad:,} rows: name the column that holds the values")
            listed = ", ".join(f"{reason} {count:,}" for reason, count in sorted(reasons.items()))
            raise InputError(
                f"model {model}: {bad:,} of {rows[model]:,} rows cannot be used ({listed}){missing()}, more than "
                f"input.max_bad_fraction {limit:g}: mend them, or raise it to set them aside"
            )


@dataclass(frozen=True)
class Vectors(KeyedTable):
    """The vectors of one model: (item: long, vector: binary), and their length."""

    model: str
    dimension: int
