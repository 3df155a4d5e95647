"""What a run asks of its engine, read from its config before any engine starts."""

from __future__ import annotations

from cdp_spark.base.config import RunConfig, SourceConfig, TrainConfig

_BOTH_READ = ("parquet", "csv", "json", "text", "avro", "delta", "iceberg", "binaryFile")
"""Formats that Sail reads as Spark does."""


def needs_of(config: RunConfig | TrainConfig) -> str | None:
    """Say why a run needs Spark, or return None where Sail will do.

    >>> from cdp_spark.base.loading import load_config
    >>> needs_of(load_config({"input": {"base": "a.parquet"}, "output": "run"}))
    >>> needs_of(load_config({"input": {"base": {"path": "a", "format": "orc"}}, "output": "run"}))
    'a has the format orc'
    """
    if config.clusters.components == "graphframes":
        return "clusters.components is graphframes"
    if isinstance(config, RunConfig) and config.publish is not None:
        return "publish writes to a table of a catalog"
    return next((reason for source in config.input.sources if (reason := _needs_of_source(source)) is not None), None)


def _needs_of_source(source: SourceConfig) -> str | None:
    if source.table is not None:
        return f"{source.table} is a table of a catalog"
    return None if source.format in _BOTH_READ else f"{source.model} has the format {source.format}"
