"""Labels and pictures beside a run: what cannot be joined is refused before the work."""

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cdp_spark.base.errors import InputError
from cdp_spark.config.input_sections import ImagesConfig, InputConfig
from cdp_spark.runs.stage_store import StageStore
from cdp_spark.sources.beside import Beside
from cdp_spark.sources.pictures import thumbnails
from cdp_spark.spark.keyed_table import KeyedTable

PNG = (
    b"\x89PNG\r\n\x1a\n\x00\x00\x00\rIHDR\x00\x00\x00\x01\x00\x00\x00\x01\x08\x00\x00\x00\x00:~\x9bU\x00\x00\x00\nIDAT"
    b"x\x9cc`\x00\x00\x00\x02\x00\x01H\xaf\xa4q\x00\x00\x00\x00IEND\xaeB`\x82"
)


@pytest.fixture
def beside(spark, tmp_path):
    store = StageStore(spark, str(tmp_path / "run"))

    def check(table: pa.Table, part: str, items=((1,), (2,)), kind="id long"):
        pq.write_table(table, tmp_path / f"{part}.parquet")
        config = InputConfig.model_validate({"base": "nowhere", part: str(tmp_path / f"{part}.parquet")})
        found = Beside.of(store, config)
        found.check_items(store, KeyedTable(spark.createDataFrame(list(items), kind), len(items), "items"))
        return store, found

    return check


@pytest.mark.engines
def test_labels_and_pictures_are_opened_and_counted_once(beside):
    store, found = beside(pa.table({"id": [1, 5], "label": ["a", "b"]}), "labels")
    assert (found.labels.ids, found.labels.missed(1, "are left out")) == (
        2, ["labels: 1 of 2 ids have no embedding and are left out"],
    )  # fmt: skip
    again = Beside.of(
        store, InputConfig.model_validate({"base": "nowhere", "labels": f"{store.output}/../labels.parquet"})
    )
    assert again.labels.ids == 2
    beside(pa.table({"id": [2, 2, 7], "image": [PNG] * 3}), "images")
    assert {fact.name for fact in store.asked_facts} == {"labels", "labels_matched", "pictures", "pictures_matched"}


@pytest.mark.engines
@pytest.mark.parametrize(
    ("part", "table", "said"),
    [
        (
            "labels",
            {"id": [8, 9], "label": [1, 2]},
            r"labels: no id of the labels is among the items \(such as 8 and 1\)",
        ),
        ("labels", {"id": ["1"], "label": [1]}, "labels: ids are string but those of the items are bigint"),
        ("images", {"id": [8], "image": ["a"]}, "images: no id of the images is among the items"),
        ("images", {"id": ["1"], "image": ["a"]}, "images: ids are string but those of the items are bigint"),
        ("images", {"id": [1], "image": [7]}, r"images: image is bigint; it must be an encoded picture \(binary\)"),
        (
            "images",
            {"id": [1], "picture": ["a"]},
            "images: no column image; it has id: bigint, picture: string: name another, or rename it",
        ),
        ("images", {"id": pa.nulls(2, pa.int64()), "image": ["a", "b"]}, "images: all 2 ids are null"),
    ],
)
def test_refusals(beside, part, table, said):
    with pytest.raises(InputError, match=said):
        beside(pa.table(table), part)


@pytest.mark.engines
def test_a_page_shows_the_first_of_several_pictures_of_an_id(spark, tmp_path):
    (tmp_path / "a.png").write_bytes(PNG)
    paths = [str(tmp_path / "b.png"), str(tmp_path / "a.png"), None, "", str(tmp_path / "a.png")]
    pq.write_table(pa.table({"the.id": [1, 1, 1, 1, 3], "a.path": paths}), tmp_path / "images.parquet")
    source = ImagesConfig(path=f"{tmp_path}/images.parquet", id_column="the.id", image_column="a.path")
    assert set(thumbnails(spark, source, [1, 2])) == {1}
    with pytest.raises(InputError, match="images: ids are bigint but those of the items are string"):
        thumbnails(spark, source, ["1"])
