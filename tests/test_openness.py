"""What the platform around the project reads: workflows, lock files, citation, hooks. None of them is run here."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from pathlib import Path

import pytest
import yaml
from packaging.markers import default_environment
from packaging.requirements import Requirement

import cdp_spark

ROOT = Path(__file__).parents[1]
WORKFLOWS = sorted((ROOT / ".github" / "workflows").glob("*.yml"))
LOCKS = {"ci-local.txt": "CI_EXTRAS", "ci-spark.txt": "CI_SPARK_EXTRAS"}


def read(name: str) -> str:
    return (ROOT / name).read_text(encoding="utf-8")


def loaded(name: str) -> dict:
    return yaml.safe_load(read(name))


def variable(name: str) -> list[str]:
    return re.search(rf"^{name} = (.*)$", read("Makefile"), re.MULTILINE)[1].split(",")


def extras() -> dict[str, list[str]]:
    """Return the extras of setup.py, and what is always installed as the extra ``""``."""
    show = (
        "import json, setuptools\n"
        "setuptools.setup = lambda **all: print(json.dumps([all['extras_require'], all['install_requires']]))\n"
        "import setup"
    )
    said = subprocess.run([sys.executable, "-c", show], cwd=ROOT, capture_output=True, text=True, check=True).stdout
    found, always = json.loads(said)
    return {**found, "": always}


def locked(name: str) -> dict[str, list[Requirement]]:
    lines = (line for line in read(f"requirements/{name}").splitlines() if re.match(r"[a-z0-9]", line))
    found: dict[str, list[Requirement]] = {}
    for line in lines:
        found.setdefault(Requirement(line).name, []).append(Requirement(line))
    return found


@pytest.mark.parametrize("path", WORKFLOWS, ids=lambda path: path.name)
def test_actions_are_pinned_by_commit_and_jobs_have_no_more_rights_than_they_say(path):
    text = path.read_text(encoding="utf-8")
    used = re.findall(r"uses: (\S+)(.*)", text)
    assert used
    for action, comment in used:
        local = action.startswith("./")
        assert local or (re.search(r"@[0-9a-f]{40}$", action) and re.search(r"# v\d", comment)), action
    assert yaml.safe_load(text)["permissions"] == {"contents": "read"}
    assert "secrets." not in text


def test_ci_runs_the_one_script_on_every_version_of_python_and_kind_of_machine():
    job = loaded(".github/workflows/ci.yml")["jobs"]["test"]
    assert job["steps"][-1]["run"] == ".ci/run"
    matrix = job["strategy"]["matrix"]
    assert matrix["python"] == [f"3.{minor}" for minor in range(10, 15)]
    machines = {*matrix["os"], *(each["os"] for each in matrix["include"])}
    assert {re.sub(r"[\d.]+", "", name) for name in machines} == {"ubuntu-", "ubuntu--arm", "macos-"}


@pytest.mark.parametrize("name", LOCKS)
def test_a_lock_file_has_an_exact_version_within_the_ranges_for_every_requirement(name):
    wanted, found = extras(), locked(name)
    for extra in ["", "dev", *variable(LOCKS[name])]:
        for line in wanted[extra]:
            requirement = Requirement(line)
            versions = found[requirement.name.lower().replace("_", "-")]
            assert any(not each.marker or each.marker.evaluate(default_environment()) for each in versions)
            for each in versions:
                (version,) = (clause.version for clause in each.specifier)
                assert requirement.specifier.contains(version, prereleases=True), f"{line}: make lock"


def test_ci_installs_from_the_lock_files():
    assert 'LOCK="${LOCK-requirements/ci-local.txt}"' in read(".ci/run")
    assert re.search(r'EXTRAS="([\w,]+)"', read(".ci/run"))[1].split(",") == variable("CI_EXTRAS")
    assert "LOCK=requirements/ci-spark.txt" in read("Makefile")


def test_hooks_have_the_version_of_ruff_that_ci_has():
    hooks = {each["repo"].rpartition("/")[2]: each["rev"] for each in loaded(".pre-commit-config.yaml")["repos"]}
    (version,) = (clause.version for clause in locked("ci-local.txt")["ruff"][0].specifier)
    assert hooks["ruff-pre-commit"] == f"v{version}"


def test_the_citation_names_paper_and_software_and_no_address():
    text, citation = read("CITATION.cff"), loaded("CITATION.cff")
    assert citation["version"] == cdp_spark.__version__
    assert citation["preferred-citation"]["doi"] == "10.1007/978-3-030-01240-3_35"
    assert [list(each) for each in citation["authors"]] == [["name"]]
    assert not re.search(r"email|orcid|\S@\S", text)


def test_what_llms_txt_links_to_exists():
    targets = re.findall(r"\]\(([^)#]+)\)", read("llms.txt"))
    assert len(targets) > 10
    assert not [target for target in targets if not (ROOT / target).exists()]


def test_forms_are_yaml_and_json_that_parse():
    for name in ("bug", "feature"):
        assert {"name", "description", "body"} <= set(loaded(f".github/ISSUE_TEMPLATE/{name}.yml"))
    assert loaded(".github/dependabot.yml")["version"] == 2
    assert loaded(".readthedocs.yaml")["sphinx"]["configuration"] == "docs/conf.py"
    assert json.loads(read(".devcontainer/devcontainer.json"))["postCreateCommand"] == "make dev"
