"""Known causes of errors from engines, their JVM and file systems, with our own line for each."""

from __future__ import annotations

from dataclasses import dataclass

from cdp_spark.base.errors import CdpError, InputError, MissingRequirementError


@dataclass(frozen=True)
class Known:
    """A cause: its pattern, the kind of error, and our line; ``{0}`` is the pattern's first group."""

    words: str
    kind: type[CdpError]
    line: str


RIGHTS = "give this user the right to, or choose another place"
_KEYS = "give credentials for it, as docs/howto/s3.md shows"
TOO_MANY_FILES = (
    "too many files are open for this user: raise the limit (ulimit -n 65536) and start the same command again"
)
FILE_TOO_LARGE = "a file is larger than this user may write: raise the limit (ulimit -f unlimited), or use another disk"
LIMITS = "raise the limits (ulimit -v unlimited -u 4096), or use a larger machine"
KNOWN = (
    Known(
        r"Checksum error: (?:file:)?(\S+)", InputError,
        "{0}: the checksum file beside it (.{name}.crc) is of another content: remove that, or write the file again",
    ),
    Known(
        r"fs\.s3a?\.S3A?FileSystem not found|No FileSystem for scheme \"?(?:s3a|s3n|s3)\b", MissingRequirementError,
        "Spark lacks Hadoop's jar for S3: set --conf spark.jars.packages=org.apache.hadoop:hadoop-aws:{hadoop} and "
        "name the place s3a://..., or use --engine sail, which needs no jar",
    ),
    Known(
        r"org\.apache\.hadoop\.fs\.azure\w*\.\S+ not found|No FileSystem for scheme \"?(?:abfs|wasb)s?\b",
        MissingRequirementError,
        "Spark lacks Hadoop's jar for Azure: set --conf spark.jars.packages=org.apache.hadoop:hadoop-azure:{hadoop}, "
        "or use --engine sail, which needs no jar",
    ),
    Known(
        r"No FileSystem for scheme \"?(\w+)|NotFoundException: Class (org\.apache\.hadoop\.fs\.\S+|com\.google\S+)",
        MissingRequirementError,
        "Spark has no jar for {0}: name the package of Hadoop's connector with --conf spark.jars.packages=..., or use "
        "a path that is mounted",
    ),
    Known(
        r"(?:DATA_SOURCE_NOT_FOUND\] )?Failed to find (?:the )?data source: (delta|iceberg|avro|hudi)",
        MissingRequirementError,
        "Spark lacks the jar of {0}: set --conf spark.jars.packages=..., as docs/howto/tables.md shows",
    ),
    Known(
        r"No data source found for: (\w+)", InputError,
        "Sail knows no format {0}: run on the engine spark, or write it as Parquet",
    ),
    Known(
        r"\b((?:Csv|Json) error: [^\n]{,150})", InputError,
        "a file of text is damaged ({0}): mend that line, or write it as Parquet",
    ),
    Known(
        r"Failed to find (?:the )?data source: ([\w.]+)", InputError,
        "Spark knows no format {0}: use parquet, orc, csv, json, delta or iceberg, or bring its jar with "
        "--conf spark.jars.packages=...",
    ),
    Known(
        r"DELTA_CONFIGURE_SPARK_SESSION|requires Delta SparkSession extension", MissingRequirementError,
        "Spark has Delta's jar but not its settings: set spark.sql.extensions and spark.sql.catalog.spark_catalog, as "
        "docs/howto/tables.md shows",
    ),
    Known(
        r"Cannot run program \"((?![^\"]*python)[^\"]+)\"", MissingRequirementError,
        "Spark needs the program {0}, which cannot be run: put it on PATH, or name another with PYSPARK_PYTHON",
    ),
    Known(
        r"(\[PYTHON_VERSION_MISMATCH\][^\n]*|Cannot run program [^\n]*)", MissingRequirementError,
        "{worker}: every worker needs the driver's Python: set PYSPARK_PYTHON",
    ),
    Known(
        r"(No module named '[\w.]+')[^\n]*(?:\n|$)|(/\S+: No module named \S+)", MissingRequirementError,
        "{worker}: every worker needs the driver's packages: install them there, set PYSPARK_PYTHON, or send them "
        "along (--py-files, --archives)",
    ),
    Known(
        r"reading the port number from", MissingRequirementError,
        "the workers' Python ends as soon as it starts: set PYSPARK_PYTHON to the driver's Python and install the same "
        "packages there",
    ),
    Known(
        r"(OutOfMemoryError: [^\n]*|GC overhead limit exceeded)", MissingRequirementError,
        "Spark's JVM has run out of memory ({0}): set spark.driver.memory=8g, of a cluster spark.executor.memory",
    ),
    Known(
        r"(?m)^MemoryError\b", MissingRequirementError,
        "a worker has run out of memory: use fewer cores (--master local[2]), or on a cluster more "
        "spark.executor.memoryOverhead",
    ),
    Known(
        r"bigger than spark\.driver\.maxResultSize", MissingRequirementError,
        "the driver may not take so large a result: set --conf spark.driver.maxResultSize=0",
    ),
    Known(
        r"TaskResultLost", MissingRequirementError,
        "a task's result did not reach the driver: set --conf spark.driver.maxResultSize=0 if it is set small, else "
        "give executors more memory, then start the same command again",
    ),
    Known(
        r"Python worker exited unexpectedly|exited with code 137|Container killed by YARN|ExecutorLostFailure",
        MissingRequirementError,
        "a worker was killed, mostly for its memory: use fewer cores (--master local[2]), or on a cluster more "
        "spark.executor.memoryOverhead",
    ),
    Known(
        r"Mkdirs failed to create (?:file:)?(\S+)|Cannot create directory '([^']+)'", MissingRequirementError,
        "{0} cannot be made: " + RIGHTS,
    ),
    Known(
        r"Read-only file system", MissingRequirementError,
        "the output is on a file system that is mounted read-only: mount it for writing, or choose another place",
    ),
    Known(
        r"No space left on device|Disk quota exceeded", MissingRequirementError,
        "no room left on a disk, of the output or of temporary files: free some, or set TMPDIR and --conf "
        "spark.local.dir=/another/disk, then start the same command again; it continues",
    ),
    Known(r"Too many open files", MissingRequirementError, TOO_MANY_FILES),
    Known(r"File too large", MissingRequirementError, FILE_TOO_LARGE),
    Known(
        r"failed to map segment|[Cc]annot allocate memory|pthread_create failed|can't start new thread",
        MissingRequirementError, "this process may take no more memory or threads ({cause}): " + LIMITS,
    ),
    Known(
        r"Unable to load (?:AWS )?credentials|NoAuthWithAWSException|NoAwsCredentials|(?:Status Code|status): 40[13]\b|"
        r"40[13] (?:Forbidden|Unauthorized)|ACCESS_DENIED|AccessDenied|InvalidAccessKeyId|AuthenticationException|"
        r"SIMPLE authentication is not enabled",
        MissingRequirementError, "the store refuses this user ({cause}): " + _KEYS,
    ),
    Known(
        r"(?:AccessControlException|FileNotFoundException|IOException|ExitCodeException)?[^\n]*?(?:file:)?(/\S*?)[ :(]+"
        r"Permission denied",
        MissingRequirementError, "{0} may not be read or written: " + RIGHTS,
    ),
    Known(r"Permission denied", MissingRequirementError, "a file may not be read or written ({cause}): " + RIGHTS),
    Known(
        r"UnknownHostException|failed to lookup address|Could not resolve host|Name or service not known|"
        r"Connection refused|Connection reset|NETWORK_CONNECTION|dns error|NoRouteToHost|ConnectTimeout|timed out",
        MissingRequirementError, "a server does not answer ({cause}): check its name, its port and the network",
    ),
    Known(
        r"Answer from Java side is empty|Error while sending or receiving|JVM (?:is|was) not",
        MissingRequirementError,
        "Spark's JVM has ended, mostly for lack of memory{log}: start the same command again; it continues",
    ),
    Known(
        r"StatusCode\.UNAVAILABLE|RETRIES_EXCEEDED|SESSION_CLOSED|INVALID_HANDLE", MissingRequirementError,
        "the server of Spark Connect has gone ({cause}): start it again, then the same command; it continues",
    ),
    Known(
        r"NOT_SUPPORTED_WITH_SERVERLESS\]([^\n]*)", MissingRequirementError,
        "serverless compute refuses a step ({0}): report it as a fault of cdp-spark",
    ),
)  # fmt: skip
