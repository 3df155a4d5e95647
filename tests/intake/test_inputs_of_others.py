"""Folders, types and paths that users of comparable tools have met: every row is read, or one line says how to mend it.

A folder that was written by several tools, holds what file browsers leave, or columns that nobody asked for.
"""

from __future__ import annotations

import datetime
import os
import uuid
from decimal import Decimal
from pathlib import Path
from urllib.parse import quote

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cdp_spark.base.errors import ConfigError, InputError
from cdp_spark.config.input_sections import LabelsConfig, SourceConfig
from cdp_spark.config.loading import load_config
from cdp_spark.files.data_files import data_files
from cdp_spark.intake.flow import taken_in
from cdp_spark.runs.stage_store import StageStore
from cdp_spark.sources.open_table import clusters_path, columns_of_models, opened
from tests.conftest import ENGINE

FLOATS = pa.list_(pa.float32())
ROWS = np.random.default_rng(5).standard_normal((8, 4)).astype(np.float32)
NAMES = [f"k{number:02d}" for number in range(8)]


def table(ids, rows=ROWS, kind=FLOATS, id_type=None) -> pa.Table:
    return pa.table({"id": pa.array(ids, id_type), "embedding": pa.array(rows.tolist(), kind)})


def save(part: pa.Table, path: Path) -> Path:
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(part, path)
    return path


NUMBERED, NAMED = table(range(8)), table(NAMES)


@pytest.fixture
def read(spark):
    """Open a model's table and return its embeddings by id; the footers' count must be that of the rows."""

    def rows(path: Path, **settings) -> dict:
        config = load_config({"input": {"base": str(path), **settings}, "output": "run"}).input
        found = opened(spark, config.base, "model v3", columns_of_models(config))
        ids, embeddings = (column.to_pylist() for column in found.table.toArrow().columns)
        assert found.rows == len(ids)
        return dict(zip(ids, embeddings, strict=True))

    return rows


def values(ids) -> dict:
    return dict(zip(ids, ROWS.tolist(), strict=True))


@pytest.fixture
def intake(spark, tmp_path):
    def take(*paths: Path, **settings):
        base, *committee = map(str, paths)
        given = {"base": base, "committee": committee, **settings}
        config = load_config({"input": given, "output": str(tmp_path / "run")})
        return taken_in(StageStore(spark, config.output), config.input, {})

    return take


# Files


@pytest.mark.engines
@pytest.mark.parametrize(
    "places",
    [
        ("part-0.parquet", "later/part-1.parquet"), ("2024/01/a.parquet", "2024/02/b.parquet"),
        ("day=1/a.parquet", "day=2/hour=3/b.parquet"), ("a.parquet", "day=1/a.parquet"),
        ("day=1/a.parquet", "day=2/a.parquet"), ("000000_0", "deep/er/B.PARQUET"),
        ("a [1].parquet", "50% möbius.parquet"),
    ],
    ids=lambda places: places[1],
)  # fmt: skip
def test_files_of_all_folders_below_are_read(read, tmp_path, places):
    for place, start in zip(places, (0, 4), strict=True):
        save(NUMBERED.slice(start, 4), tmp_path / "v3" / place)
    assert read(tmp_path / "v3") == values(range(8))


def test_the_name_of_a_format_is_one_in_any_case():
    assert SourceConfig(path="v3", format=" Parquet").format == "parquet"
    assert SourceConfig(path="v3", format="org.Mine").format == "org.Mine"
    with pytest.raises(ValueError, match="must name a format, such as parquet"):
        LabelsConfig(path="labels", format="")


@pytest.mark.parametrize("hidden", ["_1.parquet", ".1.parquet", "_later/1.parquet", "_temporary/0/1.parquet"])
def test_files_that_engines_leave_out_are_refused_by_name(read, tmp_path, hidden):
    save(NUMBERED.slice(0, 4), tmp_path / "v3" / "0.parquet")
    save(NUMBERED.slice(4), tmp_path / "v3" / hidden)
    with pytest.raises(InputError, match=rf"engines leave out.*: {hidden}: rename them, or move"):
        read(tmp_path / "v3")


def test_a_file_or_folder_of_hidden_names_alone_says_so(read, tmp_path):
    save(NUMBERED, tmp_path / "_v3.parquet")
    for name in ("_0", "_1"):
        save(NUMBERED, tmp_path / "v3" / name)
    with pytest.raises(InputError, match=r"engines leave out.*: _v3\.parquet: rename"):
        read(tmp_path / "_v3.parquet")
    with pytest.raises(InputError, match=r"engines leave out.*: _0, _1: rename"):
        read(tmp_path / "v3")


@pytest.mark.engines
def test_what_browsers_and_other_tools_leave_is_no_data(read, tmp_path):
    folder = tmp_path / "v3"
    save(NUMBERED, folder / "a.parquet")
    for copy in (".ipynb_checkpoints/a-checkpoint.parquet", ".Trash-1000/files/a.parquet", ".nfs0000a1", ".git/lfs/a"):
        save(NUMBERED, folder / copy)
    for name in (".DS_Store", "._a.parquet", "Thumbs.db", "desktop.ini", "_SUCCESS", ".directory", "Icon\r"):
        (folder / name).write_text("left")
    pq.write_metadata(NUMBERED.schema, folder / "_metadata")
    (folder / "empty").mkdir()
    assert read(folder) == values(range(8))


def test_other_files_are_refused_with_what_they_are(read, tmp_path):
    save(NUMBERED, tmp_path / "v3" / "a.parquet")
    for name, content, message in (
        ("README.md", b"# faces", "is not a Parquet file: move it elsewhere"),
        ("b.parquet", b"version https://git-lfs.github.com/spec/v1\n", "is a pointer of Git LFS: fetch"),
        ("b.parquet.gz", b"\x1f\x8b\x08", "is compressed as a whole: unpack it"),
        ("a.npy", b"\x93NUMPY\x01\0", r"is a NumPy file: .*cluster_arrays"),
        ("faces.jsonl", b'{"id": 1}\n', "is not a Parquet file: .*in a config set format: json"),
        ("labels.csv", b"id,label\n", r"pandas\.read_csv\('labels\.csv'\)\.to_parquet\('labels\.parquet'\)"),
    ):
        (tmp_path / "v3" / name).write_bytes(content)
        with pytest.raises(InputError, match=rf"{name} {message}" if " " in message[:4] else message):
            read(tmp_path / "v3")
        (tmp_path / "v3" / name).unlink()


@pytest.mark.parametrize("sizes", [(1, 7), (4, 4), (7, 1), (2, 0)])
@pytest.mark.parametrize("indexed", [False, True])
def test_files_that_were_joined_into_one_are_refused(read, tmp_path, sizes, indexed):
    joined = b""
    for start, size in zip((0, sizes[0]), sizes, strict=True):
        pq.write_table(NUMBERED.slice(start, size), tmp_path / "a", write_page_index=indexed)
        joined += (tmp_path / "a").read_bytes()
    pq.write_table(NUMBERED, tmp_path / "a", write_page_index=indexed)
    assert read(tmp_path / "a") == values(range(8))
    (tmp_path / "a").write_bytes(joined)
    with pytest.raises(
        InputError, match=r"a holds several Parquet files, one after another.*: give the files themselves"
    ):
        read(tmp_path / "a")


def test_links_are_followed_once_and_must_lead_somewhere(read, tmp_path):
    save(NUMBERED.slice(0, 4), tmp_path / "v3" / "a.parquet")
    save(NUMBERED.slice(4), tmp_path / "elsewhere" / "b.parquet")
    (tmp_path / "v3" / "sub").symlink_to(tmp_path / "elsewhere")
    (tmp_path / "elsewhere" / "loop").symlink_to(tmp_path / "v3")
    assert read(tmp_path / "v3") == values(range(8))
    (tmp_path / "v3" / "c.parquet").symlink_to("nowhere.parquet")
    with pytest.raises(InputError, match=r"links that lead to no file: c\.parquet"):
        read(tmp_path / "v3")


def test_a_folder_that_may_not_be_read_is_refused(tmp_path, monkeypatch):
    (tmp_path / "v3" / "sub").mkdir(parents=True)
    entries = os.listdir

    def listed(place: str) -> list[str]:
        if place.endswith("sub"):
            raise PermissionError
        return entries(place)

    monkeypatch.setattr("os.listdir", listed)
    with pytest.raises(InputError, match="sub may not be read: give this user the right"):
        data_files(str(tmp_path / "v3"))


def test_names_that_an_engine_cannot_read_are_refused(read, tmp_path):
    save(NUMBERED, tmp_path / "a\nb.parquet")
    save(NUMBERED, tmp_path / "v3" / "sub" / "b[0].parquet")
    for path in (tmp_path / "v3", tmp_path / "a\nb.parquet"):
        with pytest.raises(InputError, match=r"names with signs that an engine cannot read.*: rename them"):
            read(path)
    with pytest.raises(ConfigError, match="a backslash, which Spark reads as an escape sign: rename it"):
        read(save(NUMBERED, tmp_path / "back\\slash.parquet"))
    with pytest.raises(ConfigError, match=r"reads as a pattern: give the folder, .*/v3, and all files below it"):
        read(tmp_path / "v3" / "*.parquet")


def test_a_colon_in_a_name_is_refused_where_spark_reads(read, tmp_path):
    save(NUMBERED, tmp_path / "v3" / "2024-01-01T10:00.parquet")
    if ENGINE == "sail":
        assert read(tmp_path / "v3") == values(range(8))
    else:
        with pytest.raises(InputError, match="cannot read"):
            read(tmp_path / "v3")


@pytest.mark.engines
def test_values_in_names_of_folders_are_text_as_it_stands(read, tmp_path):
    ids = ["0007", "7", "2024-01-01", "a b", "x%y", "é", "a+b", None]
    for number, name in enumerate(ids):
        folder = tmp_path / "v3" / f"ID={quote(name, safe='+é') if name else '__HIVE_DEFAULT_PARTITION__'}"
        save(NUMBERED.slice(number, 1).select(["embedding"]), folder / "e.parquet")
    assert read(tmp_path / "v3") == values(ids)


@pytest.mark.skipif(ENGINE == "spark", reason="Spark tells the file of a row")
def test_more_values_in_names_of_folders_than_sail_reads_are_refused(read, tmp_path, monkeypatch):
    monkeypatch.setattr("cdp_spark.sources.read_parquet._MOST_FOLDER_VALUES", 3)
    for number in range(4):
        save(NUMBERED.slice(0, 1).select(["embedding"]), tmp_path / "v3" / f"id={number}" / "e.parquet")
    with pytest.raises(InputError, match="id comes from the names of 4 folders, such as id=0, but at most 3 are read"):
        read(tmp_path / "v3")


@pytest.mark.engines
def test_files_without_rows_do_not_count(read, tmp_path):
    save(NAMED, tmp_path / "v3" / "a.parquet")
    save(pa.table({"id": pa.nulls(0), "embedding": pa.nulls(0)}), tmp_path / "v3" / "pandas.parquet")
    save(pa.table({"other": pa.nulls(0)}), tmp_path / "v3" / "none.parquet")
    assert read(tmp_path / "v3") == values(NAMES)
    (tmp_path / "v3" / "a.parquet").unlink()
    (tmp_path / "v3" / "none.parquet").unlink()
    assert read(tmp_path / "v3") == {}


@pytest.mark.engines
@pytest.mark.parametrize(
    ("source_format", "line"), [("csv", "id,label\n{0},{0}\n"), ("json", '{{"id": "{0}", "label": "{0}"}}\n')]
)
def test_files_of_other_formats_are_read_by_the_same_list(spark, tmp_path, source_format, line):
    folder = tmp_path / "labels"
    for number, place in enumerate((f"a.{source_format}", f"later/b.{source_format}", "Thumbs.db")):
        (folder / place).parent.mkdir(parents=True, exist_ok=True)
        (folder / place).write_text(line.format(number))
    given = LabelsConfig(path=str(folder), format=source_format)
    rows = opened(spark, given, "labels").table.collect()
    assert sorted((row["id"], row["label"]) for row in rows) == [("0", "0"), ("1", "1")]
    (folder / f"_c.{source_format}").write_text(line.format(2))
    with pytest.raises(InputError, match=rf"labels: .*engines leave out.*: _c\.{source_format}: rename them"):
        opened(spark, given, "labels")


# Columns that nobody asked for


def columns_of_others() -> dict[str, pa.Array]:
    then = [datetime.datetime(2024, 1, 1)] * 8
    return {
        "taken": pa.array(then, pa.timestamp("ns")), "zoned": pa.array(then, pa.timestamp("ns", "UTC")),
        "quality": pa.array(np.zeros(8, np.float16)), "halves": pa.array([[np.float16(1)]] * 8, pa.list_(pa.float16())),
        "key": pa.array([uuid.UUID(int=1).bytes] * 8, pa.uuid()), "day": pa.array([datetime.time(1)] * 8),
        "span": pa.array([1] * 8, pa.duration("ns")), "nothing": pa.nulls(8), "nested": pa.array([[[1.0]]] * 8),
        "struct": pa.array([{"a": [1]}] * 8), "Taken": pa.array(range(8)), "person.name": pa.array(range(8)),
        "wide": pa.array([2**64 - 1] * 8, pa.uint64()), "dictionary": pa.array(NAMES).dictionary_encode(),
    }  # fmt: skip


@pytest.mark.engines
def test_a_column_that_nobody_asked_for_does_not_stop_a_run(spark, read, tmp_path):
    wide = NUMBERED
    for name, column in columns_of_others().items():
        wide = wide.append_column(name, column)
    path = save(wide, tmp_path / "v3.parquet")
    assert read(path) == values(range(8))
    labels = opened(spark, LabelsConfig(path=str(path), label_column="person.name"), "labels").table
    assert labels.columns == ["id", "person.name"]
    assert labels.toArrow().to_pydict() == {"id": list(range(8)), "person.name": list(range(8))}


@pytest.mark.parametrize(
    ("column", "message"),
    [
        ("taken", "is timestamp.ns., which Spark cannot read: cast it to microseconds"),
        ("key", "is UUID: write it as text, such as key::varchar"),
        ("quality", "is float16, which Spark cannot read: cast it to float32"),
        ("span", "is duration.ns., which Spark cannot read: cast it to another type, such as text"),
    ],
)
def test_one_that_is_asked_for_is_named_with_the_way_out(spark, tmp_path, column, message):
    path = save(NUMBERED.append_column(column, columns_of_others()[column]), tmp_path / "labels.parquet")
    with pytest.raises(InputError, match=rf"labels\.parquet: column {column} {message}"):
        opened(spark, LabelsConfig(path=str(path), label_column=column), "labels")


@pytest.mark.engines
def test_names_of_columns_may_hold_dots_backticks_and_other_cases(read, tmp_path):
    path = save(NUMBERED.rename_columns(["Person.id", "em`b ' \""]), tmp_path / "v3.parquet")
    assert read(path, id_column="person.id", embedding_column="em`b ' \"") == values(range(8))


# Types


KINDS = {
    "int8": pa.int8(), "int16": pa.int16(), "int32": pa.int32(), "uint8": pa.uint8(), "uint16": pa.uint16(),
    "uint32": pa.uint32(), "uint64": pa.uint64(), "decimal": pa.decimal128(12, 0), "number": pa.decimal128(38, 0),
}  # fmt: skip


@pytest.mark.engines("uint64", "decimal")
@pytest.mark.parametrize("kind", KINDS.values(), ids=KINDS)
def test_integers_of_every_width_are_ids(intake, tmp_path, kind):
    ids = pa.array([Decimal(number) if pa.types.is_decimal(kind) else number for number in range(8)], kind)
    found = intake(save(NUMBERED.set_column(0, "id", ids), tmp_path / "v3.parquet"))
    assert found.item_count == 8
    assert found.items.table.schema["id"].dataType.simpleString() == "bigint"
    assert [row["id"] for row in found.items.table.orderBy("item").collect()] == list(range(8))


def test_unsigned_integers_that_do_not_fit_and_other_ids_are_refused_with_a_recipe(read, intake, tmp_path):
    large = save(table([2**63 + number for number in range(8)], id_type=pa.uint64()), tmp_path / "large.parquet")
    with pytest.raises(InputError, match=r"ids \(id\) are unsigned 64-bit integers, some are beyond 2\^63 - 1: cast"):
        read(large)
    silent = tmp_path / "silent.parquet"
    pq.write_table(pq.read_table(large), silent, write_statistics=False)
    with pytest.raises(InputError, match=r"unsigned 64-bit integers, the files do not say how large: cast them"):
        read(silent)
    keys = pa.array([uuid.UUID(int=number).bytes for number in range(8)], pa.uuid())
    with pytest.raises(InputError, match="column id is UUID: write it as text, such as id::varchar"):
        read(save(NUMBERED.set_column(0, "id", keys), tmp_path / "uuid.parquet"))
    for kind, message in (
        (pa.float64(), r"are double; .*cast\(id as bigint\)"), (pa.date32(), r"are date; .*cast\(id as string\)"),
        (pa.binary(4), r"are binary; .*hex\(id\)"),
    ):  # fmt: skip
        ids = pa.array([b"1234"] * 8, kind) if kind == pa.binary(4) else pa.array(range(8), pa.int32()).cast(kind)
        with pytest.raises(InputError, match=message):
            intake(save(NUMBERED.set_column(0, "id", ids), tmp_path / "other.parquet"))


def by_pandas(part: slice, path: Path) -> None:
    pd.DataFrame({"id": NAMES[part], "embedding": list(ROWS[part])}).to_parquet(path)


def by_pandas_with_categories(part: slice, path: Path) -> None:
    frame = pd.DataFrame({"id": pd.Categorical(NAMES[part]), "embedding": list(ROWS[part]), "score": 0.5})
    frame.to_parquet(path)


def by_arrow(*kinds: pa.DataType, names=("id", "embedding")):
    def write(part: slice, path: Path) -> None:
        columns = {"id": NAMES[part], "embedding": ROWS[part].tolist()}
        found = {name: pa.array(columns[name.lower()], kind) for name, kind in zip(names, kinds, strict=True)}
        pq.write_table(pa.table(found), path)

    return write


WRITERS = {
    "pandas": by_pandas,
    "categories": by_pandas_with_categories,
    "polars": by_arrow(pa.large_string(), pa.large_list(pa.float32())),
    "polars' arrays": by_arrow(pa.string_view(), pa.list_(pa.float32(), 4)),
    "views": by_arrow(pa.string(), pa.list_view(pa.float32())),
    "Hugging Face": by_arrow(pa.large_string(), pa.list_(pa.field("item", pa.float32()))),
    "another order": by_arrow(FLOATS, pa.string(), names=("embedding", "id")),
    "another case": by_arrow(pa.string(), FLOATS, names=("ID", "Embedding")),
}
"""Who wrote a part, or as whom Arrow writes it."""


@pytest.mark.engines
def test_parts_of_one_folder_may_be_written_by_different_tools(read, tmp_path):
    for number, (name, write) in enumerate(WRITERS.items()):
        (tmp_path / "v3").mkdir(exist_ok=True)
        write(slice(number, number + 1), tmp_path / "v3" / f"{name}.parquet")
    assert read(tmp_path / "v3") == values(NAMES)


@pytest.mark.engines
def test_integers_of_different_widths_in_one_folder_are_one_column(read, tmp_path):
    for number, kind in enumerate((pa.int8(), pa.int32(), pa.uint64(), pa.int64())):
        part = NUMBERED.slice(2 * number, 2).cast(pa.schema([("id", kind), ("embedding", FLOATS)]))
        save(part, tmp_path / "v3" / f"{number}.parquet")
    assert read(tmp_path / "v3") == values(range(8))


@pytest.mark.engines
def test_floats_of_both_widths_in_one_folder_are_one_column(read, tmp_path):
    save(NUMBERED.slice(0, 4), tmp_path / "v3" / "a.parquet")
    doubles = pa.schema([("id", pa.int64()), ("embedding", pa.large_list(pa.float64()))])
    save(NUMBERED.slice(4).cast(doubles), tmp_path / "v3" / "b.parquet")
    assert read(tmp_path / "v3") == values(range(8))


@pytest.mark.engines
@pytest.mark.parametrize("kind", [pa.float32(), pa.float64()], ids=str)
def test_nan_beside_one_value_stays_nan(spark, tmp_path, kind):
    labels = pa.array([3.0, float("nan"), None], kind, from_pandas=False)
    table = pa.table({"person.id": ["a", "b", "c"], "n": [0, 1, 2], "label": labels})
    save(table, tmp_path / "labels" / "day=1" / "a.parquet")
    given = LabelsConfig(path=str(tmp_path / "labels"), id_column="person.id")
    found = opened(spark, given, "labels").table.collect()
    assert [tuple(map(str, row)) for row in sorted(found)] == [("a", "3.0"), ("b", "nan"), ("c", "None")]


@pytest.mark.engines
def test_labels_with_gaps_in_one_part_are_one_column_with_those_of_others(spark, tmp_path):
    save(pa.table({"id": [0, 1], "label": [3, 4]}), tmp_path / "labels" / "a.parquet")
    gap = pa.array([3.0, float("nan")], from_pandas=False)
    save(pa.table({"id": [2, 3], "label": gap}), tmp_path / "labels" / "b.parquet")
    found = opened(spark, LabelsConfig(path=str(tmp_path / "labels")), "labels").table.collect()
    assert sorted((row["id"], str(row["label"])) for row in found) == [(0, "3.0"), (1, "4.0"), (2, "3.0"), (3, "nan")]
    save(pa.table({"id": [0], "label": [2**53 + 1]}), tmp_path / "labels" / "a.parquet")
    with pytest.raises(InputError, match="different schemas"):
        opened(spark, LabelsConfig(path=str(tmp_path / "labels")), "labels")


def test_parts_that_mean_different_things_are_refused(read, tmp_path):
    save(NAMED.slice(0, 4), tmp_path / "v3" / "a.parquet")
    save(NUMBERED.slice(4), tmp_path / "v3" / "b.parquet")
    with pytest.raises(InputError, match=r"a\.parquet \(id: string, .*\| b\.parquet \(id: bigint, .*cast them to one"):
        read(tmp_path / "v3")
    save(NAMED.select(["id"]), tmp_path / "v3" / "b.parquet")
    with pytest.raises(InputError, match=r"no column embedding in b\.parquet; it has id: string"):
        read(tmp_path / "v3")


# Advice


@pytest.mark.engines
@pytest.mark.parametrize(
    ("make", "recipe"),
    [
        (lambda row: [row], "embedding[0]"),
        (lambda row: [[row[:2]], [row[2:]]], "flatten(flatten(embedding))"),
        (lambda row: {"values": row}, "embedding.values"),
        (
            lambda row: dict(zip("abcd", row, strict=True)),
            "array(embedding.a, embedding.b, embedding.c, embedding.d)",
        ),
        (lambda row: [str(value) for value in row], "transform(embedding, x -> cast(x as float))"),
        (lambda row: [{"at": at, "value": value} for at, value in enumerate(row)], "cast(x.value as float))"),
        (lambda row: str(row), "from_json(embedding, 'array<float>')"),
    ],
    ids=["(1, d)", "deeper", "struct", "fields", "texts", "structs", "JSON"],
)  # fmt: skip
def test_a_recipe_makes_an_embedding_of_the_column(spark, intake, tmp_path, make, recipe):
    path = save(pa.table({"id": range(8), "embedding": [make(row) for row in ROWS.tolist()]}), tmp_path / "v3.parquet")
    with pytest.raises(InputError) as refused:
        intake(path)
    message = str(refused.value)
    assert recipe in message
    start = message.index("transform(") if "transform(" in message else message.index(recipe)
    found = spark.read.parquet(str(path)).selectExpr("id", f"{message[start : message.index(recipe)]}{recipe} AS found")
    made = {row["id"]: row["found"] for row in found.collect()}
    assert np.allclose([made[each] for each in range(8)], ROWS)


@pytest.mark.parametrize(
    ("column", "message"),
    [
        (pa.nulls(8), "all values are null"), (pa.array([None] * 8, FLOATS), "all values are null"),
        (pa.array([[]] * 8), "all values are empty lists"), (pa.array([[0.0] * 4] * 8), "all values are zero"),
    ],
    ids=["null", "null lists", "empty lists", "zero"],
)  # fmt: skip
@pytest.mark.engines("null", "empty lists")
def test_a_column_without_one_value_is_called_so(intake, tmp_path, column, message):
    path = save(pa.table({"id": range(8), "embedding": column}), tmp_path / "v3.parquet")
    with pytest.raises(InputError, match=rf"model v3: {message}: .* in all 8 rows"):
        intake(path)


@pytest.mark.parametrize(
    ("column", "value", "recipe"),
    [
        ("id", [1], r"write one value, id\[0\]"), ("id", {"key": 1}, r"write one field, id\.key"),
        ("embedding", {"indices": [0], "values": [1.0]}, "it is sparse, write all numbers of each row"),
    ],
)  # fmt: skip
def test_nested_ids_and_sparse_embeddings_have_recipes_of_their_own(intake, tmp_path, column, value, recipe):
    nested = NUMBERED.set_column(NUMBERED.schema.names.index(column), column, pa.array([value] * 8))
    with pytest.raises(InputError, match=recipe):
        intake(save(nested, tmp_path / "v3.parquet"))


def test_a_column_for_each_dimension_is_recognised(read, tmp_path):
    path = save(
        pa.table({"id": range(8), **{f"e{place}": ROWS[:, place % 4] for place in range(512)}}), tmp_path / "v3"
    )
    with pytest.raises(InputError, match=r"and 505 more: .*write them as one, array\(e0, e1, \.\.\.\)") as refused:
        read(path)
    assert len(str(refused.value)) < 400


# Ids


@pytest.mark.engines
@pytest.mark.parametrize("limit", [0.001, 1.0])
def test_models_without_one_common_id_are_refused_with_an_example_of_each(intake, tmp_path, limit):
    base = save(table([f"{number:04d}" for number in range(7, 15)]), tmp_path / "base.parquet")
    one = save(table([str(number) for number in range(7, 15)]), tmp_path / "one.parquet")
    with pytest.raises(InputError, match=r"no id is common to all models \(base has '0007', one has '10'\): write"):
        intake(base, one, max_bad_fraction=limit)


def test_ids_of_another_form_are_shown_where_few_are_common(intake, tmp_path):
    base = save(table([f"{number:04d}" for number in range(8)]), tmp_path / "base.parquet")
    one = save(table(["0000", *map(str, range(1, 8))]), tmp_path / "one.parquet")
    with pytest.raises(InputError, match=r"missing_in:one 7\); only base has '0001', only one has '1', more than"):
        intake(base, one)


def test_a_run_without_items_says_so(intake, tmp_path):
    zeros = save(table(range(8), np.zeros((8, 4))), tmp_path / "v3.parquet")
    found = intake(zeros, max_bad_fraction=1.0)
    assert (found.item_count, found.warnings) == (
        0,
        ["no item is left: v3 has no usable row; see quarantine for the reasons"],
    )


# Places


def test_a_run_stands_for_its_clusters(tmp_path):
    for name in ("run.json", "clusters/part-0.parquet"):
        (tmp_path / "run" / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / "run" / name).touch()
    assert clusters_path(f"{tmp_path}/run/") == f"{tmp_path}/run/clusters"
    assert clusters_path(f"{tmp_path}/run/clusters") == f"{tmp_path}/run/clusters"
    assert clusters_path(f"{tmp_path}/nowhere") == f"{tmp_path}/nowhere"


@pytest.mark.engines
def test_a_relative_path_means_the_folder_of_the_call(spark, tmp_path, monkeypatch):
    for place, label in (("p1", 1), ("p2", 2)):
        save(pa.table({"id": [7], "label": [label]}), tmp_path / place / "labels.parquet")
        monkeypatch.chdir(tmp_path / place)
        given = LabelsConfig(path="labels.parquet")
        monkeypatch.chdir(tmp_path)
        assert opened(spark, given, "labels").table.collect()[0]["label"] == label
    assert SourceConfig(path="v3.parquet").path == f"{tmp_path}/v3.parquet"
