"""Files of training data, read again by the standard library."""

import csv
import io
import json
import tarfile

import pyarrow as pa
import pytest

from cdp_spark.training_lists import listings

PNG, JPG = b"\x89PNG\r\n\x1a\n1", b"\xff\xd8\xff\xe02"


@pytest.fixture
def rows(spark, tmp_path):
    (tmp_path / "one.jpeg").write_bytes(JPG)
    data = [
        ("train", 0, 5, 1, str(tmp_path / "one.jpeg"), 7, "cluster", 0.5),
        ("train", 0, 4, 2, str(tmp_path / "none.jpg"), 8, "cluster", 0.25),
        ("train", 0, 3, 3, None, 7, "cluster", 0.125),
        ("test", 1, 1, 4, str(tmp_path / "one.jpeg"), 8, "labelled", 1.0),
    ]  # fmt: skip
    schema = "split string, file long, place long, id long, image string, label long, source string, weight double"
    return spark.createDataFrame(data, schema).repartition(1)


def test_a_list_has_a_path_and_a_label_per_line(rows, tmp_path):
    found = {row["name"]: row for row in listings.written_files(rows, str(tmp_path / "out"), "list").collect()}
    assert set(found) == {"train-00000.txt", "test-00001.txt"}
    assert found["train-00000.txt"].asDict() == {
        "name": "train-00000.txt", "source": "cluster", "split": "train", "items": 2, "weight": 0.75, "skipped": 1,
    }  # fmt: skip
    lines = (tmp_path / "out" / "train-00000.txt").read_text().splitlines()
    assert lines == [f"{tmp_path}/none.jpg 8", f"{tmp_path}/one.jpeg 7"]


def test_csv_has_every_column(rows, tmp_path):
    listings.written_files(rows, str(tmp_path / "out"), "csv").collect()
    found = list(csv.DictReader(io.StringIO((tmp_path / "out" / "train-00000.csv").read_text())))
    assert [row["id"] for row in found] == ["3", "2", "1"]
    assert set(found[0]) == {"id", "image", "label", "source", "weight"}


def test_a_shard_has_picture_label_and_the_rest_of_each_item_whose_picture_can_be_read(rows, tmp_path):
    found = {row["name"]: row for row in listings.written_files(rows, str(tmp_path / "out"), "webdataset").collect()}
    assert (found["train-00000.tar"]["items"], found["train-00000.tar"]["skipped"]) == (1, 2)
    first = (tmp_path / "out" / "train-00000.tar").read_bytes()
    with tarfile.open(fileobj=io.BytesIO(first)) as shard:
        members = {member.name: shard.extractfile(member).read() for member in shard.getmembers()}
    assert members["000000002.jpg"] == JPG
    assert members["000000002.cls"] == b"7"
    assert json.loads(members["000000002.json"]) == {"id": 1, "label": 7, "source": "cluster", "weight": 0.5}
    listings.written_files(rows, str(tmp_path / "again"), "webdataset").collect()
    assert (tmp_path / "again" / "train-00000.tar").read_bytes() == first


def test_the_kind_of_a_picture_is_that_of_its_bytes():
    assert listings._picture(PNG) == (PNG, "png")
    assert listings._picture(b"?") == (b"?", "bin")
    assert listings._picture("nowhere.jpg") is None


def test_a_partition_may_hold_many_files():
    table = pa.table({"split": ["b", "a", "a"], "file": [0, 1, 0], "place": [1, 1, 1], "id": [1, 2, 3]})
    assert [(key, part.column("id").to_pylist()) for key, part in listings._by_file(table)] == [
        (("a", 0), [3]), (("a", 1), [2]), (("b", 0), [1]),
    ]  # fmt: skip
