"""An explanation -> text for people."""

from __future__ import annotations

from collections.abc import Sequence

from cdp_spark.tasks.evidence import Pair
from cdp_spark.tasks.explain import Explanation

_SHORT = {"relationship": "edge", "affinity": "cosine", "structure": "common"}
_SHOWN_ENDS = 10
_MOST_COLUMNS = 20


def text(found: Explanation) -> str:
    """Write an explanation as lines: the verdict, then a row per pair.

    Parameters
    ----------
    found : Explanation
    """
    lines = [found.verdict]
    if found.path:
        weakest = min(range(len(found.path)), key=lambda place: found.path[place].score or 0.0)
        count = len(found.path)
        lines += ["", f"strongest path, {count} pair{'s' if count > 1 else ''}:"]
        lines += _table([(f"{pair.src} – {pair.dst}", pair) for pair in found.path], weakest)
    if found.neighbors:
        lines += ["", "its edges:"]
        lines += _table([(_other(found, pair), pair) for pair in found.neighbors], None)
    return "\n".join(lines)


def _other(found: Explanation, pair: Pair) -> str:
    here = "same cluster" if pair.dst_cluster == found.a.cluster >= 0 else f"cluster {pair.dst_cluster}"
    return f"{pair.dst} ({here if pair.dst_cluster >= 0 else 'no cluster'})"


def _table(rows: Sequence[tuple[str, Pair]], weakest: int | None) -> list[str]:
    names = _shown(list(rows[0][1].features))
    head = ["", "score", *(_short(name) for name in names), ""]
    body = [[name, *_cells(pair, names), _note(pair, place == weakest)] for place, (name, pair) in enumerate(rows)]
    if weakest is not None:
        body = _folded(body, weakest)
    widths = [max(len(row[column]) for row in [head, *body]) for column in range(len(head))]
    return [_line(row, widths) for row in [head, *body]]


def _line(row: Sequence[str], widths: Sequence[int]) -> str:
    first, *middle, last = row
    cells = [first.ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(middle, widths[1:-1], strict=True))]
    return "  ".join([*cells, last]).rstrip()


def _shown(names: Sequence[str]) -> list[str]:
    """Choose, of many features, those that one reads at a glance: who has the edge, cosines, neighbours in common.

    >>> many = [f"structure.{m}.{name}" for m in "abcd" for name in ("shared", "overlap", "r1", "r2", "r3")]
    >>> _shown(["relationship.b", "affinity.a", "affinity.over_models.mean", *many])[:4]
    ['relationship.b', 'affinity.a', 'structure.a.shared', 'structure.b.shared']
    """
    if len(names) <= _MOST_COLUMNS:
        return list(names)
    groups = ("relationship.", "affinity.")
    of_models = [name for name in names if "over_models" not in name]
    return [name for name in of_models if name.startswith(groups) or name.endswith(".shared")]


def _cells(pair: Pair, names: Sequence[str]) -> list[str]:
    score = "–" if pair.score is None else f"{pair.score:.3f}"
    return [score, *(_value(name, pair.features[name]) for name in names)]


def _value(name: str, value: float) -> str:
    if name.startswith("relationship"):
        return "yes" if value else "no"
    return f"{value:.3f}"


def _short(name: str) -> str:
    """Name a column.

    >>> _short("affinity.v3"), _short("relationship.casia"), _short("structure.v3.mean_low")
    ('cosine v3', 'edge casia', 'common v3.mean_low')
    """
    group, rest = name.split(".", 1)
    return f"{_SHORT[group]} {rest}"


def _note(pair: Pair, weakest: bool) -> str:
    return " ".join(part for part in ("" if pair.why == "kept" else pair.why, "<- weakest" if weakest else "") if part)


def _folded(body: list[list[str]], weakest: int) -> list[list[str]]:
    """Leave out the middle of a long path, but not its weakest pair."""
    shown = {*range(_SHOWN_ENDS), *range(len(body) - _SHOWN_ENDS, len(body)), weakest}
    folded, left_out = [], 0
    for place, row in enumerate(body):
        if place in shown:
            if left_out:
                folded.append([f"... {left_out} more", *[""] * (len(row) - 1)])
            folded.append(row)
            left_out = 0
        else:
            left_out += 1
    return folded
