"""Start a JVM whose output goes to a file: stdout is for results, stderr for progress and our own line.

Otherwise Spark's warnings, Ivy's downloads and the JVM's messages would reach both. If a session does not start, the
reason is read from that file.
"""

from __future__ import annotations

import importlib
import os
import re
import sys
import tempfile
import threading
import time
from collections.abc import Callable, Mapping
from functools import partial
from pathlib import Path
from typing import Any

from cdp_spark.base.errors import MissingRequirementError
from cdp_spark.base.messages import one_line
from cdp_spark.base.refusals import cause_of, whole_text
from cdp_spark.spark.jvm_start import JvmEndedError, launched, seconds_for

OPTIONS = "spark.driver.extraJavaOptions"
_CONFIG = """rootLogger.level = warn
rootLogger.appenderRef.file.ref = file
appender.file.type = File
appender.file.name = file
appender.file.fileName = {log}
appender.file.layout.type = PatternLayout
appender.file.layout.pattern = %d{{yyyy-MM-dd HH:mm:ss}} %p %c{{1}}: %m%n%ex
"""
_HINTS = {
    "no jar has the class": "name its package in spark.jars.packages, or leave out the setting that asks for it",
    "must be at least": "give Spark more, such as --conf spark.driver.memory=4g",
    "INVALID_CONF_VALUE|should be between|must be >": "give that setting another value, or leave it out",
    "heap|memory|NumberFormatException|Size must be": "write sizes with a unit, such as --conf spark.driver.memory=4g",
    "Master must|Could not parse Master|Asked to run locally": (
        "--master takes local[4], local[*], spark://HOST:PORT, sc://HOST:PORT, yarn or k8s://https://HOST:PORT"
    ),
    "HADOOP_CONF_DIR": "set HADOOP_CONF_DIR to the folder with the cluster's yarn-site.xml and core-site.xml",
    "unresolved dependency|Maven Coordinates|download failed": (
        "check the coordinates of spark.jars.packages, and that Maven Central or spark.jars.repositories answers"
    ),
    "[Kk]ubernetes|container image": "look at the cluster's address and the settings spark.kubernetes.*",
    "masters are unresponsive": "start the master, or name another one with --master",
    "Could not find or load main class|Error loading java.security|bad array subscript": (
        "set LC_ALL=C.UTF-8 where the path has letters beyond ASCII, or set JAVA_HOME to another Java 17 or 21"
    ),
    "[Cc]reate (?:any )?(?:local dir|directory)|spark.local.dir": (
        "set --conf spark.local.dir to a folder that this user may write"
    ),
    "Address already in use": "another program has that port: choose another one, or leave the setting out",
    "assign requested address|failed after \\d+ retries": (
        "unset SPARK_LOCAL_IP and spark.driver.bindAddress, or set them to 127.0.0.1"
    ),
    "(?:bash|sh|java)\\W+: No such file|command not found": "put the folder of bash, such as /usr/bin, on PATH",
    "JavaPackage|SPARK_HOME|spark-submit": "unset SPARK_HOME: PySpark brings a Spark of its own version",
}
"""What to do, by patterns of the cause; the first match counts."""
_NOISE = (
    r"WARNING: (?:Using incubator|sun\.misc|A (?:restricted|terminally)|Please consider|Use --|package )",
    r"Picked up (?:_?JAVA|JDK)", r"(?:\d\d:){2}\d\d (?:WARN|INFO)", r"\d{4}-\d\d-\d\d .{9}(?:WARN|INFO)", r"\s+at ",
    r"Using Spark's default log4j", r"Setting default log level", r"To adjust logging level", r":: ", r"# *$",
)  # fmt: skip
_REASONS = (
    r'Exception in thread "[^"]*" (.+)',
    r"(Invalid maximum heap size.+|Unrecognized VM option.+|Unrecognized option.+|Too small maximum heap.*)",
    r"(There is insufficient memory.+|Could not reserve enough space.+|Initial heap size set to a larger.+)",
    r".*ERROR \S+: ((?:Failed|Error|Cannot|Could not) .+)",
    r"Error: (?!Could not create the Java|A fatal exception|A JNI error)(.+)",
)
_SHAPING = (
    "SPARK_HOME", "SPARK_CONF_DIR", "PYSPARK_SUBMIT_ARGS", "SPARK_SUBMIT_OPTS", "JAVA_TOOL_OPTIONS", "JDK_JAVA_OPTIONS",
    "_JAVA_OPTIONS",
)  # fmt: skip
"""Variables of the environment from which a JVM takes options; where it ends without a reason that we know."""
_OPTION = "[Oo]ption|quotation|GATEWAY_EXITED|[Uu]sage|[Cc]lass|[Ii]nvalid|heap"
"""Signs of a cause that an option of the JVM's or Spark's may have."""
_SIGNS_OF_THE_END = ("JAVA_GATEWAY_EXITED", "Answer from Java", "Error while sending or receiving")
_ENDED = (ConnectionError, JvmEndedError)
_files: list[Path] = []


def output() -> str | None:
    """Return the file with the output of this process's JVM and Spark's log, or None."""
    return str(_files[-1]) if _files and _files[-1].exists() else None


def logged(settings: Mapping[str, str]) -> dict[str, str]:
    """Return settings that make Spark log to the file; a user's own logging stays.

    >>> logged({OPTIONS: "-Dlog4j2.configurationFile=mine"})
    {'spark.driver.extraJavaOptions': '-Dlog4j2.configurationFile=mine'}
    """
    options = settings.get(OPTIONS, "")
    if "log4j" in options:
        return dict(settings)
    log = _file()
    config = log.with_name("log4j2.properties")
    config.write_text(_CONFIG.format(log=log.as_posix()), encoding="utf-8")
    return {**settings, OPTIONS: f"{options} -Dlog4j2.configurationFile={config}".strip()}


def start(master: str, settings: Mapping[str, str]) -> None:
    """Start the JVM for the next session of this process, unless there is one already.

    Raises
    ------
    MissingRequirementError
        If it does not start: one line with its message, and what to do.
    """
    from pyspark import SparkConf, SparkContext

    if getattr(SparkContext, "_gateway", None) is not None or "PYSPARK_GATEWAY_PORT" in os.environ:
        return
    _check_home()
    _check_user()
    conf = SparkConf(loadDefaults=False).setMaster(master).setAll(list(settings.items()))
    said = _file()
    with said.open("ab") as file:
        try:
            launch = partial(_launcher(), conf, {"stdout": file, "stderr": file})
            gateway = launched(launch, seconds_for(settings))
            _check_sql_settings(gateway.jvm, settings)
        except MissingRequirementError:
            raise
        except Exception as error:
            raise refused(error, settings) from None
    setattr(SparkContext, "_gateway", gateway)  # noqa: B010
    setattr(SparkContext, "_jvm", gateway.jvm)  # noqa: B010
    if "log4j" in settings.get(OPTIONS, "") and str(said.parent) not in settings.get(OPTIONS, ""):
        threading.Thread(target=_follow, args=(said,), daemon=True).start()


def _check_sql_settings(jvm: Any, settings: Mapping[str, str]) -> None:
    """Let Spark parse the values of SQL's settings: once a session has a wrong one, PySpark's errors never end.

    To describe an error PySpark 4.1 asks for a setting, which fails by the same value, which is an error to describe.
    """
    parsed = jvm.org.apache.spark.sql.internal.SQLConf()
    for key, value in settings.items():
        if key.startswith("spark.sql."):
            parsed.setConfString(key, value)


def refused(error: BaseException, settings: Mapping[str, str]) -> MissingRequirementError:
    """Explain in one line why a session did not start.

    Parameters
    ----------
    error : BaseException
        Error from PySpark, which for an ended JVM says only that it ended.
    settings : mapping of str to str
        Settings of the session, which the line may quote.
    """
    text = whole_text(error)
    ended = isinstance(error, _ENDED) or any(sign in text for sign in _SIGNS_OF_THE_END)
    cause = (_reason() if ended else None) or _lacking(text) or cause_of(text)
    hint = next((way for words, way in _HINTS.items() if re.search(words, f"{cause}\n{text}")), None)
    if ended and (options := re.sub(r"-Dlog4j2\.configurationFile=\S+", "", settings.get(OPTIONS, "")).strip()):
        hint = f"look at {OPTIONS} ({one_line(options, 60)})"
    memory = settings.get("spark.driver.memory")
    if (
        hint is None
        and ended
        and re.search(_OPTION, cause)
        and (shaping := [name for name in _SHAPING if os.environ.get(name)])
    ):
        hint = f"look at {', '.join(shaping)}, or unset {'it' if len(shaping) == 1 else 'them'}"
    if memory is not None and re.search("[Hh]eap|[Ss]ystem memory", cause):
        cause = f"{cause} (spark.driver.memory is {memory})"
    default = (
        "cdp-spark doctor says what is missing" if ended else "change the setting behind it (--conf, spark-defaults)"
    )
    kept = f"; {output()} has more" if output() else ""
    return MissingRequirementError(f"Spark does not start: {one_line(cause, 170)}: {hint or default}{kept}")


def _lacking(text: str) -> str | None:
    """Name the class that a setting asks for and no jar has; Java's message is only its name."""
    match = re.search(r"(?:ClassNotFoundException|NoClassDefFoundError): (\S+)", text)
    return f"no jar has the class {match.group(1).replace('/', '.')}" if match else None


def _check_user() -> None:
    """Refuse a user id without a name at once: Hadoop's log-in would refuse it later, and no setting replaces it."""
    if sys.platform == "win32":
        return
    import pwd

    try:
        pwd.getpwuid(os.geteuid())
    except KeyError:
        raise MissingRequirementError(
            f"the user id {os.geteuid()} has no name, which Hadoop inside Spark needs: add a line for it to "
            "/etc/passwd, or use --engine sail"
        ) from None


def _launcher() -> Callable[..., Any]:
    """Return PySpark's function that starts a JVM; it has no types."""
    launch: Callable[..., Any] = importlib.import_module("pyspark.java_gateway").launch_gateway
    return launch


def _check_home() -> None:
    home = os.environ.get("SPARK_HOME")
    if home and not Path(home, "bin", "spark-submit").exists():
        raise MissingRequirementError(
            f"SPARK_HOME is {home}, which holds no Spark: unset it, or set it to the folder that has bin/spark-submit"
        )


def _reason() -> str | None:
    """Find the line of the file that says why the JVM ended."""
    text = Path(log).read_text(encoding="utf-8", errors="replace") if (log := output()) else ""
    lines = [line for line in text.splitlines() if line.strip() and not any(re.match(sign, line) for sign in _NOISE)]
    for pattern in _REASONS:
        for line in lines:
            if match := re.match(pattern, line):
                return cause_of(f": {match.group(1)}" if re.match(r"[\w.$]+: ", match.group(1)) else match.group(1))
    return lines[-1].strip() if lines else None


def _file() -> Path:
    """Return the file of this process, in a private folder; a forked process gets another."""
    if not _files or not _files[-1].parent.exists() or not _files[-1].parent.name.endswith(f"-{os.getpid()}"):
        _files.append(Path(tempfile.mkdtemp(prefix="cdp-spark-", suffix=f"-{os.getpid()}"), "spark.log"))
    return _files[-1]


def _follow(file: Path) -> None:
    """Copy the JVM's output to stderr, for users with their own logging."""
    with file.open(encoding="utf-8", errors="replace") as lines:
        while True:
            if line := lines.readline():
                sys.stderr.write(line)
            else:
                time.sleep(0.2)
