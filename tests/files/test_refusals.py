"""What the system or an engine says of a full or closed disk becomes one line; what it says of inputs does not."""

import pytest

from cdp_spark.base.errors import MissingRequirementError
from cdp_spark.files.refusals import engine_refusals, file_refusal


@pytest.mark.parametrize(
    ("number", "line"), [(28, "no room left"), (122, "no room left"), (30, "mounted read-only"), (13, "give this user")]
)
def test_the_file_system_refuses(number, line):
    assert line in str(file_refusal("/out", OSError(number, "said")))


def test_another_error_of_the_file_system_is_not_ours():
    assert file_refusal("/out", OSError(5, "Input/output error")) is None


@pytest.mark.parametrize(
    ("said", "line"),
    [
        ("Unable to copy data to file: No space left on device (os error 28)", "no room left for /out"),
        ("java.io.IOException: Disk quota exceeded", "no room left for /out"),
        ("Unable to create dir /out/stages: Read-only file system (os error 30)", "mounted read-only"),
        ("Unable to open file /out/stages/a: Permission denied (os error 13)", "give this user"),
    ],
)
def test_an_engine_refuses(said, line):
    with pytest.raises(MissingRequirementError, match=line), engine_refusals("/out"):
        raise RuntimeError(said)


def test_what_an_engine_says_of_an_input_stays():
    with pytest.raises(RuntimeError), engine_refusals("/out"):
        raise RuntimeError("Unable to open file /in/a.parquet: Permission denied (os error 13)")
