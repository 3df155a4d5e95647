"""Strategies of what a reader may meet: valid documents with parts replaced, and files with bytes changed."""

from __future__ import annotations

import copy
import json
from typing import Any

from hypothesis import strategies as st

HOSTILE = (
    "", ".", "..", "../../outside", "/etc/passwd", "stages/../../x", "file:///etc/passwd", "s3://user:word@lake/x",
    "\x00", "a\nb", "</script><script>alert(1)</script>", '"><img src=x onerror=alert(1)>', "{{ 7 * 7 }}",
    "{% raw %}", "' OR 1=1 --", "#0a0a0a", '"#0abcde"', 'id="x"', "url(#x)", "]]>", "<!--", "&lt;", "\u202egnp",
    "e\u0301" * 5, "x" * 3000, "=cmd()", "\ud800", "\uffff", "$(id)",
)  # fmt: skip

texts = st.sampled_from(HOSTILE) | st.text(max_size=20)
numbers = (
    st.integers()
    | st.floats()
    | st.sampled_from([-1, 0, 2**31, 2**63, -(2**63) - 1, 10**30, 1e308, -0.0, float("nan"), float("inf")])
)
plain = st.none() | st.booleans() | numbers | texts
values = st.recursive(
    plain, lambda inner: st.lists(inner, max_size=3) | st.dictionaries(texts, inner, max_size=3), max_leaves=6
)


def places(document: Any, place: tuple[Any, ...] = ()) -> list[tuple[Any, ...]]:
    """List the ways to everything in a document."""
    steps = (
        document.items() if isinstance(document, dict) else enumerate(document) if isinstance(document, list) else ()
    )
    return [place, *(found for key, value in steps for found in places(value, (*place, key)))]


@st.composite
def changed(draw: st.DrawFn, document: Any) -> Any:
    """Replace, remove or add a few parts of a document."""
    whole = copy.deepcopy(document)
    for _ in range(draw(st.integers(0, 3))):
        *way, last = draw(st.sampled_from([place for place in places(whole) if place] or [("x",)]))
        inner = whole
        for step in way:
            inner = inner[step]
        how = draw(st.sampled_from(["replace", "remove", "add"]))
        if how == "remove" and len(inner):
            del inner[last]
        elif how == "add" and isinstance(inner, dict):
            inner[draw(texts)] = draw(values)
        elif not (how == "remove" or isinstance(inner, tuple)):
            inner[last] = draw(values)
    return draw(values) if draw(st.integers(0, 19)) == 0 else whole


@st.composite
def damaged(draw: st.DrawFn, data: bytes) -> bytes:
    """Cut, overwrite or lengthen a file at a few places."""
    for _ in range(draw(st.integers(0, 3))):
        at = draw(st.integers(0, len(data)))
        how = draw(st.sampled_from(["cut", "overwrite", "insert", "repeat"]))
        some = draw(st.binary(min_size=1, max_size=8))
        if how == "cut":
            data = data[:at]
        elif how == "overwrite":
            data = data[:at] + some + data[at + len(some) :]
        elif how == "insert":
            data = data[:at] + some + data[at:]
        else:
            data = data[:at] + data[at : at + 200] * draw(st.integers(2, 50)) + data[at:]
    return data


def documents(document: Any) -> st.SearchStrategy[bytes]:
    """Return files of JSON: changed ones, damaged ones, and what was never one."""
    good = json.dumps(document).encode()
    deep = st.sampled_from([b"[" * 100_000, b'{"a":' * 100_000, b"\xff\xfe{}", b"", b"null", b"{}", b'{"a": NaN}'])
    return changed(document).map(lambda each: json.dumps(each).encode()) | damaged(good) | deep
