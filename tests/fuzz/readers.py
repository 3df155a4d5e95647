"""Every reader of what comes from outside: what it is given, and how it is called."""

from __future__ import annotations

import hashlib
import io
import json
import os
import tempfile
import zipfile
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pyarrow as pa
import pyarrow.parquet as pq
import yaml
from hypothesis import strategies as st
from PIL import Image

from cdp_spark import _archive
from cdp_spark.base.errors import CdpError
from cdp_spark.clusters.carry_ids import earlier_run
from cdp_spark.config.loading import load_config
from cdp_spark.config.shorthand import clusters_settings, config_of_file, numbers
from cdp_spark.config.whole import RunConfig, TrainConfig
from cdp_spark.files.data_files import data_files
from cdp_spark.files.folder import Folder
from cdp_spark.runs import documents as of_run
from cdp_spark.runs.facts import stored_facts
from cdp_spark.runs.finished_run import finished_runs, made_otherwise
from cdp_spark.runs.lease import Lease
from cdp_spark.runs.manifests import MANIFEST, checked_manifest, listed_files
from cdp_spark.runs.tracking import figures, lineage_event
from cdp_spark.scoring.mediator_folder import load_mediator
from cdp_spark.sources import pictures
from cdp_spark.sources import work_size as work
from cdp_spark.sources.parquet_files import parquet_files
from cdp_spark.training_lists import listings
from cdp_spark.unlabelled.shipped import SHIPPED, load_unlabelled
from tests.fuzz.made_up import changed, damaged, documents, texts, values

DEMO = Path(_archive.__file__).parent / "datasets" / "glyphs"
SHIPPED_FILES = {name: Path(SHIPPED, name).read_bytes() for name in ("card.json", "mediator.safetensors")}
LATEST = {"clusters": "stages/clusters-0123456789abcdef", "fingerprint": "0123456789abcdef" * 4}


@dataclass(frozen=True)
class Reader:
    """What a reader is given, how it is called in a folder of its own, which errors are its own.

    ``examples`` in the ordinary run; when fuzzing, ``at_once`` between two looks at the clock.
    """

    inputs: st.SearchStrategy[Any]
    call: Callable[[Any, Path], object]
    errors: tuple[type[Exception], ...] = (CdpError,)
    examples: int = 6
    at_once: int = 200


@contextmanager
def folder() -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="cdp-fuzz-") as name:
        yield Path(name)


# --- config

CONFIG = {
    "input": {
        "base": {"path": "v3.parquet", "format": "parquet"}, "committee": ["casia.parquet", {"table": "lake.v2"}],
        "labels": {"path": "labels.parquet"}, "images": "images/{id}.jpg", "max_bad_fraction": 0.1,
    },
    "output": "runs/x", "knn": {"k": 14, "shard_items": 100}, "consensus": {"accept": 2, "threshold": 0.5},
    "clusters": {"max_cluster_size": 600, "rule": "code"}, "publish": "lake.clusters", "previous": "runs",
}  # fmt: skip
ODD_YAML = (
    b"a: !!python/object/apply:os.system [id]", b"a: &x [*x]", b"? [1]\n: 2", b"day: 2001-99-99", b"a: 0x_", b"- : -",
    b"a: !!int x", b"!!binary x", b"a: !!timestamp 2001-01-01T99:00:00Z", b"1: 2\nnull: 3", b"\xef\xbb\xbfinput: x",
    b"a: !!float _", b"{" * 3000, b"a: 1:99:99", b'a: "\\ud800"', b"input: {base: x}\noutput: &o [*o]", b"<<: 3",
    b"<<: [1]", b"a: .inf", b"a: 1e999", b"%YAML 9.9", b"a: !!bool x",
)  # fmt: skip


def read_config(data: bytes, place: Path) -> None:
    (place / "cdp.yaml").write_bytes(data)
    for kind in (RunConfig, TrainConfig):
        try:
            config = config_of_file(kind, str(place / "cdp.yaml"), base="base.parquet")
            config.model_dump_json()
        except CdpError as error:
            one_line(error)


def read_options(given: tuple[str, str], place: Path) -> None:
    for read in (lambda text: numbers(text, "--thresholds"), lambda text: clusters_settings([text])):
        try:
            read(given[0])
        except CdpError as error:
            one_line(error)
    config_of_file(RunConfig, None, [f"{given[1]}={given[0]}"], base="a.parquet", output="run")


# --- mediators

SMALL = {name: (DEMO / "mediator" / name).read_bytes() for name in ("card.json", "mediator.safetensors")}
CARD = json.loads(SMALL["card.json"])


def read_mediator(given: tuple[bytes, bytes], place: Path) -> None:
    (place / "card.json").write_bytes(given[0])
    (place / "mediator.safetensors").write_bytes(given[1])
    found = load_mediator(str(place), models=CARD["models"], k=CARD["k"])
    assert all(column >= 0 for column in found.columns)
    assert found.fingerprint
    assert found.trust is not found.with_embeddings


def read_shipped(given: tuple[bytes, bytes], place: Path) -> None:
    (place / "card.json").write_bytes(given[0])
    (place / "mediator.safetensors").write_bytes(given[1])
    load_unlabelled(str(place))


# --- what a run has written

RECORD = {
    "config": load_config({"input": {"base": "a"}, "output": "run"}).model_dump(mode="json"),
    "engine": "sail", "versions": {"python": "3.11"}, "cores": 2, "started": 1.0, "finished": 2.0, "seconds": 1.0,
    "stages": [{"name": "clusters", "path": LATEST["clusters"], "fingerprint": LATEST["fingerprint"], "rows": 3,
                "seconds": 0.1, "made_seconds": 0.1, "reused": False, "peak_worker_bytes": None, "written_bytes": 9}],
    "counts": {"items": 3, "rows": {"a": 3}, "quarantined": {"a": {"nan": 1}}, "statuses": {"clustered": 3},
               "clusters": 1, "largest": 3, "scored_pairs": 3, "forest_edges": 2},
    "dimensions": {"a": 64}, "recall": {"a": {"method": "exact", "recall": 1.0, "low": 1.0, "high": 1.0}},
    "threshold": 0.5, "metrics": {"kept": {"nmi": 0.5}, "removed": {"nmi": None}}, "warnings": ["low"],
    "lineage": {"previous": "runs/a", "next_id": 4},
    "facts": [{"name": "giant", "seconds": 0.0, "made_seconds": 0.0}], "forest_complete": True,
}  # fmt: skip


def write_run(place: Path, record: bytes, latest: bytes = json.dumps(LATEST).encode()) -> str:
    place.mkdir(exist_ok=True)
    (place / "run.json").write_bytes(record)
    (place / "latest.json").write_bytes(latest)
    return str(place)


def read_run(data: bytes, place: Path) -> None:
    output = write_run(place / "run", data)
    made_otherwise(load_config({"input": {"base": "a"}, "output": output}), output)
    record = of_run.read_record(Folder(output))
    assert record is not None
    plain = record.model_dump(mode="json")
    json.dumps(plain)
    yaml.safe_dump(plain["config"])
    list(figures(plain))
    lineage_event(plain, Folder(output), rows=1, size=1)
    for stage in record.stages:
        assert (place / "run" / stage.path).resolve().is_relative_to(place / "run" / "stages")


def read_latest(data: bytes, place: Path) -> None:
    output = write_run(place / "run", json.dumps(RECORD).encode(), data)
    found = of_run.read_latest(Folder(output))
    assert found is not None
    assert (place / "run" / found["clusters"]).resolve().is_relative_to(place / "run" / "stages")


def read_lineage(given: list[bytes], place: Path) -> None:
    for number, data in enumerate(given):
        write_run(place / f"run-{number}", data)
    for output in (place / "run-0", place / "today"):
        try:
            found = earlier_run(str(output), str(place))
            assert found is None or isinstance(found, str)
        except CdpError as error:
            one_line(error)
    finished_runs(str(place))


def read_manifest(data: bytes, place: Path) -> None:
    (place / "stage").mkdir()
    (place / "stage" / "part-0.parquet").write_bytes(b"abc")
    (place / "stage" / MANIFEST).write_bytes(data)
    try:
        listed_files(Folder(str(place)), "stage")
    except CdpError as error:
        one_line(error)
    checked_manifest(Folder(str(place)), "stage")


def read_facts(data: bytes, place: Path) -> None:
    (place / "facts.json").write_bytes(data)
    assert isinstance(stored_facts(Folder(str(place)), "facts.json"), dict)


def read_lease(data: bytes, place: Path) -> None:
    (place / "_lease.json").write_bytes(data)
    with Lease(str(place)):
        pass


MANIFEST_OF = {
    "stage": "x", "fingerprint": "f", "rows": 1, "files": {"part-0.parquet": 3}, "created": 1.0, "seconds": 1.0,
    "sha256": {"part-0.parquet": hashlib.sha256(b"abc").hexdigest()}, "peak_worker_bytes": None,
}  # fmt: skip
LEASE_OF = {
    "token": "t", "host": "h", "machine": "m", "pid": 4_000_000, "process_started": 1.0, "since": 1.0, "heartbeat": 1.0,
}  # fmt: skip


# --- tables and pictures


def parquet() -> bytes:
    table = pa.table({"id": ["a", "b"], "label": [1, 2], "image": [b"x", None], "embedding": [[1.0, 2.0], [3.0, 4.0]]})
    sink = io.BytesIO()
    pq.write_table(table, sink)
    return sink.getvalue()


def picture(form: str) -> bytes:
    sink = io.BytesIO()
    Image.new("RGB", (5, 4), (1, 2, 3)).save(sink, form)
    return sink.getvalue()


def read_table(data: bytes, place: Path) -> None:
    for number, content in enumerate((parquet(), data)):
        (place / f"part-{number}.parquet").write_bytes(content)
    config = load_config({"input": {"base": str(place)}, "output": "run"})
    work.too_large_for_sail(config, {})
    files = data_files(str(place))
    assert files is not None
    parquet_files(files, ["id", "label"], "labels", on_spark=True)


def read_picture(data: bytes, place: Path) -> None:
    (place / "picture").write_bytes(data)
    for given in (data, str(place / "picture")):
        found = pictures.thumbnail(given)
        assert found is None or found.startswith("data:image/webp;base64,")


def write_lists(given: list[tuple[str, str | bytes | None]], place: Path) -> None:
    rows = [{"id": identity, "label": 1, "image": image} for identity, image in given]
    for form in ("_csv", "_list", "_shard"):
        kind = pa.binary() if form == "_shard" else pa.string()
        right = [
            each for each in rows if each["image"] is None or isinstance(each["image"], bytes) == (form == "_shard")
        ]
        schema = pa.schema({"id": pa.string(), "label": pa.int64(), "image": kind})
        data, written = getattr(listings, form)(pa.Table.from_pylist(right, schema=schema))
        count = int(written.sum())
        if form == "_list":
            assert data.count(b"\n") == count


sound_texts = texts.filter(lambda text: "\ud800" not in text)  # Arrow's strings are UTF-8


# --- the packed package


@st.composite
def archives(draw: st.DrawFn) -> bytes:
    sink = io.BytesIO()
    names = draw(st.lists(texts.filter(bool), max_size=4))
    with zipfile.ZipFile(sink, "w", draw(st.sampled_from([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED]))) as files:
        for name in ["__init__.py", "../../outside.py", "/outside.py", "a/../../../outside.py", *names]:
            entry = zipfile.ZipInfo()
            entry.filename = f"cdp_spark/{name}".encode(errors="replace").decode()
            entry.external_attr = draw(st.sampled_from([0, 0o120777 << 16, 0o40755 << 16]))
            files.writestr(entry, draw(st.binary(max_size=20)))
    return draw(damaged(sink.getvalue()))


def read_archive(data: bytes, place: Path) -> None:
    (place / "in").mkdir()
    (place / "in" / "package.whl").write_bytes(data)
    before = os.environ.get("XDG_CACHE_HOME")
    os.environ["XDG_CACHE_HOME"] = str(place / "in" / "cache")
    try:
        found = Path(_archive.unpacked(str(place / "in" / "package.whl")))
        assert found.is_relative_to(place / "in" / "cache")
    finally:
        os.environ.pop("XDG_CACHE_HOME")
        if before is not None:
            os.environ["XDG_CACHE_HOME"] = before
        assert sorted(each.name for each in place.iterdir()) == ["in"]
        assert not [
            each
            for each in place.rglob("*")
            if each.is_symlink() or (each.name == "outside.py" and "cdp_spark" not in each.parts)
        ]


def one_line(error: BaseException) -> None:
    """Hold what every message is: one line, no key, and no longer than a screen can show."""
    text = str(error)
    assert 0 < len(text) <= 400, len(text)
    assert len(text.splitlines()) == 1, text
    assert "\x1b" not in text
    assert ":word@" not in text


configs = (
    changed(CONFIG).map(lambda each: yaml.safe_dump(each).encode())
    | damaged(yaml.safe_dump(CONFIG).encode())
    | st.sampled_from(ODD_YAML)
    | st.binary(max_size=40)
)
settings = st.tuples(
    texts | values.map(str), texts | st.sampled_from(["input.base", "knn", "output", "clusters.rule", "knn.k"])
)
of_pictures = st.sampled_from(["PNG", "JPEG", "GIF", "BMP", "WEBP", "TIFF", "PPM"]).flatmap(
    lambda form: damaged(picture(form))
)
of_lists = st.lists(st.tuples(sound_texts, st.none() | sound_texts | st.binary(max_size=30)), max_size=5)
CARD_FILE, WEIGHTS_FILE = SMALL.values()
SHIPPED_CARD, SHIPPED_WEIGHTS = SHIPPED_FILES.values()

READERS: dict[str, Reader] = {
    "config": Reader(configs, read_config, examples=3),
    "options": Reader(settings, read_options, examples=3),
    "card.json": Reader(st.tuples(documents(CARD), st.just(WEIGHTS_FILE)), read_mediator),
    "mediator.safetensors": Reader(st.tuples(st.just(CARD_FILE), damaged(WEIGHTS_FILE)), read_mediator),
    "shipped mediator": Reader(
        st.tuples(documents(json.loads(SHIPPED_CARD)) | st.just(SHIPPED_CARD), damaged(SHIPPED_WEIGHTS)), read_shipped
    ),
    "run.json": Reader(documents(RECORD), read_run),
    "latest.json": Reader(documents(LATEST), read_latest),
    "lineage": Reader(st.lists(documents(RECORD), min_size=1, max_size=3), read_lineage),
    "manifest": Reader(documents(MANIFEST_OF), read_manifest),
    "facts": Reader(documents({"id": 3, "_seconds": 1.0}), read_facts),
    "lease": Reader(documents(LEASE_OF), read_lease, examples=3),
    "table": Reader(damaged(parquet()), read_table),
    "picture": Reader(of_pictures, read_picture),
    "lists": Reader(of_lists, write_lists),
    "archive": Reader(archives(), read_archive, (CdpError, ImportError)),
}
