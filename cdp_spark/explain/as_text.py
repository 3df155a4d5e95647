"""An explanation -> text for people."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from cdp_spark.explain.flow import Explanation
from cdp_spark.explain.pair_evidence import Pair

_GROUPS = {
    "relationship": ("edge", "edge in"),
    "affinity": ("cosine", "cosine by"),
    "structure": ("common", "share of neighbours in common by"),
}
"""Of features: heads of their columns, and what the line above the table says of them."""

_TERMS = {
    "joint_similarity": "joint", "log_odds": "log odds", "mediator": "mediator", "shift": "shift",
    "self_training": "self-training", "granularity": "granularity",
}  # fmt: skip
"""Without labels: heads of the columns of what a score is made of."""

_SHOWN_ENDS = 10


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
    groups = _groups(list(rows[0][1].features))
    parts = [name for name in _TERMS if any(pair.terms.get(name) is not None for _, pair in rows)]
    head = ["", "score", *(_TERMS[name] for name in parts), *(_GROUPS[group][0] for group in groups), ""]
    body = [
        [name, *_cells(pair, groups, parts), _note(pair, place == weakest)] for place, (name, pair) in enumerate(rows)
    ]
    if weakest is not None:
        body = _folded(body, weakest)
    widths = [max(len(row[column]) for row in [head, *body]) for column in range(len(head))]
    return [
        *([_made_of(parts)] if "log_odds" in parts else []),
        _legend(groups),
        *(_line(row, widths) for row in [head, *body]),
    ]


def _line(row: Sequence[str], widths: Sequence[int]) -> str:
    first, *middle, last = row
    cells = [first.ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(middle, widths[1:-1], strict=True))]
    return "  ".join([*cells, last]).rstrip()


def _groups(names: Sequence[str]) -> dict[str, dict[str, str]]:
    """Choose, of many features, those that one reads at a glance: edge, cosine, neighbours in common; by model.

    >>> _groups(["relationship.b", "affinity.a", "affinity.b", "affinity.over_models.mean", "structure.a.shared"])
    {'relationship': {'b': 'relationship.b'}, 'affinity': {'a': 'affinity.a', 'b': 'affinity.b'}, \
'structure': {'a': 'structure.a.shared'}}
    """
    affinity = [name.removeprefix("affinity.") for name in names if name.startswith("affinity.")]
    models = [model for model in affinity if not model.startswith("over_models.")]
    found: dict[str, dict[str, str]] = {}
    for group in _GROUPS:
        for model in models:
            for name in (f"{group}.{model}", f"{group}.{model}.shared"):
                if name in names:
                    found.setdefault(group, {})[model] = name
    return found


def _legend(groups: Mapping[str, Mapping[str, str]]) -> str:
    """Say which models the figures of a group are of, in their order.

    >>> _legend({"relationship": {"b": "", "c": ""}, "structure": {"a": ""}})
    'edge in b, c; share of neighbours in common by a'
    """
    return "; ".join(f"{_GROUPS[group][1]} {', '.join(models)}" for group, models in groups.items())


def _made_of(parts: Sequence[str]) -> str:
    """Say how the terms make the log odds of the score.

    >>> _made_of(["log_odds", "mediator", "shift"])
    'log odds of the score: mediator + shift'
    """
    made = "mediator + shift"
    if "self_training" in parts:
        made = f"the mean of {made} and self-training"
    return f"log odds of the score: {made}{', plus granularity' if 'granularity' in parts else ''}"


def _cells(pair: Pair, groups: Mapping[str, Mapping[str, str]], parts: Sequence[str]) -> list[str]:
    score = "–" if pair.score is None else f"{pair.score:.3f}"
    figures = (
        " ".join(_value(group, pair.features[name]) for name in models.values()) for group, models in groups.items()
    )
    return [score, *(_term(pair.terms.get(name)) for name in parts), *figures]


def _term(value: float | None) -> str:
    return "–" if value is None else f"{value:+.2f}"


def _value(group: str, value: float) -> str:
    """Write a figure, all of a group equally wide.

    >>> _value("relationship", 1.0), _value("relationship", 0.0)
    ('yes', ' no')
    >>> _value("affinity", 0.5), _value("affinity", -0.25), _value("affinity", 1)
    (' .500', '-.250', '1.000')
    """
    if group == "relationship":
        return "yes" if value else " no"
    return f"{value:.3f}".replace("0.", ".", 1).rjust(5) if abs(value) < 1 else f"{value:.3f}"


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
