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


@pytest.mark.parametrize(
    ("words", "said"),
    [
        ("sweep --run r --thresholds=", "--thresholds : write first:last:step"),
        ("sweep --run r --granularity=", "--granularity : write first:last:step"),
        ("export --run r --output o --split a=0.1 --split a=0.2", "--split a is given twice: keep one of them"),
        ("doctor --conf =3", "--conf =3: needs the form key=value"),
    ],
)
def test_values_that_are_empty_or_given_twice_are_refused(words, said):
    options = _parser().parse_args(words.split())
    with pytest.raises(ConfigError, match=said):
        options.run(options)
