"""Translate errors of engines, JVMs, file systems and the operating system into our own line and exit code.

Errors of engines come in many classes (PySpark's, py4j's, gRPC's, Arrow's), with the cause somewhere in a stack. The
table ``known_causes.KNOWN`` recognises causes by patterns, regardless of the class, and says what to do. The first
match counts.
"""

from __future__ import annotations

import errno
import re
from pathlib import Path
from traceback import walk_tb

from cdp_spark.base.errors import CdpError, InputError, MissingRequirementError
from cdp_spark.base.known_causes import FILE_TOO_LARGE, KNOWN, LIMITS, RIGHTS, TOO_MANY_FILES, Known
from cdp_spark.base.messages import one_line

_MUST_BE_MENDED = {
    errno.EACCES: RIGHTS, errno.EPERM: RIGHTS, errno.EROFS: RIGHTS, errno.EIO: "look at the disk, or take another",
    errno.EMFILE: TOO_MANY_FILES, errno.ENFILE: TOO_MANY_FILES, errno.EFBIG: FILE_TOO_LARGE, errno.ENOMEM: LIMITS,
}  # fmt: skip
_NO_ROOM = (errno.ENOSPC, errno.EDQUOT)
_WRONG_PATH = (errno.ENOENT, errno.ENOTDIR, errno.EISDIR, errno.ELOOP, errno.ENAMETOOLONG)
_ENGINES = ("pyspark.", "py4j.", "grpc", "pyarrow.")
_DISTRIBUTIONS = {"faiss": "faiss-cpu", "PIL": "pillow", "yaml": "PyYAML"}
_MISFIT = r"may indicate binary incompatibility|compiled using NumPy 1\.x|numpy\.core\.multiarray failed"
_CLASS = r"(?:[a-z_]\w*\.)+[A-Z]\w*(?:\$\w+)*"
_SIGNS_OF_WORKERS = (
    r"\[PYTHON_VERSION_MISMATCH\][^\n]*",
    r"Cannot run program [^\n]*",
    r"(?:/\S+: )?Error while finding module specification for[^\n]*",
    r"/\S+: No module named [^\n]*",
    r"(?m)^(?:\w+\.)*\w*(?:Error|Exception): [^\n]*",
)


def translated(error: BaseException, log: str | None = None) -> CdpError | None:
    """Return our own error for a failure outside this package, or None if it may be our fault.

    Parameters
    ----------
    error : BaseException
    log : str, optional
        File that the JVM writes to.

    Examples
    --------
    >>> translated(PermissionError(13, "Permission denied", "faces.parquet"))
    MissingRequirementError('faces.parquet: Permission denied: give this user the right to, or choose another place')
    >>> translated(KeyError("id")) is None
    True
    """
    if isinstance(error, MemoryError):
        return MissingRequirementError("this process has run out of memory: use fewer cores or a larger machine")
    if isinstance(error, ImportError) and not (error.name or "").startswith("cdp_spark"):
        return missing_package(error)
    if re.search(_MISFIT, str(error)):
        return MissingRequirementError(
            f"a package does not go with this NumPy ({one_line(str(error), 150)}): install it again; cdp-spark "
            "doctor names it"
        )
    if isinstance(error, UnicodeEncodeError):
        return MissingRequirementError(
            f"a path has signs that this locale cannot name ({error.reason}): set LC_ALL=C.UTF-8 and unset PYTHONUTF8, "
            "or rename it"
        )
    if isinstance(error, ConnectionError) and _raised_in(error, "py4j"):
        return _of(next(known for known in KNOWN if known.words.startswith("Answer from")), "", log)
    if isinstance(error, OSError) and error.errno is not None and error.filename is not None:
        return _of_system(error)
    if not _from_outside(error):
        return None
    text = whole_text(error)
    return next((_of(known, text, log) for known in KNOWN if re.search(known.words, text)), None)


def source_refused(error: Exception, where: str, engine: str, doing: str = "read") -> CdpError:
    """Explain in one line why a table cannot be opened: a known cause in the environment, else the table's own fault.

    Parameters
    ----------
    error : Exception
    where : str
        The opened thing, such as ``model v3: faces/v3``.
    engine : str
        How messages name the engine.
    doing : str
        The attempted action.
    """
    known = translated(error)
    if known is not None:
        return type(known)(one_line(f"{where}: {known}"))
    return InputError(one_line(f"{where}: {engine} cannot {doing} it: {cause_of(whole_text(error))}"))


def missing_package(error: ImportError) -> MissingRequirementError:
    """Say how to get a package that does not import.

    >>> print(missing_package(ModuleNotFoundError("No module named 'pyspark'", name="pyspark")))
    no engine is installed: pip install 'cdp-spark[local]', which needs no Java, or 'cdp-spark[spark]'
    """
    package = (error.name or "").split(".")[0]
    if re.search("failed to map segment|[Cc]annot allocate memory", str(error)):
        return MissingRequirementError(f"there is no memory to load a package ({one_line(str(error), 150)}): {LIMITS}")
    if package in ("pyspark", "pysail", "grpc", "py4j"):
        return MissingRequirementError(
            "no engine is installed: pip install 'cdp-spark[local]', which needs no Java, or 'cdp-spark[spark]'"
        )
    why = one_line(str(error) or type(error).__name__, 150)
    if package == "numpy":
        return MissingRequirementError(f"NumPy is too old or damaged ({why}): pip install 'numpy>=1.26.1,<3'")
    names = " ".join(filter(None, ("cdp-spark", _DISTRIBUTIONS.get(package, package))))
    return MissingRequirementError(
        f"a package does not import ({why}): pip install --upgrade --force-reinstall {names}; 'cdp-spark doctor' "
        "checks all"
    )


def whole_text(error: BaseException) -> str:
    """Return the whole text of an engine's error: its message, and the JVM's stack with the causes."""
    return "\n".join(filter(None, (str(error), str(getattr(error, "_stackTrace", "") or ""))))


def cause_of(text: str) -> str:
    """Return the line of a message or a JVM's stack with the cause, without class names.

    >>> cause_of("An error occurred while calling o8.load.\\n: java.lang.Error: java.io.IOException: torn\\n")
    'torn'
    >>> cause_of("  [PATH_NOT_FOUND] Path does not exist: file:/a. SQLSTATE: 42K03\\nmore")
    '[PATH_NOT_FOUND] Path does not exist: file:/a'
    """
    if condition := re.search(r"\[[A-Z][A-Z_]+(?:\.[A-Z_]+)?\] [^\n]*", text):
        return re.sub(r"\.? SQLSTATE: .*", "", condition.group()).rstrip(". ")
    if text.lstrip().startswith("An exception was thrown from the Python worker"):
        raised = re.findall(r"(?m)^(?:\w+\.)*\w+(?:Error|Exception|Exit)\b[^\n]*", text)
        return raised[-1] if raised else "a worker's function failed"
    causes = re.findall(rf"(?m)^(?:Caused by: |: ){_CLASS}: (\S[^\n]*)", text)
    lines = [line.strip() for line in text.splitlines() if line.strip() and not line.startswith("An error occurred")]
    line = causes[-1] if causes else lines[0] if lines else "no reason given"
    return re.sub(rf"^(?:{_CLASS}: )+", "", line.strip()).rstrip(".")


def worker_failure(text: str) -> str:
    """Say which worker failed, and why, from Spark's message.

    >>> worker_failure('Lost task 0.3 in stage 0.0 (TID 3) (10.0.0.5 executor 1): java.io.IOException: '
    ...                'Cannot run program "python3.12": error=2, No such file or directory')
    'worker on 10.0.0.5 (executor 1): Cannot run program "python3.12": error=2, No such file or directory'
    """
    executor = re.search(r"\(TID \d+\) \((\S+) executor (\S+)\)", text)
    matches = (re.search(pattern, text) for pattern in _SIGNS_OF_WORKERS)
    reason = next(
        (match.group().strip() for match in matches if match), (text.strip().splitlines() or ["no answer"])[0]
    )
    return (
        f"worker on {executor.group(1)} (executor {executor.group(2)}): {reason}" if executor else f"workers: {reason}"
    )


def _of(known: Known, text: str, log: str | None) -> CdpError:
    match = re.search(known.words, text)
    groups = [group for group in match.groups() if group] if match else []
    first = groups[0].strip() if groups else ""
    line = known.line.format(
        first, name=Path(first).name, cause=one_line(cause_of(text), 150), worker=one_line(worker_failure(text), 200),
        hadoop=_hadoop_version(), log=f" ({log})" if log else "",
    )  # fmt: skip
    return known.kind(one_line(line))


def _of_system(error: OSError) -> CdpError | None:
    what = f"{error.filename}: {error.strerror}"
    if error.errno in _NO_ROOM:
        return MissingRequirementError(f"{what}: free some room, then start the same command again; it continues")
    if error.errno in _MUST_BE_MENDED:
        return MissingRequirementError(f"{what}: {_MUST_BE_MENDED[error.errno]}")
    return InputError(f"{what}: check the path") if error.errno in _WRONG_PATH else None


def _from_outside(error: BaseException) -> bool:
    """Return whether an engine, gRPC or Arrow's file systems raised it; they also use Python's own classes."""
    return _module(error).startswith(_ENGINES) or isinstance(error, (OSError, RuntimeError))


def _raised_in(error: BaseException, package: str) -> bool:
    """Return whether an error came through a package's code."""
    return any(
        str(frame.f_globals.get("__name__", "")).startswith(package) for frame, _ in walk_tb(error.__traceback__)
    )


def _module(error: BaseException) -> str:
    return type(error).__module__


def _hadoop_version() -> str:
    """Return the Hadoop release of the installed PySpark."""
    try:
        import pyspark
    except ImportError:
        return "VERSION"
    jars = Path(pyspark.__file__).parent.glob("jars/hadoop-client-api-*.jar")
    return next((jar.stem.rpartition("-")[2] for jar in jars), "VERSION")
