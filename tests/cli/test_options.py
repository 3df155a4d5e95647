import pytest

from cdp_spark.base.errors import ConfigError
from cdp_spark.cli import _parser


@pytest.mark.parametrize(
    "words",
    [
        "cluster --base", "cluster --committee", "cluster --labels", "cluster --images", "cluster --output",
        "cluster --previous", "cluster --mediator", "cluster --config", "train --labels", "evaluate --clusters",
        "evaluate --labels", "sweep --run", "sweep --labels", "denoise --labels", "export --images", "report --images",
        "explain --run", "clean --output", "clean --runs", "plan --measured",
    ],
)  # fmt: skip
@pytest.mark.parametrize("path", ["", " "])
def test_an_empty_path_is_refused_by_its_option(words, path):
    option = words.split()[1]
    with pytest.raises(ConfigError, match=rf"argument {option}: an empty path: .*is a shell variable unset"):
        _parser().parse_known_args([*words.split(), path])


def test_a_committee_is_checked_one_by_one():
    with pytest.raises(ConfigError, match="argument --committee: an empty path"):
        _parser().parse_known_args(["cluster", "--committee", "casia.parquet", ""])
