"""What a first run spends on compiling kernels: ``python -m benchmarks.cold_start [--warm] [--functions]``.

Each command runs in a process of its own, over the glyphs that come with the package, by the embedded engine and with
an empty cache of compiled functions; with ``--warm`` after ``cdp_spark.warm`` has filled it. Seconds of compiling are
CPU seconds of the threads that compile, nested functions counted once. The last line is one line of JSON.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
import threading
import time
from collections import defaultdict
from typing import Any

from cdp_spark.datasets.demo import WAYS, command

KINDS = {
    "vote": WAYS["vote"][1],
    "mediator": WAYS["mediator"][1],
    "learned": WAYS["no threshold"][1],
    "contraction": [*WAYS["no threshold"][1], "clusters.rule=contraction"],
    "shards": [*WAYS["vote"][1], "knn.exact_below=1000", "knn.shard_items=2500"],
}


def main() -> None:
    """Run all commands, or, in a process of their own, one."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=list(KINDS))
    parser.add_argument("--warm", action="store_true", help="fill the cache before")
    parser.add_argument("--functions", action="store_true", help="list what each function took")
    parser.add_argument("--child", nargs=2, metavar=("KIND", "FOLDER"), help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.child:
        _child(*options.child)
        return
    print(f"{'command':<14}{'wall s':>8}{'compiling s':>13}{'signatures':>12}")
    print(json.dumps({kind: _shown(kind, options.warm, options.functions) for kind in options.kinds}))


def _shown(kind: str, warm: bool, functions: bool) -> dict[str, float]:
    """Run one command and print its line; return the figures."""
    with tempfile.TemporaryDirectory() as folder:
        environment = {**os.environ, "NUMBA_CACHE_DIR": f"{folder}/numba"}
        if warm:
            subprocess.run([sys.executable, "-m", "cdp_spark.warm"], env=environment, check=True)
        words = [sys.executable, "-m", "benchmarks.cold_start", "--child", kind, folder]
        done = subprocess.run(words, env=environment, stdout=subprocess.PIPE, check=True, text=True)
        found = json.loads(done.stdout.splitlines()[-1])
    total = sum(seconds for seconds, _, _ in found["compiled"])
    print(f"{kind:<14}{found['wall']:8.1f}{total:13.2f}{len(found['compiled']):12}")
    if functions:
        by_name: dict[str, list[float]] = defaultdict(list)
        for seconds, name, _ in found["compiled"]:
            by_name[name].append(seconds)
        for name, each in sorted(by_name.items(), key=lambda item: -sum(item[1])):
            print(f"    {sum(each):6.2f} s  {len(each)} x {name}")
    return {
        "wall_seconds": round(found["wall"], 2),
        "compile_cpu_seconds": round(total, 2),
        "signatures": len(found["compiled"]),
    }


def _child(kind: str, folder: str) -> None:
    compiled = _listen()
    from cdp_spark.cli import main as cdp_spark

    started = time.perf_counter()
    code = cdp_spark([*command(f"{folder}/run", KINDS[kind]), "--engine", "sail"])
    wall = time.perf_counter() - started
    sys.stdout.write(f"\n{json.dumps({'wall': wall, 'compiled': compiled})}\n")
    sys.stdout.flush()
    os._exit(code)


def _listen() -> list[tuple[float, str, str]]:
    """Return a list that grows by seconds, name and types of each function that is compiled."""
    from numba.core import event

    found: list[tuple[float, str, str]] = []
    held = threading.local()

    class Listener(event.Listener):  # type: ignore[misc]
        def on_start(self, event: Any) -> None:
            held.open = [*getattr(held, "open", []), [time.thread_time(), 0.0]]

        def on_end(self, event: Any) -> None:
            started, inner = held.open.pop()
            took = time.thread_time() - started
            if held.open:
                held.open[-1][1] += took
            function = event.data["dispatcher"].py_func
            found.append((took - inner, f"{function.__module__}.{function.__name__}", str(event.data["args"])))

    event.register("numba:compile", Listener())
    return found


if __name__ == "__main__":
    main()
