"""Run a benchmark and keep its figures: one line more in ``benchmarks/history.jsonl``.

    python -m benchmarks.history -m benchmarks.cold_start --kinds vote
    python -m benchmarks.history --figures run_seconds benchmarks/engines.py --works demo --output runs/engines

A line holds the benchmark's last line of JSON as flat figures, its command, the date, the commit, versions, and the
class of the machine; no name of a host and no path outside the checkout. ``docs/history_page.py`` draws them.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import subprocess
import sys
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from cdp_spark.base.versions import installed_versions

HISTORY = Path(__file__).with_name("history.jsonl")
PACKAGES = ("cdp-spark", "numpy", "numba", "faiss-cpu", "pyarrow", "pysail", "pyspark", "pyspark-client")


def main() -> None:
    """Run the benchmark that the words name, and append what it has measured."""
    options = arguments()
    words = options.benchmark
    figures = dict(flat(measured(words)))
    kept = {name: value for name, value in figures.items() if re.search(options.figures, name)}
    if not kept:
        raise SystemExit(f"no figure fits {options.figures}: it has {', '.join(figures)}")
    line = {
        "benchmark": name_of(words), "command": shown(words), "date": time.strftime("%Y-%m-%d", time.gmtime()),
        "commit": commit(), "versions": installed_versions(PACKAGES), "machine": machine(), "figures": kept,
    }  # fmt: skip
    with options.file.open("a", encoding="utf-8") as file:
        file.write(f"{json.dumps(line)}\n")


def measured(words: Sequence[str]) -> Any:
    """Run a script or module, let its lines through, and return the last one as it was meant: JSON."""
    last = ""
    with subprocess.Popen([sys.executable, *words], stdout=subprocess.PIPE, text=True) as process:
        for line in process.stdout or ():
            print(line, end="", flush=True)
            last = line.strip() or last
    if process.returncode:
        raise SystemExit(f"{shown(words)} ended with {process.returncode}: nothing is kept")
    try:
        return json.loads(last)
    except ValueError:
        raise SystemExit(f"{shown(words)} printed no JSON last: nothing is kept") from None


def flat(found: Any, name: str = "") -> Iterator[tuple[str, float]]:
    """Yield numbers by their place.

    >>> dict(flat({"demo": {"seconds": 2.5, "rows": [1, None], "same": True}}))
    {'demo.seconds': 2.5, 'demo.rows.0': 1}
    """
    steps = found.items() if isinstance(found, dict) else enumerate(found) if isinstance(found, list) else ()
    for step, value in steps:
        yield from flat(value, f"{name}.{step}".lstrip("."))
    if isinstance(found, (int, float)) and not isinstance(found, bool):
        yield name, found


def name_of(words: Sequence[str]) -> str:
    """Return the benchmark's name.

    >>> name_of(["-m", "benchmarks.cold_start"]), name_of(["benchmarks/engines.py", "--works", "demo"])
    ('cold_start', 'engines')
    """
    first = next(word for word in words if not word.startswith("-"))
    return Path(first).stem if first.endswith(".py") else first.rpartition(".")[2]


def shown(words: Sequence[str]) -> str:
    """Return the command as others would type it: of an absolute path the last name alone.

    >>> shown(["benchmarks/quality.py", "--data", "/home/ann/sets/lfw"])
    'python benchmarks/quality.py --data .../lfw'
    """
    return " ".join(["python", *(f".../{Path(word).name}" if os.path.isabs(word) else word for word in words)])


def commit() -> str:
    """Return the commit, with a + where files of the checkout differ from it."""

    def git(*words: str) -> str:
        done = subprocess.run(["git", *words], cwd=HISTORY.parent, capture_output=True, text=True, check=True)
        return done.stdout.strip()

    changed = [
        line for line in git("status", "--porcelain", "--untracked-files=no").splitlines() if "history" not in line
    ]
    return git("rev-parse", "--short=10", "HEAD") + ("+" if changed else "")


def machine() -> str:
    """Return the class of this machine, such as ``2 cores, 23 GiB, x86_64``."""
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    return f"{os.cpu_count()} cores, {memory:.0f} GiB, {platform.machine()}"


def arguments() -> argparse.Namespace:
    """Read the options; all words from the benchmark on are its own."""
    given = sys.argv[1:]
    start = next((at for at, word in enumerate(given) if word == "-m" or word.endswith(".py")), len(given))
    parser = argparse.ArgumentParser(
        description=__doc__.partition("\n")[0], usage="%(prog)s [options] SCRIPT | -m MODULE [its options]"
    )
    parser.add_argument("--figures", default="", metavar="PATTERN", help="keep those whose name has this pattern")
    parser.add_argument("--file", type=Path, default=HISTORY, help="append to this file")
    options = parser.parse_args(given[:start])
    if start == len(given):
        parser.error("name a benchmark, such as -m benchmarks.cold_start")
    options.benchmark = given[start:]
    return options


if __name__ == "__main__":
    main()
