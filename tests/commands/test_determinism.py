"""The same input and config give the same clusters, byte for byte, however and wherever they are computed."""

from __future__ import annotations

import random
from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from cdp_spark.spark.sail import sail_installed
from tests import command, data
from tests.conftest import ENGINE
from tests.other_engine import Other, other_engine


class How(NamedTuple):
    """Everything that must not matter."""

    seed: int = 0
    files: int = 1
    partitions: int = 4
    adaptive: bool = True
    components: str = "single"
    master: str | None = None
    engine: str = "same"
    cores: int = 5
    batch: int = 64


WAYS = data.PATHS | {"no-labels": {"consensus": {"mediator": "shipped"}, "clusters": {}}}
"""What is chosen, beside everything that must not matter; the last is the default."""
ON_BOTH = [How(seed=5), How(files=64)]
ON_SAIL = [How(cores=1, batch=8192), How(cores=16)]
ON_SPARK = [How(partitions=50), How(engine="sail")]
MASTERS = {"defaults": [How(master="local[1]")]}
"""A command takes several times as long as a run in the tests' session; ``test_faults`` runs on several executors."""


def combinations(count: int) -> list[How]:
    """Draw all factors at once, the same ones every time; masters and engines are changed alone above."""
    draw = random.Random(2023)
    choices = ((1, 2, 3), (1, 3, 9, 64), (1, 7, 50), (True, False), ("single", "graphframes"))
    return [How(*(draw.choice(values) for values in choices)) for _ in range(count)]


def cases() -> list:
    spark, slow = pytest.mark.spark("a setting of Spark"), pytest.mark.slow
    wanted = [(how, path, marks) for path in data.PATHS for hows, marks in (
        (ON_BOTH, ()), (ON_SAIL, (on_sail,)), (ON_SPARK, (spark,)), (MASTERS.get(path, []), (spark, slow)),
    ) for how in hows]  # fmt: skip
    wanted += [(how, "no-labels", ()) for how in ON_BOTH] + [(how, "no-labels", (on_sail,)) for how in ON_SAIL]
    wanted += [(How(engine="sail"), "no-labels", (spark,))]
    wanted += [(how, path, (spark, slow)) for how, path in zip(combinations(4), ["defaults", "large"] * 2, strict=True)]
    found = []
    for how, path, marks in wanted:
        name = ",".join(f"{key}={value}" for key, value in how._asdict().items() if value != How._field_defaults[key])
        graphframes = [pytest.mark.graphframes] if how.components == "graphframes" else []
        found.append(pytest.param(path, how, id=f"{path}:{name}", marks=[*marks, *graphframes]))
    return found


on_sail = pytest.mark.skipif(ENGINE != "sail", reason="a setting of Sail")


@pytest.fixture(scope="module")
def root(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("determinism")


@pytest.fixture(scope="module")
def wanted(root, spark) -> dict[str, bytes]:
    return {path: clusters_of(root, path, How(), spark) for path in WAYS}


def clusters_of(root: Path, path: str, how: How, spark, sail=None) -> bytes:
    """Run the job; return the sorted clusters as bytes."""
    folder = root / f"in-{how.seed}-{how.files}"
    if not folder.exists():
        ids, _, models = data.embeddings(people=30)
        data.write(folder, ids, models, files=how.files, seed=how.seed)
    output = root / "-".join([path, *map(str, how)]).replace("[", "").replace("]", "").replace(",", "-")
    settings = {
        "input": {"base": f"{folder}/base", "committee": [f"{folder}/one"]},
        "output": str(output),
        "consensus": {"accept": 1, "threshold": 0.3},
        "clusters": {"max_cluster_size": 10, "threshold_step": 0.1, "components": how.components},
        **WAYS[path],
    }
    conf = {"spark.sql.shuffle.partitions": str(how.partitions), "spark.sql.adaptive.enabled": str(how.adaptive)}
    in_session = how._replace(master=None, engine="same", cores=5, batch=64) == how
    if in_session:
        by_session(settings, conf, spark)
    elif how.master:
        by_command(settings, conf, how.master)
    else:
        assert sail(how.cores, how.batch).cluster(settings)["engine"] == "sail"
    table = pq.read_table(output / "clusters").sort_by("id").combine_chunks()
    assert table.num_rows == len(data.embeddings(people=30)[0])
    return pa.ipc.serialize_pandas(table.to_pandas()).to_pybytes()


def by_session(settings: dict, conf: dict, spark) -> None:
    from cdp_spark.commands.cluster import cluster
    from cdp_spark.config.loading import load_config

    before = {key: spark.conf.get(key) for key in conf}
    try:
        for key, value in conf.items():
            spark.conf.set(key, value)
        cluster(load_config(settings), spark=spark)
    finally:
        for key, value in before.items():
            spark.conf.set(key, value)


def by_command(settings: dict, conf: dict, master: str) -> None:
    config = command.write_config(Path(f"{settings['output']}.yaml"), settings)
    options = [word for pair in conf.items() for word in ("--conf", "=".join(pair))]
    found = command.run("cluster", "--config", config, "--master", master, *options)
    assert found.returncode == 0, found.stderr


@pytest.fixture(scope="module")
def sail() -> Iterator[Callable[[int, int], Other]]:
    """Processes of Sail, each with its own number of partitions and of rows per batch."""
    known: dict[tuple[int, int], Other] = {}
    with ExitStack() as stack:

        def process(cores: int, batch: int) -> Other:
            if (cores, batch) not in known:
                names = ("SAIL_EXECUTION__DEFAULT_PARALLELISM", "SAIL_EXECUTION__BATCH_SIZE")
                variables = dict(zip(names, (str(cores), str(batch)), strict=True))
                known[cores, batch] = stack.enter_context(other_engine("sail", **variables))
            return known[cores, batch]

        yield process


@pytest.mark.parametrize(("path", "how"), cases())
def test_clusters_depend_on_nothing_but_input_and_config(root, wanted, spark, sail, request, path, how):
    if how.engine == "sail" and not sail_installed():
        pytest.skip("Sail is not installed beside Spark")
    if how.components == "graphframes":
        request.getfixturevalue("graphframes_spark")
    assert clusters_of(root, path, how, spark, sail) == wanted[path]
