"""What bad input gets, line by line of the input contract: refused, set aside, warned about or accepted."""

from __future__ import annotations

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cdp_spark.base.errors import CdpError, ConfigError, InputError
from cdp_spark.commands.cluster import cluster
from cdp_spark.config.loading import load_config
from cdp_spark.config.shorthand import config_of_file
from cdp_spark.config.whole import RunConfig
from cdp_spark.intake.flow import taken_in
from cdp_spark.report import report
from cdp_spark.runs.stage_store import StageStore
from cdp_spark.sources.open_table import check_apart, open_source

FLOATS = pa.list_(pa.float32())


def table_of(rows: dict, kind: pa.DataType = FLOATS, id_type: pa.DataType | None = None) -> pa.Table:
    return pa.table({"id": pa.array(list(rows), id_type), "embedding": pa.array(list(rows.values()), kind)})


def good(count: int = 40, dimension: int = 4) -> dict:
    rows = np.random.default_rng(3).standard_normal((count, dimension)).astype(np.float32)
    return {i: row.tolist() for i, row in enumerate(rows)}


@pytest.fixture
def intake(spark, tmp_path):
    """Write tables as models m0, m1, ... and take them in."""

    def take(*tables: pa.Table, **settings):
        paths = []
        for number, table in enumerate(tables):
            pq.write_table(table, path := tmp_path / f"m{number}.parquet")
            paths.append(str(path))
        return take_paths(*paths, **settings)

    def take_paths(base: str, *committee: str, **settings):
        given = {"base": base, "committee": list(committee), "max_bad_fraction": 1.0, **settings}
        config = load_config({"input": given, "output": str(tmp_path / "run")})
        return taken_in(StageStore(spark, config.output), config.input, {})

    take.paths = take_paths
    return take


def items_of(found) -> dict:
    return {row["id"]: row["item"] for row in found.items.table.collect()}


def set_aside(found) -> set:
    return {(row["model"], row["id"], row["reason"]) for row in found.quarantine.table.collect()}


# Rows and ids


def test_a_missing_path_and_a_folder_without_parquet_are_refused(intake, tmp_path):
    with pytest.raises(InputError, match=r"model v3: .*v3\.parquet does not exist"):
        intake.paths(str(tmp_path / "v3.parquet"))
    (tmp_path / "empty").mkdir()
    with pytest.raises(InputError, match="holds no Parquet file"):
        intake.paths(str(tmp_path / "empty"))


@pytest.mark.parametrize("column", ["id", "embedding"])
def test_a_missing_column_is_refused_with_those_there_are(intake, column):
    with pytest.raises(InputError, match=rf"no column {column}; it has .*name it"):
        intake(table_of(good()).rename_columns(["id", "vec"] if column == "embedding" else ["key", "embedding"]))


def test_columns_that_differ_only_in_case_are_refused(intake):
    table = table_of(good()).append_column("ID", pa.array(range(40)))
    with pytest.raises(InputError, match="id, ID differ only in case"):
        intake(table)


def test_null_ids_are_set_aside(intake):
    found = intake(table_of({**good(), None: [1.0, 0, 0, 0]}, id_type=pa.int64()))
    assert set_aside(found) == {("m0", None, "null_id")}
    assert found.item_count == 40


@pytest.mark.engines
def test_repeated_ids_are_refused_or_treated_as_told(intake):
    twice = pa.concat_tables([table_of(good()), table_of({7: [1.0, 0, 0, 0]})])
    with pytest.raises(InputError, match=r"1 ids occur more than once, such as 7 \(2 times\).*keep_first"):
        intake(twice)
    kept = intake(twice, duplicates="keep_first")
    assert (kept.item_count, set_aside(kept)) == (40, {("m0", 7, "duplicate_id")})
    none = intake(twice, duplicates="quarantine")
    assert (none.item_count, none.quarantined) == (39, {"m0": {"duplicate_id": 2}})


def test_ids_of_other_types_are_refused(intake):
    with pytest.raises(InputError, match=r"ids \(id\) are double; they must be integers or strings"):
        intake(table_of(good(), id_type=pa.float64()))


def test_negative_ids_zero_and_the_largest_long_are_ids(intake):
    rows = dict(zip([2**63 - 1, -(2**63), 0, -5, 5], good(5).values(), strict=True))
    assert items_of(intake(table_of(rows))) == {-(2**63): 0, -5: 1, 0: 2, 5: 3, 2**63 - 1: 4}


def test_strings_of_any_script_are_kept_verbatim_and_ordered_by_their_bytes(intake):
    names = ["o'brien", 'say "hi"', "a/b\\c", "日本", "🦊", "", " x", "Ä", "a,b\n", "Z"]
    found = items_of(intake(table_of(dict(zip(names, good(len(names)).values(), strict=True)))))
    assert found == {name: rank for rank, name in enumerate(sorted(names, key=str.encode))}


def test_items_that_a_model_lacks_are_set_aside_with_counts_by_model(intake):
    most = {key: row for key, row in good().items() if key not in (3, 4)}
    found = intake(table_of(good()), table_of(most))
    assert found.quarantined == {"m0": {"missing_in:m1": 2}, "m1": {}}
    assert found.rows == {"m0": 40, "m1": 38}


def test_models_with_ids_of_different_types_are_refused(intake):
    with pytest.raises(InputError, match="ids have different types"):
        intake(table_of(good()), table_of({str(key): row for key, row in good().items()}))


# Vectors


@pytest.mark.engines
def test_every_bad_vector_is_set_aside_with_its_reason(intake):
    bad = {
        100: (None, "null_vector"), 101: ([], "empty"), 102: ([1.0, None, 0, 0], "null_element"),
        103: ([np.nan, 1, 0, 0], "nan"), 104: ([np.inf, 1, 0, 0], "infinite"), 105: ([-np.inf, 1, 0, 0], "infinite"),
        106: ([0.0] * 4, "zero"), 107: ([1e-13, 0, 0, 0], "tiny_norm"), 108: ([1.0, 2, 3], "wrong_length"),
    }  # fmt: skip
    found = intake(table_of({**good(), **{key: vector for key, (vector, _) in bad.items()}}))
    assert set_aside(found) == {("m0", key, reason) for key, (_, reason) in bad.items()}
    assert found.item_count + len(bad) == found.rows["m0"]


def test_two_common_lengths_are_refused_with_their_counts(intake):
    rows = {**good(), **{100 + key: row[:3] for key, row in good(20).items()}}
    with pytest.raises(InputError, match=r"different lengths \(40 of length 4, 20 of length 3\)"):
        intake(table_of(rows))


@pytest.mark.spark("Sail reads no vectors of MLlib")
def test_vectors_of_mllib_are_vectors(intake, spark, tmp_path):
    from pyspark.ml.linalg import Vectors

    rows = good()
    ml = spark.createDataFrame([(key, Vectors.dense(row)) for key, row in rows.items()], ["id", "embedding"])
    ml.write.parquet(str(tmp_path / "ml"))
    pq.write_table(table_of(rows), tmp_path / "lists.parquet")
    of_ml, of_lists = vectors_of(intake.paths(str(tmp_path / "ml"), str(tmp_path / "lists.parquet")))
    assert np.abs(of_ml.astype(float) - of_lists).max() <= 2**-10


def vectors_of(found) -> list:
    return [
        np.array([np.frombuffer(row["vector"], np.float16) for row in each.table.orderBy("item").collect()])
        for each in found.vectors.values()
    ]


def test_lengths_types_and_layouts_of_the_same_vectors_give_the_same_vectors(intake, tmp_path):
    rows = good()
    units = list(rows.values())
    ids = list(rows)
    halves = [np.float16(np.array(row) / np.linalg.norm(row)) for row in units]
    tables = [
        table_of(rows), table_of(rows, pa.list_(pa.float64())), table_of(rows, pa.list_(pa.float32(), 4)),
        table_of({key: [1000 * x for x in row] for key, row in rows.items()}),
        table_of(dict(zip(ids, (np.float32(row).tobytes() for row in units), strict=True)), pa.binary()),
        table_of(dict(zip(ids, (half.tobytes() for half in halves), strict=True)), pa.binary()),
    ]  # fmt: skip
    paths = []
    for number, table in enumerate(tables):
        pq.write_table(table, path := tmp_path / f"as-{number}.parquet")
        encoding = {0: "float16", 4: "float32", 5: "float16"}.get(number)  # which says nothing about lists
        paths.append({"path": str(path), "encoding": encoding})
    vectors = vectors_of(intake.paths(*paths))
    assert all(np.abs(each.astype(float) - vectors[0]).max() <= 2**-10 for each in vectors)
    assert all(np.array_equal(each, vectors[0]) for each in vectors[1:3])


@pytest.mark.parametrize(
    ("kind", "values", "message"),
    [
        (pa.list_(pa.int8()), [1, 2, 3], "is array<tinyint>: convert it"),
        (pa.list_(pa.decimal128(8, 2)), [1, 2, 3], r"is array<decimal\(8,2\)>: convert it"),
        (pa.string(), "[1, 2, 3]", "is text: parse it, from_json"),
        (pa.binary(), b"abcd", "holds bytes: set input.encoding to"),
        (pa.int64(), 3, "is bigint; it must be array<float>"),
        (pa.list_(pa.float16()), [np.float16(1)], "is float16, which Spark cannot read"),
    ],
)
def test_other_types_are_refused_with_a_recipe(intake, kind, values, message):
    with pytest.raises(InputError, match=message):
        intake(table_of({0: values, 1: values}, kind))


def test_few_dimensions_are_warned_about_and_very_many_refused_unless_meant(intake):
    assert "only 2 dimensions" in intake(table_of(good(5, 2))).warnings[0]
    with pytest.raises(InputError, match=r"8,193 dimensions; set input\.force_dimension"):
        intake(table_of(good(3, 8193)))
    assert intake(table_of(good(3, 8193)), force_dimension=True).item_count == 3


def test_no_message_shows_a_vector(intake):
    rows = {**good(10), 11: [123.456, np.nan, 0, 0]}
    with pytest.raises(InputError) as caught:
        intake(table_of(rows), max_bad_fraction=0.001)
    assert "123" not in str(caught.value)


# Files


def written(tmp_path, name="v3.parquet"):
    pq.write_table(table_of(good()), path := tmp_path / name, write_page_checksum=True)
    return path


@pytest.mark.parametrize(
    ("damage", "message"),
    [
        (lambda data: b"", r"is empty \(0 bytes\)"),
        (lambda data: data[: len(data) // 2], "is truncated or damaged"),
        (lambda data: data[:-8] + b"12345678", "is truncated or damaged"),
        (lambda data: b"id,embedding\n1,2\n", "is not a Parquet file"),
    ],
    ids=["empty", "truncated", "footer", "a CSV"],
)
def test_damaged_files_are_refused_by_name(intake, tmp_path, damage, message):
    path = written(tmp_path)
    path.write_bytes(damage(path.read_bytes()))
    with pytest.raises(InputError, match=rf"v3\.parquet {message}"):
        intake.paths(str(path))


@pytest.mark.spark("Sail checks no checksum of the user's pages")
def test_a_damaged_page_is_refused_by_name_where_there_is_a_checksum(spark, tmp_path):
    path = written(tmp_path)
    data = bytearray(path.read_bytes())
    place = data.index(np.float32(good()[20][1]).tobytes())
    data[place] ^= 255
    path.write_bytes(bytes(data))
    config = load_config({"input": {"base": str(path)}, "output": str(tmp_path / "run")})
    with pytest.raises(InputError, match=r"v3\.parquet: .*(checksum|cannot be read)"):
        cluster(config, spark=spark)


def test_files_with_different_schemas_are_refused_by_schema(intake, tmp_path):
    (tmp_path / "v3").mkdir()
    written(tmp_path / "v3", "a.parquet")
    pq.write_table(table_of({f"{k}": row for k, row in good().items()}), tmp_path / "v3" / "b.parquet")
    with pytest.raises(InputError, match=r"different schemas: a\.parquet .*bigint.* \| b\.parquet .*string"):
        intake.paths(str(tmp_path / "v3"))


def test_a_delta_table_read_as_parquet_is_refused_with_the_setting(intake, tmp_path):
    (tmp_path / "v3" / "_delta_log").mkdir(parents=True)
    written(tmp_path / "v3")
    with pytest.raises(InputError, match="is a Delta table: set format: delta"):
        intake.paths(str(tmp_path / "v3"))


def test_paths_with_spaces_percent_signs_and_unicode_are_read(intake, tmp_path):
    folder = tmp_path / "50% of möbius 図"
    folder.mkdir()
    assert intake.paths(str(written(folder))).item_count == 40


@pytest.mark.parametrize("sign", list("[]{}*?"))
def test_paths_that_spark_reads_as_patterns_are_refused(intake, tmp_path, sign):
    with pytest.raises(ConfigError, match="which Spark reads as a pattern"):
        intake.paths(str(written(tmp_path, f"v{sign}3.parquet")))


def test_output_and_input_must_lie_apart(tmp_path):
    for output, given in (("a", "a"), ("a/b", "a"), ("a", "a/b"), ("a/../c", "c")):
        with pytest.raises(InputError, match="overlap"):
            check_apart(str(tmp_path / output), [str(tmp_path / given)])
    check_apart(str(tmp_path / "ab"), [str(tmp_path / "a")])


@pytest.mark.spark("tables of a catalog, and ORC")
def test_a_spark_table_by_name_and_other_formats_are_read(spark, intake, tmp_path):
    frame = spark.createDataFrame(table_of(good()))
    frame.createOrReplaceTempView("faces_v3")
    frame.write.orc(str(tmp_path / "orc"))
    found = intake.paths({"table": "faces_v3"}, {"path": str(tmp_path / "orc"), "format": "orc"})
    assert (found.models, found.item_count) == (["faces_v3", "orc"], 40)
    with pytest.raises(InputError, match="table nowhere"):
        intake.paths({"table": "nowhere"})


# Labels


def test_null_labels_are_no_labels_and_labels_without_an_embedding_are_counted(spark, tmp_path):
    labels = {i: i % 3 if i else None for i in range(50)}
    pq.write_table(pa.table({"id": list(labels), "label": list(labels.values())}), tmp_path / "labels.parquet")
    given = {"base": str(written(tmp_path)), "labels": str(tmp_path / "labels.parquet")}
    run = cluster(load_config({"input": given, "output": str(tmp_path / "run")}), spark=spark)
    of_labels = [warning for warning in run.record["warnings"] if warning.startswith("labels")]
    assert of_labels == ["labels: 10 of 49 ids have no embedding and are not evaluated"]
    assert run.record["metrics"]["kept"]["identities"] == 3


# Configuration


@pytest.mark.parametrize(
    ("setting", "message"),
    [
        ("knn.kk=3", "unknown key knn.kk .did you mean .k.\\?"),
        ("knn.k=0", r"knn\.k: .*greater than or equal to 1; found 0"),
        ("consensus.threshold=1.5", r"consensus\.threshold: .*less than or equal to 1"),
        ("consensus.threshold=.nan", r"consensus\.threshold: .*finite"),
        ("consensus.accept=3", "accept is 3 but the committee has 0 members"),
        ("clusters.rule=mine", r"clusters\.rule: .*'code', 'paper', 'contraction' or 'learned'"),
        ("knn.k=!!python/object:os.system {}", "not plain YAML"),
        ("knn", "write it as dotted.key=value"),
    ],
)
def test_wrong_settings_are_refused_in_one_line(setting, message):
    with pytest.raises(ConfigError, match=message) as caught:
        config_of_file(RunConfig, None, [setting], base="v3.parquet", output="run")
    assert "\n" not in str(caught.value)


def test_a_report_of_no_run_and_pictures_that_are_none_are_refused(spark, tmp_path):
    with pytest.raises(InputError, match="holds no finished run"):
        report(str(tmp_path), spark=spark)
    given = {"base": str(written(tmp_path)), "images": str(tmp_path / "v3.parquet")}
    config = load_config({"input": given, "output": str(tmp_path / "run")})
    with pytest.raises(CdpError, match="images: no column image"):
        cluster(config, spark=spark)
    assert open_source(spark, config.input.base, "model v3").columns == ["id", "embedding"]
