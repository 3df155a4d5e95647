"""Format an explanation for the terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from cdp_spark.evidence.flow import Explanation
from cdp_spark.evidence.pair_evidence import Pair

_GROUPS = {
    "relationship": ("edge", "edge in"),
    "affinity": ("cosine", "cosine by"),
    "structure": ("common", "share of common neighbours by"),
}
"""Column head of each group of features, and its name in the legend above the table."""

_TERMS = {
    "joint_similarity": "joint", "log_odds": "log odds", "mediator": "mediator", "shift": "shift",
    "self_training": "self-training", "granularity": "granularity",
}  # fmt: skip
"""Without labels: heads of the columns with the terms of a score."""

_SHOWN_ENDS = 10


def text(explanation: Explanation) -> str:
    """Format an explanation: the verdict, then a row per pair."""
    lines = [explanation.verdict]
    if explanation.path:
        weakest = min(range(len(explanation.path)), key=lambda step: explanation.path[step].score or 0.0)
        count = len(explanation.path)
        lines += ["", f"strongest path, {count} pair{'s' if count > 1 else ''}:"]
        lines += _table([(f"{pair.src} – {pair.dst}", pair) for pair in explanation.path], weakest)
    if explanation.neighbors:
        lines += ["", "its edges:"]
        lines += _table([(_other(explanation, pair), pair) for pair in explanation.neighbors], None)
    return "\n".join(lines)


def _other(explanation: Explanation, pair: Pair) -> str:
    here = "same cluster" if pair.dst_cluster == explanation.a.cluster >= 0 else f"cluster {pair.dst_cluster}"
    return f"{pair.dst} ({here if pair.dst_cluster >= 0 else 'no cluster'})"


def _table(rows: Sequence[tuple[str, Pair]], weakest: int | None) -> list[str]:
    groups = _groups(list(rows[0][1].features))
    terms = [name for name in _TERMS if any(pair.terms.get(name) is not None for _, pair in rows)]
    head = ["", "score", *(_TERMS[name] for name in terms), *(_GROUPS[group][0] for group in groups), ""]
    body = [[name, *_cells(pair, groups, terms), _note(pair, row == weakest)] for row, (name, pair) in enumerate(rows)]
    if weakest is not None:
        body = _folded(body, weakest)
    widths = [max(len(row[column]) for row in [head, *body]) for column in range(len(head))]
    return [
        *([_made_of(terms)] if "log_odds" in terms else []),
        _legend(groups),
        *(_line(row, widths) for row in [head, *body]),
    ]


def _line(row: Sequence[str], widths: Sequence[int]) -> str:
    first, *middle, last = row
    cells = [first.ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(middle, widths[1:-1], strict=True))]
    return "  ".join([*cells, last]).rstrip()


def _groups(names: Sequence[str]) -> dict[str, dict[str, str]]:
    """Choose the features to show by model: edge, cosine and common neighbours.

    >>> _groups(["relationship.b", "affinity.a", "affinity.b", "affinity.over_models.mean", "structure.a.shared"])
    {'relationship': {'b': 'relationship.b'}, 'affinity': {'a': 'affinity.a', 'b': 'affinity.b'}, \
'structure': {'a': 'structure.a.shared'}}
    """
    affinity = [name.removeprefix("affinity.") for name in names if name.startswith("affinity.")]
    models = [model for model in affinity if not model.startswith("over_models.")]
    chosen: dict[str, dict[str, str]] = {}
    for group in _GROUPS:
        for model in models:
            for name in (f"{group}.{model}", f"{group}.{model}.shared"):
                if name in names:
                    chosen.setdefault(group, {})[model] = name
    return chosen


def _legend(groups: Mapping[str, Mapping[str, str]]) -> str:
    """Name the models of each group in the order of its figures.

    >>> _legend({"relationship": {"b": "", "c": ""}, "structure": {"a": ""}})
    'edge in b, c; share of common neighbours by a'
    """
    return "; ".join(f"{_GROUPS[group][1]} {', '.join(models)}" for group, models in groups.items())


def _made_of(terms: Sequence[str]) -> str:
    """Explain how the terms add up to the log odds of the score.

    >>> _made_of(["log_odds", "mediator", "shift"])
    'log odds of the score: mediator + shift'
    """
    made = "mediator + shift"
    if "self_training" in terms:
        made = f"the mean of {made} and self-training"
    return f"log odds of the score: {made}{', plus granularity' if 'granularity' in terms else ''}"


def _cells(pair: Pair, groups: Mapping[str, Mapping[str, str]], terms: Sequence[str]) -> list[str]:
    score = "–" if pair.score is None else f"{pair.score:.3f}"
    figures = (
        " ".join(_value(group, pair.features[name]) for name in models.values()) for group, models in groups.items()
    )
    return [score, *(_term(pair.terms.get(name)) for name in terms), *figures]


def _term(value: float | None) -> str:
    return "–" if value is None else f"{value:+.2f}"


def _value(group: str, value: float) -> str:
    """Format a figure; all figures of a group are equally wide.

    >>> _value("relationship", 1.0), _value("relationship", 0.0)
    ('yes', ' no')
    >>> _value("affinity", 0.5), _value("affinity", -0.25), _value("affinity", 1)
    (' .500', '-.250', '1.000')
    """
    if group == "relationship":
        return "yes" if value else " no"
    return f"{value:.3f}".replace("0.", ".", 1).rjust(5) if abs(value) < 1 else f"{value:.3f}"


def _note(pair: Pair, weakest: bool) -> str:
    notes = ("" if pair.why == "kept" else pair.why, "<- weakest" if weakest else "")
    return " ".join(note for note in notes if note)


def _folded(body: list[list[str]], weakest: int) -> list[list[str]]:
    """Leave out the middle of a long path, but keep its weakest pair."""
    shown = {*range(_SHOWN_ENDS), *range(len(body) - _SHOWN_ENDS, len(body)), weakest}
    folded, left_out = [], 0
    for number, row in enumerate(body):
        if number in shown:
            if left_out:
                folded.append([f"... {left_out} more", *[""] * (len(row) - 1)])
            folded.append(row)
            left_out = 0
        else:
            left_out += 1
    return folded
