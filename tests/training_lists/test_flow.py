"""Training data of a finished run, end to end, in each form."""

import json
import tarfile
from collections import Counter

import pyarrow as pa
import pyarrow.csv
import pyarrow.parquet as pq
import pytest

from cdp_spark.base.errors import ConfigError, InputError
from cdp_spark.commands.cluster import cluster
from cdp_spark.config.input_sections import ImagesConfig
from cdp_spark.config.loading import load_config
from cdp_spark.torch_data import ExportedItems, SeveralExports
from cdp_spark.training_lists.flow import export
from tests import command, data

PICTURE = b"\x89PNG\r\n\x1a\n"


@pytest.fixture(scope="module")
def lake(tmp_path_factory, spark):
    folder = tmp_path_factory.mktemp("export")
    ids, labels, models = data.embeddings()
    data.write(folder, ids, models)
    images = pa.table({"id": ids, "image": [PICTURE + str(id).encode() for id in ids.tolist()]})
    pq.write_table(images, folder / "images.parquet")
    pq.write_table(
        pa.table({"id": ids[:60], "label": [f"p{label}" for label in labels[:60]]}), folder / "labels.parquet"
    )
    settings = {
        "input": {"base": f"{folder}/base", "committee": [f"{folder}/one"]}, "output": f"{folder}/run",
        "knn": {"k": 5}, "consensus": {"accept": 1, "threshold": 0.6}, "clusters": {"soft_labels": True},
    }  # fmt: skip
    cluster(load_config(settings), spark=spark)
    return folder


def clusters(lake):
    return {row["id"]: row for row in pq.read_table(lake / "run" / "clusters").to_pylist()}


@pytest.mark.engines
def test_parquet_holds_the_items_of_clusters_and_the_card_counts_them(spark, tmp_path, lake):
    found = export(
        f"{lake}/run", output=str(tmp_path / "out"), spark=spark, min_size=3, splits={"validation": 0.25}, soft=True
    )
    rows = pq.read_table(tmp_path / "out" / "items").to_pylist()
    known = clusters(lake)
    sizes = Counter(row["cluster"] for row in known.values())
    wanted = {id for id, row in known.items() if row["cluster"] >= 0 and sizes[row["cluster"]] >= 3}
    assert {row["id"] for row in rows} == wanted
    labels = {row["label"] for row in rows}
    assert labels == set(range(len(labels)))
    assert len({(row["label"], known[row["id"]]["cluster"]) for row in rows}) == len(labels)
    for row in rows:
        assert row["weight"] == pytest.approx(min(1, max(0, known[row["id"]]["best_score"])))
        assert sum(entry["weight"] for entry in row["soft_labels"]) == pytest.approx(1)
    card = json.loads((tmp_path / "out" / "card.json").read_text())
    assert card == json.loads(json.dumps(found.card))
    assert card["items"] == len(rows)
    assert card["items"] + sum(card["left_out"].values()) == len(known)
    splits = Counter(row["split"] for row in rows)
    assert {row["split"]: row["items"] for row in card["counts"]} == dict(splits)
    assert set(splits) == {"train", "validation"}
    assert card["made_from"]["models"] == ["base", "one"]


def test_no_cluster_has_more_than_its_share_and_the_surest_stay(spark, tmp_path, lake):
    found = export(f"{lake}/run", output=str(tmp_path / "out"), spark=spark, largest_share=0.03)
    rows = found.items.collect()
    known = clusters(lake)
    kept = sum(row["cluster"] >= 0 and row["size"] >= 2 for row in known.values())
    most = int(0.03 * kept)
    assert max(Counter(row["label"] for row in rows).values()) == most
    left = {row["id"] for row in rows}
    for row in rows:
        mates = [other for other in known.values() if other["cluster"] == known[row["id"]]["cluster"]]
        surest = sorted(mates, key=lambda other: (-other["best_score"], other["id"]))[:most]
        assert {other["id"] for other in surest} == {other["id"] for other in mates} & left


@pytest.mark.parametrize("join", ["apart", "matched"])
def test_labelled_items_come_beside(spark, tmp_path, lake, join):
    found = export(f"{lake}/run", output=str(tmp_path / "out"), spark=spark, labels=f"{lake}/labels.parquet", join=join)
    rows = [row.asDict() for row in found.items.collect()]
    given = {row["id"]: row["label"] for row in pq.read_table(lake / "labels.parquet").to_pylist()}
    labelled = {row["id"]: row for row in rows if row["source"] == "labelled"}
    numbers = {label: place for place, label in enumerate(sorted(set(given.values())))}
    assert {id: (row["label"], row["identity"]) for id, row in labelled.items()} == {
        id: (numbers[label], label) for id, label in given.items()
    }
    assert any("are also items of the run" in warning for warning in found.record["warnings"]) == (join == "apart")
    clustered = [row for row in rows if row["source"] == "cluster"]
    assert found.card["first_label_of_clusters"] == len(numbers)
    if join == "apart":
        assert min(row["label"] for row in clustered) == len(numbers)
    else:
        assert not {row["id"] for row in clustered} & set(given)
        known = clusters(lake)
        for row in clustered:
            mates = [
                given[id] for id, other in known.items() if id in given and other["cluster"] == int(row["identity"])
            ]
            assert (row["label"] < len(numbers)) == bool(mates and max(Counter(mates).values()) >= len(mates) / 2)
            if row["label"] < len(numbers):
                most = max(Counter(mates).values())
                assert row["label"] == min(numbers[label] for label, n in Counter(mates).items() if n == most)


def test_lists_csv_and_shards_hold_the_same_items(spark, tmp_path, lake):
    items = {
        form: export(f"{lake}/run", output=f"{tmp_path}/{form}", spark=spark, format=form, **more)
        for form, more in {
            "csv": {}, "list": {"images": "pictures/{id}.jpg"},
            "webdataset": {"images": f"{lake}/images.parquet", "file_items": 50},
        }.items()
    }  # fmt: skip
    wanted = {row["id"]: row["label"] for row in items["csv"].items.collect()}
    table = pa.csv.read_csv(tmp_path / "csv" / "files" / "train-00000.csv").to_pylist()
    assert {row["id"]: row["label"] for row in table} == wanted
    lines = (tmp_path / "list" / "files" / "train-00000.txt").read_text().splitlines()
    assert sorted(lines) == sorted(f"pictures/{id}.jpg {label}" for id, label in wanted.items())
    shards = sorted((tmp_path / "webdataset" / "files").glob("*.tar"))
    assert len(shards) == -(-len(wanted) // 50)
    found = {}
    for path in shards:
        with tarfile.open(path) as shard:
            for member in shard.getmembers():
                if member.name.endswith(".json"):
                    row = json.loads(shard.extractfile(member).read())
                    picture = shard.extractfile(member.name.replace("json", "png")).read()
                    assert picture == PICTURE + str(row["id"]).encode()
                    found[row["id"]] = row["label"]
    assert found == wanted
    assert {file["name"] for file in items["webdataset"].card["files"]} == {path.name for path in shards}


def test_a_dataset_reads_the_export(spark, tmp_path, lake):
    found = export(
        f"{lake}/run", output=str(tmp_path / "out"), spark=spark, splits={"test": 0.3}, labels=f"{lake}/labels.parquet"
    )
    rows = {row["id"]: row for row in found.items.where("split = 'test' and source = 'cluster'").collect()}
    items = ExportedItems(str(tmp_path / "out"), "test", head="cluster", load=lambda id: f"{id}.jpg")
    first = found.card["first_label_of_clusters"]
    assert len(items) == len(rows)
    for place, id in enumerate(sorted(rows)):
        assert items[place] == (f"{id}.jpg", rows[id]["label"] - first, pytest.approx(rows[id]["weight"]))
    assert items.classes == found.card["labels_by_source"]["cluster"]
    assert len(ExportedItems(str(tmp_path / "out"))) == found.card["items"]
    with pytest.raises(InputError, match="no split other: choose one of test, train"):
        ExportedItems(str(tmp_path / "out"), "other")
    with pytest.raises(InputError, match="no finished export"):
        ExportedItems(str(lake))


def test_a_dataset_has_a_label_of_each_of_several_exports(spark, tmp_path, lake):
    whole, large = (str(tmp_path / name) for name in ("whole", "large"))
    for output, least in ((whole, 1), (large, 3)):
        export(
            f"{lake}/run", output=output, spark=spark, min_size=least, splits={"test": 0.3},
            labels=f"{lake}/labels.parquet",
        )  # fmt: skip
    heads = [ExportedItems(folder, "train", head="cluster") for folder in (whole, large)]
    both = SeveralExports([whole, large], "train", head="cluster", load=lambda id: f"{id}.jpg")
    assert len(heads[1]) < len(heads[0]) == len(both)
    assert both.classes == (heads[0].classes, heads[1].classes)
    known = [dict(zip(each.ids, zip(each.labels, each.weights, strict=True), strict=True)) for each in heads]
    for place, id in enumerate(both.ids):
        sample, labels, weights = both[place]
        assert sample == f"{id}.jpg"
        assert list(zip(labels, weights, strict=True)) == [each.get(id, (-1, 0)) for each in known]
    with pytest.raises(InputError, match="share ids: choose one kind with head"):
        SeveralExports([whole, large])


@pytest.mark.parametrize("form", ["list", "csv", "webdataset"])
def test_pictures_that_are_there_twice_or_of_other_items_are_refused_and_files_stay(spark, tmp_path, lake, form):
    ids = pq.read_table(lake / "images.parquet").column("id")
    once = export(f"{lake}/run", output=str(tmp_path / "out"), spark=spark, format="csv", images="pictures/{id}.jpg")
    before = (tmp_path / "out" / "files" / "train-00000.csv").read_bytes()

    def refused(said, ids):
        names = [f"{id}.jpg" for id in ids.to_pylist()]
        pq.write_table(pa.table({"id": ids, "image": names}), tmp_path / "images.parquet")
        with pytest.raises(InputError, match=said):
            export(f"{lake}/run", output=str(tmp_path / "out"), spark=spark, format=form,
                   images=f"{tmp_path}/images.parquet")  # fmt: skip

    refused(r"images: 5 ids occur more than once, such as -?\d+ \(2 times\): keep one picture", pa.concat_arrays(
        [*ids.chunks, ids.combine_chunks().slice(0, 5)]
    ))  # fmt: skip
    refused("images: no id of the images is among the items", pa.compute.add(ids, 1_000_000))
    refused("images: ids are string but those of the items are bigint", ids.cast(pa.string()))
    assert (tmp_path / "out" / "files" / "train-00000.csv").read_bytes() == before
    assert json.loads((tmp_path / "out" / "card.json").read_text()) == json.loads(json.dumps(once.card))


@pytest.mark.engines
def test_the_card_counts_the_rows_that_were_written(spark, tmp_path, lake):
    known = [id for id, row in clusters(lake).items() if row["cluster"] >= 0 and row["size"] >= 2]
    pq.write_table(pa.table({"who.id": known[10:], "the.path": [f"{id}.jpg" for id in known[10:]]}), tmp_path / "some")
    images = ImagesConfig(path=str(tmp_path / "some"), id_column="who.id", image_column="the.path")
    found = export(f"{lake}/run", output=str(tmp_path / "out"), spark=spark, format="list", images=images)
    lines = (tmp_path / "out" / "files" / "train-00000.txt").read_text().splitlines()
    assert len(lines) == found.card["items"] == found.card["files"][0]["items"] == found.record["counts"]["items"]
    assert [row["items"] for row in found.card["counts"]] == [len(known) - 10]
    assert found.card["left_out"]["no_picture"] == 10
    assert found.record["warnings"] == ["images: 10 items have no picture that can be read and are in no file"]


def test_a_list_cannot_hold_a_line_break(spark, tmp_path, lake):
    def listed(images):
        export(f"{lake}/run", output=str(tmp_path / "out"), spark=spark, format="list", images=images)

    with pytest.raises(InputError, match=r"the path 'a\\u2028-?\d+' has a line break, which a list cannot hold"):
        listed("a\u2028{id}")
    assert not (tmp_path / "out" / "files").exists()


def test_shards_without_any_picture_are_refused(spark, tmp_path, lake):
    with pytest.raises(InputError, match=r"images: none of \d+ pictures could be read: check the paths"):
        export(f"{lake}/run", output=str(tmp_path / "out"), spark=spark, format="webdataset", images="nowhere/{id}")
    assert not {"files", "card.json"} & {path.name for path in (tmp_path / "out").iterdir()}


def test_labels_of_other_images_cannot_be_matched(spark, tmp_path, lake):
    pq.write_table(pa.table({"id": [10**7], "label": ["who"]}), tmp_path / "labels.parquet")
    with pytest.raises(InputError, match="labels: no id of the labels is among the items"):
        export(f"{lake}/run", output=str(tmp_path / "out"), spark=spark, labels=f"{tmp_path}/labels.parquet",
               join="matched")  # fmt: skip


def test_what_cannot_be_exported_is_refused_in_one_line(spark, tmp_path, lake):
    def refused(error, match, **settings):
        with pytest.raises(error, match=match):
            export(f"{lake}/run", output=str(tmp_path / "out"), spark=spark, **settings)

    refused(ConfigError, "needs images", format="list")
    refused(ConfigError, "together below 1", splits={"a": 0.5, "b": 0.5})
    refused(ConfigError, "matched needs labels", join="matched")
    refused(InputError, "nothing is left", min_size=10_000)
    refused(ConfigError, "needs paths", format="list", images=f"{lake}/images.parquet")
    refused(InputError, "does not exist", labels="nowhere.parquet")


def test_the_command_line_exports_and_the_same_again_reuses(tmp_path, lake):
    words = (
        "export",
        "--run",
        lake / "run",
        "--output",
        tmp_path / "out",
        "--split",
        "test=0.2",
    )
    found = command.run(*words, "--json")
    assert found.returncode == 0, found.stderr
    record = json.loads(found.stdout)
    card = json.loads((tmp_path / "out" / "card.json").read_text())
    assert record["counts"]["items"] == card["items"] == pq.read_table(tmp_path / "out" / "items").num_rows
    again = command.run(*words)
    assert again.returncode == 0, again.stderr
    assert f"{tmp_path}/out/items" in again.stdout
    assert json.loads((tmp_path / "out" / "card.json").read_text()) == card
