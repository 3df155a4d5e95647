"""The bundle: what its tasks run is there, and its two targets hang together."""

from __future__ import annotations

import re
from importlib import import_module
from importlib.util import find_spec

import pytest
import yaml

from cdp_spark import cli
from cdp_spark.base.errors import CdpError
from tests.conftest import GRAPHFRAMES
from tests.standalone import ROOT

TEXT = (ROOT / "databricks.yml").read_text()
BUNDLE = yaml.safe_load(TEXT)
SETUP = (ROOT / "setup.py").read_text()
TARGETS = list(BUNDLE["targets"])


def job_of(target: str) -> dict:
    """Merge a target's job into the common one, tasks by their key, as the CLI does."""
    common, own = (part["resources"]["jobs"]["nightly"] for part in (BUNDLE, BUNDLE["targets"][target]))
    mine = {task["task_key"]: task for task in own["tasks"]}
    return {**common, **own, "tasks": [{**task, **mine.pop(task["task_key"])} for task in common["tasks"]]}


@pytest.mark.parametrize("target", TARGETS)
def test_tasks_run_entry_points_that_are_there(target):
    points = dict(re.findall(r'"([\w-]+)=([\w.]+:\w+)"', SETUP))
    for task in job_of(target)["tasks"]:
        wheel = task["python_wheel_task"]
        assert set(wheel) == {"package_name", "entry_point", "parameters"}
        assert f'name="{wheel["package_name"]}"' in SETUP
        module, _, name = points[wheel["entry_point"]].partition(":")
        assert callable(getattr(import_module(module), name))


@pytest.mark.parametrize("target", TARGETS)
def test_parameters_are_options_of_their_commands(target):
    for task in job_of(target)["tasks"]:
        words = [re.sub(r"\$\{var\.keep\}", "7", word) for word in task["python_wheel_task"]["parameters"]]
        assert all(isinstance(word, str) for word in words)
        options, unknown = cli._parser().parse_known_args(words)
        assert not unknown
        assert options.command == task["task_key"]
    assert "parameters" not in job_of(target)  # Databricks would add them to every task's options


def test_a_job_cluster_has_graphframes_and_serverless_has_no_libraries():
    classic, serverless = (job_of(target) for target in ("classic", "serverless"))
    keys = {cluster["job_cluster_key"] for cluster in classic["job_clusters"]}
    for task in classic["tasks"]:
        assert task["job_cluster_key"] in keys
        assert {"whl": "./dist/*.whl"} in task["libraries"]
        assert {"maven": {"coordinates": GRAPHFRAMES}} in task["libraries"]
        assert {"pypi": {"package": f"graphframes-py=={GRAPHFRAMES.rpartition(':')[2]}"}} in task["libraries"]
    (environment,) = serverless["environments"]
    assert environment["spec"]["dependencies"] == ["./dist/*.whl"]
    for task in serverless["tasks"]:
        assert task["environment_key"] == environment["environment_key"]
        assert not {"libraries", "job_cluster_key"} & set(task)


def test_the_order_and_the_schedule():
    job = job_of("classic")
    assert [task["task_key"] for task in job["tasks"]] == ["cluster", "clean"]
    assert job["tasks"][1]["depends_on"] == [{"task_key": "cluster"}]
    assert len(job["schedule"]["quartz_cron_expression"].split()) == 6
    assert job["schedule"]["pause_status"] == "PAUSED"
    assert job["max_concurrent_runs"] == 1


def test_variables_are_defined_and_used_and_one_target_is_the_default():
    used = set(re.findall(r"\$\{var\.(\w+)\}", TEXT))
    assert used == set(BUNDLE["variables"])
    assert [name for name in TARGETS if BUNDLE["targets"][name].get("default")] == ["classic"]
    assert BUNDLE["artifacts"]["wheel"]["type"] == "whl"


@pytest.mark.parametrize("target", TARGETS)
@pytest.mark.skipif(find_spec("databricks") is None, reason="databricks-bundles is not installed")
def test_jobs_have_the_shape_that_databricks_knows(target):
    jobs = pytest.importorskip("databricks.bundles.jobs")
    assert jobs.Job.from_dict(job_of(target)).name == "cdp-spark nightly"


def test_a_task_raises_where_a_command_returns_an_exit_code(monkeypatch, capsys):
    monkeypatch.setattr("sys.argv", ["cdp-spark-task", "cluster", "--bass", "x"])
    with pytest.raises(CdpError, match="ended with exit code 2"):
        cli.task()
    assert "did you mean '--base'?" in capsys.readouterr().err
    monkeypatch.setattr("cdp_spark.cli.main", lambda: 0)
    cli.task()
