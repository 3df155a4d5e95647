"""The data that comes with the project: drawn characters and their embeddings by four small networks.

``labelled`` and ``unlabelled`` share no character; ``make_glyphs`` made them, and the mediator that has learned from
``labelled``; ``glyphs/README.md`` tells how.
"""

from __future__ import annotations

from pathlib import Path

FOLDER = Path(__file__).parent / "glyphs"
MEDIATOR = FOLDER / "mediator"
BASE = "residual"
COMMITTEE = ("plain", "wide", "half")
ENCODING = "float16"
K = 14
THRESHOLD = 0.575
"""Best pairwise F of the labelled part's clusters by vote of all members, by ``benchmarks/quality.py``."""


def embeddings(part: str) -> tuple[str, list[str]]:
    """Return the paths of the base's and of the committee's embeddings.

    Parameters
    ----------
    part : {"labelled", "unlabelled"}
    """
    base, *committee = (str(FOLDER / part / f"{model}.parquet") for model in (BASE, *COMMITTEE))
    return base, committee
