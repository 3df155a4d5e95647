"""Consensus clustering as an Estimator of ``pyspark.ml``: fitting clusters the items, the model adds their column.

    from cdp_spark.ml import ConsensusClustering

    model = ConsensusClustering(featuresCol="v3", committeeFeaturesCols=["casia", "v2"], output="runs/faces").fit(table)
    model.transform(table).groupBy("cluster").count()

One DataFrame holds the embeddings of all models, a column each, as arrays or as vectors of ``pyspark.ml``.
"""

from __future__ import annotations

from typing import Any

from pyspark import keyword_only
from pyspark.ml import Estimator, Model
from pyspark.ml.functions import vector_to_array
from pyspark.ml.param import Param, Params, TypeConverters
from pyspark.ml.param.shared import HasFeaturesCol, HasPredictionCol
from pyspark.ml.util import (
    DefaultParamsReadable,
    DefaultParamsReader,
    DefaultParamsWritable,
    DefaultParamsWriter,
    MLReadable,
    MLWritable,
)
from pyspark.sql import DataFrame, SparkSession
from pyspark.sql import functions as F

from cdp_spark.base.errors import ConfigError, InputError
from cdp_spark.base.schemas import quoted
from cdp_spark.intake.checks import is_ml_vector, is_raw_ml_vector
from cdp_spark.sources.columns import check_same_kind, field_of, id_kind, ids

__all__ = ["ConsensusClustering", "ConsensusClusteringModel"]

_SETTINGS = {
    "k": "k", "recallTarget": "recall_target", "accept": "accept", "threshold": "threshold",
    "maxClusterSize": "max_cluster_size", "thresholdStep": "threshold_step",
}  # fmt: skip


class _ConsensusParams(HasFeaturesCol, HasPredictionCol):
    """Params that the estimator and its model share."""

    idCol: Param[str] = Param(
        Params._dummy(), "idCol", "column of ids: integers or strings, distinct", TypeConverters.toString
    )
    committeeFeaturesCols: Param[list[str]] = Param(
        Params._dummy(), "committeeFeaturesCols", "embeddings of the committee's models", TypeConverters.toListString
    )
    output: Param[str] = Param(Params._dummy(), "output", "folder that the run is written to", TypeConverters.toString)
    k: Param[int] = Param(Params._dummy(), "k", "neighbours of an item, without itself", TypeConverters.toInt)
    recallTarget: Param[float] = Param(
        Params._dummy(), "recallTarget", "smallest acceptable share of true neighbours found", TypeConverters.toFloat
    )
    accept: Param[int] = Param(
        Params._dummy(), "accept", "committee members that must agree; default: all", TypeConverters.toInt
    )
    threshold: Param[float] = Param(
        Params._dummy(), "threshold", "a pair is kept when score > threshold", TypeConverters.toFloat
    )
    maxClusterSize: Param[int] = Param(
        Params._dummy(), "maxClusterSize", "components with more items are cut", TypeConverters.toInt
    )
    thresholdStep: Param[float] = Param(
        Params._dummy(), "thresholdStep", "share of the way to 1 by which a cut rises", TypeConverters.toFloat
    )
    mediator: Param[str] = Param(
        Params._dummy(),
        "mediator",
        "folder of a trained mediator, which then scores the pairs",
        TypeConverters.toString,
    )

    def __init__(self, *args: Any) -> None:
        super().__init__(*args)
        self._setDefault(
            idCol="id", featuresCol="features", committeeFeaturesCols=[], predictionCol="cluster", k=15,
            recallTarget=0.95, maxClusterSize=600, thresholdStep=0.05,
        )  # fmt: skip

    def getFeaturesCol(self) -> str:
        """Return the column of the base model's embeddings."""
        return str(self.getOrDefault(self.featuresCol))

    def _check_prediction(self, dataset: DataFrame) -> None:
        """Refuse to add an existing column, like all of ``pyspark.ml``."""
        name = self.getOrDefault(self.predictionCol)
        if not name.strip():
            raise ConfigError("ConsensusClustering: predictionCol is empty: name the column of the clusters")
        if name.lower() in (column.lower() for column in dataset.columns):
            raise InputError(
                f"ConsensusClustering: column {name} exists already: drop it, or set predictionCol to another name"
            )


def _add_accessors(owner: type, *, setters: bool) -> type:
    """Add a getter, and a setter, for each param, as ``pyspark.ml`` has them."""

    def getter(name: str) -> Any:
        def get(self: Params) -> Any:
            return self.getOrDefault(getattr(self, name))

        get.__doc__ = f"Return ``{name}``."
        return get

    def setter(name: str) -> Any:
        def put(self: Params, value: Any) -> Params:
            return self._set(**{name: value})

        put.__doc__ = f"Set ``{name}``; returns this object."
        return put

    for name in [name for name in dir(owner) if isinstance(getattr(owner, name), Param)]:
        upper = name[0].upper() + name[1:]
        setattr(owner, f"get{upper}", getter(name))
        if setters:
            setattr(owner, f"set{upper}", setter(name))
    return owner


class ConsensusClustering(Estimator, _ConsensusParams, DefaultParamsReadable, DefaultParamsWritable):  # type: ignore[type-arg]
    """Find identities by the consensus of several models' embeddings.

    Parameters
    ----------
    featuresCol : str
        Column of the base model's embeddings: array of numbers, or vector. Default ``features``.
    committeeFeaturesCols : list of str
        Columns of the committee's embeddings.
    idCol, predictionCol : str
        Default ``id`` and ``cluster``.
    output : str
        Folder of the run: stages, report, ``run.json``. A second fit of the same data there reuses the result.
    k, recallTarget, accept, threshold, maxClusterSize, thresholdStep, mediator
        As in the config of ``cdp-spark cluster``.
    """

    @keyword_only
    def __init__(self, **params: Any) -> None:
        super().__init__()
        self._set(**self._input_kwargs)  # type: ignore[attr-defined]

    def _fit(self, dataset: DataFrame) -> ConsensusClusteringModel:
        from cdp_spark.commands.cluster import cluster
        from cdp_spark.config.shorthand import config_of_tables

        if not self.isSet(self.output):
            raise ConfigError("ConsensusClustering: no output: set the folder of the run")
        self._check_prediction(dataset)
        columns = self._columns()
        tables = {column: self._embeddings(dataset, column) for column in columns}
        settings = {
            ours: self.getOrDefault(name) for name, ours in _SETTINGS.items() if self.isDefined(getattr(self, name))
        }
        if self.isSet(self.mediator):
            settings["mediator"] = self.getOrDefault(self.mediator)
        config = config_of_tables(columns, self.getOrDefault(self.output), settings)
        model = ConsensusClusteringModel(cluster(config, spark=dataset.sparkSession, tables=tables).clusters)
        return self._copyValues(model)

    def _columns(self) -> list[str]:
        return [self.getOrDefault(self.featuresCol), *self.getOrDefault(self.committeeFeaturesCols)]

    def _embeddings(self, dataset: DataFrame, column: str) -> DataFrame:
        id_column = self.getOrDefault(self.idCol)
        id_field, field = (field_of(dataset, name, "ConsensusClustering") for name in (id_column, column))
        if is_raw_ml_vector(field.dataType):
            raise InputError(
                f"ConsensusClustering: {column} holds vectors of MLlib, which reach this engine as a struct: "
                "turn them into arrays on Spark (vector_to_array)"
            )
        given = F.col(quoted(field.name))
        value = vector_to_array(given, "float32") if is_ml_vector(field.dataType) else given
        # If a member lacks an item, its column is null. Intake sets aside and counts rows that the base lacks.
        rows = dataset if column == self.getFeaturesCol() else dataset.where(given.isNotNull())
        return rows.select(F.col(quoted(id_field.name)).alias("id"), value.alias("embedding"))


class ConsensusClusteringModel(Model, _ConsensusParams, MLReadable, MLWritable):  # type: ignore[type-arg]
    """Fitted clusters; adds their column to rows of the same ids, null to others.

    Attributes
    ----------
    clusters : DataFrame (id, cluster: long, ...)
        -1: the item has no cluster.
    """

    def __init__(self, clusters: DataFrame | None = None) -> None:
        super().__init__()
        self.clusters = clusters

    def _transform(self, dataset: DataFrame) -> DataFrame:
        if self.clusters is None:
            raise InputError("ConsensusClusteringModel: it has no clusters: fit, or load a saved one")
        self._check_prediction(dataset)
        name, where = self.getOrDefault(self.predictionCol), "ConsensusClusteringModel"
        id_field = field_of(dataset, self.getOrDefault(self.idCol), where)
        rows = dataset.select(ids(id_field, where).alias("id"))
        check_same_kind(id_kind(self.clusters), id_kind(rows), where, "clusters")
        clusters = self.clusters.select(F.col("id").alias(id_field.name), F.col("cluster").alias(name))
        return dataset.join(clusters, id_field.name, "left")

    def write(self) -> _ModelWriter:
        """Return the writer of params and clusters."""
        return _ModelWriter(self)

    @classmethod
    def read(cls) -> _ModelReader:
        """Return the reader of params and clusters."""
        return _ModelReader(cls)  # type: ignore[arg-type]


class _ModelWriter(DefaultParamsWriter):
    def saveImpl(self, path: str) -> None:
        super().saveImpl(path)
        self.instance.clusters.write.parquet(f"{path}/clusters")  # type: ignore[attr-defined]


class _ModelReader(DefaultParamsReader):  # type: ignore[type-arg]
    def load(self, path: str) -> ConsensusClusteringModel:
        model: ConsensusClusteringModel = super().load(path)
        model.clusters = SparkSession.active().read.parquet(f"{path}/clusters")
        return model


_add_accessors(ConsensusClustering, setters=True)
_add_accessors(ConsensusClusteringModel, setters=False)
