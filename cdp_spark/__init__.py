"""Cluster millions of images into identities by Consensus-Driven Propagation.

Runs on one machine or on Spark. Each step below is a room, that is a folder of this package, with durable tables::

    embeddings/<model>   the user's id and embedding, any number of models
        intake           checks the rows, sets bad ones aside, numbers the items, rounds to float16
    items                id, item: one dense numbering over all models
        knn              cells and shards; the k most similar items of each item; recall is measured
    knn/<model>          item, neighbors, similarities
        scoring          by vote: a base edge is kept if enough committee members have it as well
                         by mediator: `pairs` joins both ends of a pair, a small network estimates its probability
        or unlabelled    without labels: the network that ships, its prior chosen by agreement; the default
    scored_pairs         src, dst, score: no threshold yet
        clusters         the maximum spanning forest holds the components of every threshold; then
                         with a threshold: components, the large ones cut by rising thresholds
                         without one: `agglomeration` merges clusters while a merge is more probable than not
    clusters             id, cluster, status, size, best_score, level (and, without a threshold, confidence)

``commands.cluster`` follows this picture: intake, scored pairs, clusters, record. ``runs.register`` lists all stages,
``runs.stage_store`` makes them durable, and ``spark.differences`` says how the two engines, Sail and Spark, differ.
"""

from __future__ import annotations

import sys

if sys.argv[:1] == ["-m"] and not getattr(sys.flags, "safe_path", False):
    # Spark starts workers with -m, which looks into the working folder first: a random.py there is not Python's own.
    sys.path.append(sys.path.pop(0))

from collections.abc import Mapping
from importlib import import_module
from typing import TYPE_CHECKING, Any

if (_zipped := getattr(globals().get("__loader__"), "archive", None)) is not None:
    from cdp_spark._archive import unpacked

    __path__ = [unpacked(_zipped)]

from cdp_spark import _moved

_moved.install()

__version__ = "0.1.0"
__all__ = [
    "Run", "__version__", "cluster", "cluster_arrays", "denoise", "evaluate", "explain", "export", "local_session",
    "sweep", "sweep_granularity",
]  # fmt: skip

if TYPE_CHECKING:
    from pyspark.sql import DataFrame

    from cdp_spark.arrays import cluster_arrays
    from cdp_spark.commands.cluster import Run
    from cdp_spark.commands.granularity import sweep_granularity
    from cdp_spark.commands.sweep import sweep
    from cdp_spark.evaluation.flow import evaluate
    from cdp_spark.evidence.flow import explain
    from cdp_spark.label_errors.flow import denoise
    from cdp_spark.spark.session import local_session
    from cdp_spark.training_lists.flow import export


def cluster(
    base: DataFrame,
    committee: Mapping[str, DataFrame] | None = None,
    *,
    output: str,
    base_name: str = "base",
    **settings: Any,
) -> Run:
    """Cluster the items of DataFrames.

    Parameters
    ----------
    base : DataFrame (id, embedding)
        Embeddings of the base model.
    committee : mapping of name to DataFrame, optional
        Embeddings of the committee members, with the same ids.
    output : str
        Folder of the run.
    base_name : str
        Name of the base model; a mediator needs the names that it was trained with.
    **settings
        ``k``, ``accept``, ``threshold``, ``max_cluster_size`` and further keys of the config by their last name, such
        as ``rule`` or ``recall_target``; or whole sections as dicts (``knn={"k": 15}``).

    Returns
    -------
    Run
        Its ``clusters`` is a DataFrame.

    Raises
    ------
    CdpError
        One of the kinds in ``cdp_spark.base.errors``.
    """
    from cdp_spark.commands.cluster import cluster as cluster_task
    from cdp_spark.config.shorthand import config_of_tables
    from cdp_spark.sources.columns import check_tables

    members = {} if committee is None else committee
    check_tables({base_name: base} | (dict(members) if isinstance(members, Mapping) else {"committee": members}))
    config = config_of_tables([base_name, *members], output, settings)
    return cluster_task(config, spark=base.sparkSession, tables={base_name: base, **members})


def __getattr__(name: str) -> Any:
    # Imports Spark only when it is needed, so that `cdp-spark --help` answers at once.
    if name in _FROM:
        try:
            return getattr(import_module(_FROM[name]), name)
        except ModuleNotFoundError as error:
            if (error.name or "").split(".")[0] != "pyspark":
                raise
            from cdp_spark.base.refusals import missing_package

            raise missing_package(error) from None
    raise AttributeError(f"module 'cdp_spark' has no attribute {name!r}")


_FROM = {
    "Run": "cdp_spark.commands.cluster",
    "cluster_arrays": "cdp_spark.arrays",
    "denoise": "cdp_spark.label_errors.flow",
    "evaluate": "cdp_spark.evaluation.flow",
    "explain": "cdp_spark.evidence.flow",
    "export": "cdp_spark.training_lists.flow",
    "local_session": "cdp_spark.spark.session",
    "sweep": "cdp_spark.commands.sweep",
    "sweep_granularity": "cdp_spark.commands.granularity",
}
