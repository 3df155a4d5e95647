"""The same input and config give the same clusters, byte for byte, however and wherever they are computed."""

from __future__ import annotations

import random
from pathlib import Path
from typing import NamedTuple

import pyarrow as pa
import pyarrow.parquet as pq
import pytest

from tests import command, data
from tests.conftest import GRAPHFRAMES

pytestmark = pytest.mark.slow


class How(NamedTuple):
    """Everything that must not matter."""

    seed: int = 0
    files: int = 1
    partitions: int = 4
    adaptive: bool = True
    engine: str = "single"
    master: str | None = None


ONE_AT_A_TIME = [
    How(seed=5), How(files=64), How(partitions=1), How(partitions=50), How(adaptive=False), How(engine="graphframes"),
    How(master="local[1]"), How(master="local-cluster[2,1,1024]"),
]  # fmt: skip


def combinations(count: int) -> list[How]:
    """Draw all factors at once, the same ones every time."""
    draw = random.Random(2023)
    # Without masters, which are changed alone above: one takes several times as long as the session of the tests.
    choices = ((1, 2, 3), (1, 3, 9, 64), (1, 7, 50), (True, False), ("single", "graphframes"))
    return [How(*(draw.choice(values) for values in choices)) for _ in range(count)]


def cases() -> list:
    wanted = [(path, how) for path in data.PATHS for how in ONE_AT_A_TIME]
    wanted += [(path, how) for path, how in zip(["defaults", "large"] * 2, combinations(4), strict=True)]
    found = []
    for path, how in wanted:
        name = ",".join(f"{key}={value}" for key, value in how._asdict().items() if value != How._field_defaults[key])
        marks = [pytest.mark.graphframes] if how.engine == "graphframes" else []
        found.append(pytest.param(path, how, id=f"{path}:{name}", marks=marks))
    return found


@pytest.fixture(scope="module")
def place(tmp_path_factory) -> Path:
    return tmp_path_factory.mktemp("determinism")


@pytest.fixture(scope="module")
def wanted(place, spark) -> dict[str, bytes]:
    return {path: clusters_of(place, path, How(), spark) for path in data.PATHS}


def clusters_of(place: Path, path: str, how: How, spark) -> bytes:
    """Run the job; return the sorted clusters as bytes."""
    folder = place / f"in-{how.seed}-{how.files}"
    if not folder.exists():
        ids, _, models = data.embeddings(people=30)
        data.write(folder, ids, models, files=how.files, seed=how.seed)
    output = place / "-".join([path, *map(str, how)]).replace("[", "").replace("]", "").replace(",", "-")
    settings = {
        "input": {"base": f"{folder}/base", "committee": [f"{folder}/one"]},
        "output": str(output),
        "consensus": {"accept": 1, "threshold": 0.3},
        "clusters": {"max_cluster_size": 10, "threshold_step": 0.1, "components": how.engine},
        **data.PATHS[path],
    }
    conf = {"spark.sql.shuffle.partitions": str(how.partitions), "spark.sql.adaptive.enabled": str(how.adaptive)}
    by_command(settings, conf, how) if how.master else by_session(settings, conf, spark)
    table = pq.read_table(output / "clusters").sort_by("id").combine_chunks()
    assert table.num_rows == len(data.embeddings(people=30)[0])
    return pa.ipc.serialize_pandas(table.to_pandas()).to_pybytes()


def by_session(settings: dict, conf: dict, spark) -> None:
    from cdp_spark.base.loading import load_config
    from cdp_spark.tasks.cluster import cluster

    before = {key: spark.conf.get(key) for key in conf}
    try:
        for key, value in conf.items():
            spark.conf.set(key, value)
        cluster(load_config(settings), spark=spark)
    finally:
        for key, value in before.items():
            spark.conf.set(key, value)


def by_command(settings: dict, conf: dict, how: How) -> None:
    if how.engine == "graphframes":
        conf = {**conf, "spark.jars.packages": GRAPHFRAMES}
    config = command.write_config(Path(f"{settings['output']}.yaml"), settings)
    options = [word for key, value in conf.items() for word in ("--conf", f"{key}={value}")]
    found = command.run("cluster", "--config", config, "--master", how.master, *options)
    assert found.returncode == 0, found.stderr


@pytest.mark.parametrize(("path", "how"), cases())
def test_clusters_depend_on_nothing_but_input_and_config(place, wanted, spark, request, path, how):
    if how.engine == "graphframes":
        request.getfixturevalue("graphframes_spark")
    assert clusters_of(place, path, how, spark) == wanted[path]
