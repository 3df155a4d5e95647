"""What engines and systems say, each in one line of ours with its exit code. The texts are theirs, shortened."""

from __future__ import annotations

import builtins

import pyarrow as pa
import pytest

from cdp_spark.base.messages import LONGEST
from cdp_spark.base.refusals import cause_of, missing_package, source_refused, translated, worker_failure

CALLED = "An error occurred while calling o84.load.\n: "
ABORTED = (
    "org.apache.spark.SparkException: Job aborted due to stage failure: Task 0 in stage 0.0 failed 1 times, most "
    "recent failure: Lost task 0.0 in stage 0.0 (TID 0) (node7 executor 2): "
)
STACK = "\n\tat org.apache.hadoop.fs.FileSystem.get(FileSystem.java:3581)" * 40
NO_S3A = "java.lang.RuntimeException: java.lang.ClassNotFoundException: Class org.apache.hadoop.fs.s3a.S3AFileSystem not found"  # noqa: E501
NO_FORMAT = "org.apache.spark.SparkClassNotFoundException: [DATA_SOURCE_NOT_FOUND] Failed to find the data source: {}."
GRPC = "<_MultiThreadedRendezvous of RPC that terminated with:\n\tstatus = StatusCode.UNAVAILABLE\n\tdetails = gone>"
AZURE = "Unknown error: Check for Hierarchical Namespace support failed: AuthenticationException: no token"


class EngineError(Exception):
    """Stands in for any error of PySpark's, py4j's or gRPC's."""

    __module__ = "py4j.protocol"


SAID = {
    "no jar of s3a": (CALLED + NO_S3A, 3, "spark.jars.packages=org.apache.hadoop:hadoop-aws:"),
    "no scheme s3": (CALLED + 'org.x.UnsupportedFileSystemException: No FileSystem for scheme "s3"', 3, "s3a://"),
    "no scheme gs": (CALLED + 'org.x.UnsupportedException: No FileSystem for scheme "gs"', 3, "no jar for gs"),
    "no jar of Azure": (CALLED + "Class org.apache.hadoop.fs.azurebfs.SecureAzureBlob not found", 3, "hadoop-azure:"),
    "no Delta": (CALLED + NO_FORMAT.format("delta"), 3, "lacks the jar of delta"),
    "no such format": (CALLED + NO_FORMAT.format("excel"), 2, "knows no format excel"),
    "no such format, Sail": ("No data source found for: orc", 2, "Sail knows no format orc"),
    "short line, Sail": ("Csv error: incorrect number of fields for line 42, expected 2 got 1", 2, "mend that line"),
    "stale checksum": (
        CALLED + ABORTED + "org.apache.hadoop.fs.ChecksumException: Checksum error: file:/lake/a.parquet at 4096",
        2, "/lake/a.parquet: the checksum file beside it (.a.parquet.crc) is of another content",
    ),
    "no Python": (CALLED + ABORTED + 'Cannot run program "python3.7": error=2', 3, "worker on node7 (executor 2)"),
    "no package": (ABORTED + "\nModuleNotFoundError: No module named 'numba'", 3, "needs the driver's packages"),
    "no chmod": (CALLED + 'java.io.IOException: Cannot run program "chmod": error=2', 3, "needs the program chmod"),
    "heap": (CALLED + "java.lang.OutOfMemoryError: Java heap space", 3, "spark.driver.memory=8g"),
    "killed worker": (ABORTED + "Python worker exited unexpectedly (crashed)", 3, "use fewer cores"),
    "worker's memory": ("\n  An exception was thrown from the Python worker.\nMemoryError", 3, "use fewer cores"),
    "full disk": (ABORTED + "java.io.IOException: No space left on device", 3, "spark.local.dir"),
    "full disk, Sail": ("Generic LocalFileSystem error: No space left on device (os error 28)", 3, "it continues"),
    "no rights": (ABORTED + "java.io.FileNotFoundException: /lake/a.parquet (Permission denied)", 3, "/lake/a.parquet"),
    "no rights, Sail": ("Unable to open file /lake/a: Permission denied (os error 13)", 3, "/lake/a may not be read"),
    "no folder": (ABORTED + "java.io.IOException: Mkdirs failed to create file:/proc/x/_t", 3, "/proc/x/_t cannot be"),
    "no host": ("java.net.UnknownHostException: nowhere", 3, "a server does not answer"),
    "no host, Sail": ("failed to lookup address information: Name or service not known", 3, "does not answer"),
    "no keys": (CALLED + "NoAwsCredentials: Unable to load AWS credentials", 3, "docs/howto/s3.md"),
    "dead JVM": ("Answer from Java side is empty", 3, "JVM has ended"),
    "dead server": (GRPC, 3, "server of Spark Connect has gone"),
    "too many files": (ABORTED + "java.io.FileNotFoundException: /tmp/b (Too many open files)", 3, "ulimit -n"),
    "dead Python": (ABORTED + "EOFException while reading the port number from d's stdout", 3, "PYSPARK_PYTHON"),
    "lost result": (ABORTED + "TaskResultLost (result lost from block manager)", 3, "maxResultSize=0"),
    "address space, Sail": ("can't start new thread", 3, "ulimit -v unlimited"),
    "large file, Sail": ("Generic LocalFileSystem error: File too large (os error 27)", 3, "ulimit -f unlimited"),
    "large result": (ABORTED + "Total size (1 GiB) is bigger than spark.driver.maxResultSize", 3, "maxResultSize=0"),
}  # fmt: skip


@pytest.mark.parametrize(("text", "code", "words"), SAID.values(), ids=SAID)
def test_known_causes_get_a_line_with_a_remedy_and_the_exit_code_of_their_kind(text, code, words):
    found = translated(EngineError(text + STACK))
    assert found is not None
    assert (found.exit_code, words in str(found)) == (code, True), str(found)
    assert len(str(found)) <= LONGEST
    assert "\n" not in str(found)
    assert "An error occurred while calling" not in str(found)


SYSTEM = {
    "files": (OSError(24, "Too many open files", "/lake/a"), 3, "ulimit -n 65536"),
    "large": (OSError(27, "File too large", "/lake/a"), 3, "ulimit -f unlimited"),
    "rights": (PermissionError(13, "Permission denied", "/lake/a"), 3, "/lake/a: Permission denied"),
    "full": (OSError(28, "No space left on device", "/lake/a"), 3, "free some room"),
    "missing": (FileNotFoundError(2, "No such file or directory", "/lake/a"), 2, "check the path"),
    "long": (OSError(36, "File name too long", "/lake/a"), 2, "check the path"),
    "read-only": (OSError(30, "Read-only file system", "/lake/a"), 3, "choose another place"),
    "memory": (MemoryError(), 3, "run out of memory"),
    "Arrow, network": (OSError("AWS Error NETWORK_CONNECTION during HeadBucket operation"), 3, "does not answer"),
    "Arrow, rights": (OSError("AWS Error ACCESS_DENIED during PutObject operation"), 3, "refuses this user"),
    "Arrow, Azure": (pa.ArrowException(AZURE), 3, "refuses this user"),
    "Arrow, folder": (FileNotFoundError(2, "Cannot create directory '/proc/x'. Detail"), 3, "/proc/x cannot be made"),
    "locale": (UnicodeEncodeError("ascii", "ö", 0, 1, "ordinal not in range(128)"), 3, "LC_ALL=C.UTF-8"),
    "NumPy": (ModuleNotFoundError("No module named 'numpy._core'", name="numpy._core"), 3, "'numpy>=1.26.1,<3'"),
    "no PySpark": (ModuleNotFoundError("No module named 'pyspark'", name="pyspark"), 3, "cdp-spark[local]"),
}


@pytest.mark.parametrize(("error", "code", "words"), SYSTEM.values(), ids=SYSTEM)
def test_so_do_those_of_the_operating_system_of_arrow_and_of_python(error, code, words):
    found = translated(error)
    assert found is not None
    assert (found.exit_code, words in str(found)) == (code, True), str(found)


@pytest.mark.parametrize("name", ["KeyError", "ValueError", "ZeroDivisionError", "AttributeError"])
def test_what_may_be_our_fault_stays_as_it_is(name):
    assert translated(getattr(builtins, name)("No space left on device")) is None


def test_a_table_that_cannot_be_opened_is_named_and_of_a_long_stack_the_cause_is_told():
    torn = "An error occurred.\n: java.lang.Error: x\n" + STACK + "\nCaused by: java.io.IOException: footer is torn\n"
    found = source_refused(EngineError(torn), "model v3: a.parquet", "Spark")
    assert (found.exit_code, str(found)) == (2, "model v3: a.parquet: Spark cannot read it: footer is torn")
    assert source_refused(EngineError(NO_S3A), "model v3: s3a://b/a", "Spark").exit_code == 3


def test_the_cause_is_spark_s_own_condition_where_it_names_one():
    text = "Job aborted.\n[PATH_NOT_FOUND] Path does not exist: file:/a. SQLSTATE: 42K03\nCaused by: x.Y: else"
    assert cause_of(text) == "[PATH_NOT_FOUND] Path does not exist: file:/a"
    worker = "\n  An exception was thrown from the Python worker. See.\nTraceback:\n  File\nValueError: bad\n"
    assert cause_of(worker) == "ValueError: bad"


def test_a_package_that_does_not_import_is_named():
    assert "numba" in str(missing_package(ImportError("numba needs NumPy 2.4 or less", name="numba")))
    assert worker_failure("") == "workers: no answer"
