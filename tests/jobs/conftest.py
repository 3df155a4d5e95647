"""One standalone cluster, one wheel and small data for all tests of jobs."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from tests import command, data
from tests.standalone import NoCluster, Standalone, build_wheel, standalone


@pytest.fixture(scope="session")
def cluster(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Standalone]:
    """One master, two workers."""
    try:
        with standalone(tmp_path_factory.mktemp("cluster")) as found:
            yield found
    except NoCluster as reason:
        pytest.skip(f"no standalone cluster: {reason}")


@pytest.fixture(scope="session")
def wheel(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The checkout's wheel."""
    return build_wheel(tmp_path_factory.mktemp("wheel"))


@pytest.fixture(scope="session")
def lake(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Embeddings of three models, and a config in a folder of its own."""
    folder = tmp_path_factory.mktemp("lake")
    ids, _, models = data.embeddings()
    data.write(folder, ids, models, files=2)
    (folder / "config").mkdir()
    settings = {
        "input": {"base": f"{folder}/base", "committee": [f"{folder}/one", f"{folder}/two"]},
        "output": f"{folder}/by-config",
        "knn": {"k": 5},
        "consensus": {"accept": 1, "threshold": 0.3},
        "clusters": {"max_cluster_size": 10, "threshold_step": 0.1},
    }
    command.write_config(folder / "config" / "cdp.yaml", settings)
    return folder
