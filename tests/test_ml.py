"""The Estimator: in a Pipeline, saved and loaded, the same clusters as the main job's."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from pyspark.sql import functions as F

import cdp_spark
from cdp_spark.base.errors import ConfigError, InputError
from cdp_spark.ml import ConsensusClustering, ConsensusClusteringModel
from tests import data

SETTINGS = {"k": 5, "accept": 1, "threshold": 0.45}


@pytest.fixture(scope="module")
def table(spark, tmp_path_factory):
    ids, _, models = data.embeddings(15)
    rows = [(int(i), *(models[m][place].tolist() for m in data.MODELS), place) for place, i in enumerate(ids)]
    path = str(tmp_path_factory.mktemp("table") / "rows")
    spark.createDataFrame(
        rows, "photo long, base array<float>, one array<float>, two array<float>, place int"
    ).write.parquet(path)
    return spark.read.parquet(path)


def estimator(output, **more):
    return ConsensusClustering(
        featuresCol="base", committeeFeaturesCols=["one", "two"], idCol="photo", output=str(output), **SETTINGS, **more
    )


def by_id(table, name="cluster"):
    return {row["photo"]: row[name] for row in table.select("photo", name).collect()}


@pytest.mark.engines
def test_it_finds_what_the_main_job_finds_and_survives_saving(tmp_path, table):
    model = estimator(tmp_path / "run", predictionCol="who").fit(table)
    found = by_id(model.transform(table), "who")
    parts = {name: table.select(F.col("photo").alias("id"), F.col(name).alias("embedding")) for name in data.MODELS}
    run = cdp_spark.cluster(
        parts.pop("base"), parts, output=str(tmp_path / "direct"), **SETTINGS
    )  # fmt: skip
    assert found == {row["id"]: row["cluster"] for row in run.clusters.collect()}
    assert len(set(found.values())) > 3
    model.write().save(str(tmp_path / "model"))
    loaded = ConsensusClusteringModel.load(str(tmp_path / "model"))
    assert by_id(loaded.transform(table), "who") == found
    assert loaded.getPredictionCol() == "who"
    strange = table.withColumn("photo", F.col("photo") + 1_000_000)
    assert set(by_id(loaded.transform(strange), "who").values()) == {None}


@pytest.mark.spark("vectors and other stages of pyspark.ml need a JVM")
def test_in_a_pipeline_on_vectors(spark, tmp_path, table):
    from pyspark.ml import Pipeline, PipelineModel
    from pyspark.ml.feature import VectorAssembler

    wide = table.select("photo", "base", *(F.col("one")[i].alias(f"x{i}") for i in range(16)))
    assembler = VectorAssembler(inputCols=[f"x{i}" for i in range(16)], outputCol="vectors")
    clusters = ConsensusClustering(
        featuresCol="vectors", committeeFeaturesCols=["base"], idCol="photo", output=str(tmp_path / "run"), **SETTINGS
    )
    fitted = Pipeline(stages=[assembler, clusters]).fit(wide)
    found = by_id(fitted.transform(wide))
    fitted.write().save(str(tmp_path / "pipeline"))
    assert by_id(PipelineModel.load(str(tmp_path / "pipeline")).transform(wide)) == found
    assert len(set(found.values())) > 3


def test_vectors_that_the_engine_cannot_read_are_refused_in_one_line(spark, tmp_path):
    """As MLlib's vectors lie in Parquet, without the note on them that only Spark writes and reads."""
    parts = pa.struct([("type", pa.int8()), ("size", pa.int32()), ("indices", pa.list_(pa.int32())),
                       ("values", pa.list_(pa.float64()))])  # fmt: skip
    vectors = pa.array([{"type": 1, "values": [1.0, float(i)]} for i in range(9)], parts)
    pq.write_table(pa.table({"id": range(9), "features": vectors}), tmp_path / "vectors.parquet")
    table = spark.read.parquet(str(tmp_path / "vectors.parquet"))
    with pytest.raises(InputError, match=r"features holds vectors of MLlib.*turn them into arrays") as refused:
        ConsensusClustering(output=str(tmp_path / "run")).fit(table)
    assert "\n" not in str(refused.value)


def test_params_have_getters_setters_and_docs(tmp_path):
    made = ConsensusClustering(k=7).setOutput("somewhere").setThreshold(0.3)
    assert (made.getK(), made.getOutput(), made.getThreshold()) == (7, "somewhere", 0.3)
    assert "neighbours of an item" in made.explainParam("k")
    assert all(made.explainParam(param) for param in made.params)
    made.save(str(tmp_path / "estimator"))
    assert ConsensusClustering.load(str(tmp_path / "estimator")).getK() == 7


def test_refusals(tmp_path, table):
    with pytest.raises(ConfigError, match="no output"):
        ConsensusClustering(featuresCol="base", idCol="photo").fit(table)
    with pytest.raises(InputError, match="no column features; it has photo: bigint"):
        ConsensusClustering(idCol="photo", output=str(tmp_path)).fit(table)


def test_a_row_without_an_embedding_of_the_base_is_set_aside_and_counted(spark, tmp_path):
    rows = [(i, None if i == 0 else [float(i), 1.0, 2.0]) for i in range(9)]
    table = spark.createDataFrame(rows, "id long, features array<float>")
    with pytest.raises(InputError, match=r"model features: 1 of 9 rows cannot be used \(null_vector 1\)"):
        ConsensusClustering(output=str(tmp_path / "run")).fit(table)
    with pytest.raises(ConfigError, match="predictionCol is empty"):
        ConsensusClustering(output=str(tmp_path / "run"), predictionCol="").fit(table)


@pytest.mark.engines
def test_a_column_that_is_there_already_is_refused_before_the_work(tmp_path, table):
    taken = table.withColumn("Cluster", F.lit(1))
    said = "column cluster exists already: drop it, or set predictionCol to another name"
    with pytest.raises(InputError, match=said):
        estimator(tmp_path / "run").fit(taken)
    assert not (tmp_path / "run").exists()
    clusters = table.selectExpr("photo as id", "place as cluster")
    model = ConsensusClusteringModel(clusters)._set(idCol="photo")
    with pytest.raises(InputError, match=said):
        model.transform(taken)
    with pytest.raises(InputError, match="ids are string but those of the clusters are bigint"):
        model.transform(table.withColumn("photo", F.col("photo").cast("string")))


@pytest.mark.engines
def test_columns_may_have_dots(table):
    model = ConsensusClusteringModel(table.selectExpr("photo as id", "place as cluster"))._set(idCol="the.photo")
    found = model.transform(table.select(F.col("photo").alias("the.photo"), "place"))
    assert found.columns == ["the.photo", "place", "cluster"]
    assert all(row["place"] == row["cluster"] for row in found.collect())
