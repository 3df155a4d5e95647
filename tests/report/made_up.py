"""Figures of a run that never was, with ids and labels that would hurt a page which does not escape them."""

from __future__ import annotations

import base64
import struct
import zlib
from dataclasses import replace

from cdp_spark.report.figures import (
    Covered,
    DecidingPair,
    Figures,
    Hubs,
    MergedCluster,
    ShownCluster,
    SplitIdentity,
    StageFiles,
    Suspect,
)
from cdp_spark.report.model_agreement import PairCount, agreement_of
from cdp_spark.runs.run_json import ClusterRecord

HOSTILE = "<script>alert('id')</script>"
BREAKING = '"></script><img src=x onerror=alert(1)>'
MODELS = ("residual", "plain", "wide", HOSTILE)


def record(*, labelled: bool = True, **changed: object) -> ClusterRecord:
    """Return a ``run.json`` with all that the page reads."""
    kept = dict.fromkeys(
        ("pairwise_precision", "pairwise_recall", "pairwise_f", "bcubed_precision", "bcubed_recall", "bcubed_f", "nmi",
         "ami", "v_measure", "ari"), 0.75,
    )  # fmt: skip
    metrics = {way: {**kept, "clusters": 812, "identities": 930} for way in ("kept", "removed")}
    names = ["items", "quarantine", "scored_pairs", "forest/whole", "components", "labelled", "clusters", "merges"]
    names = [f"{stage}/{model}" for stage in ("embeddings", "twins", "knn") for model in MODELS] + names
    return ClusterRecord.model_validate({
        "config": {"output": "runs/demo", "consensus": {"strategy": "mediator"}},
        "versions": {"python": "3.11.7", "spark": "4.1.4"},
        "cores": 2, "finished": 1795645696.0, "seconds": 62.9, "threshold": 0.86,
        "dimensions": dict.fromkeys(MODELS, 64),
        "stages": [
            {"name": name, "rows": 1000 * n, "made_seconds": 0.4 * n, "reused": n % 5 == 1,
             "peak_worker_bytes": None if n % 3 else 300 << 20, "written_bytes": 12345 * n}
            for n, name in enumerate(names)
        ],
        "counts": {
            "items": 9300, "rows": dict.fromkeys(MODELS, 9312), "clusters": 812, "largest": 64, "scored_pairs": 93000,
            "forest_edges": 8700, "statuses": {"clustered": 8210, "singleton": 40, "discarded": 1050},
            "quarantined": {"residual": {"nan": 12}, "plain": {"missing_in:residual": 12}},
        },
        "recall": {"residual": {"method": "exact", "recall": 1.0}} | {
            model: {"method": "ivf", "recall": 0.966, "low": 0.96, "high": 0.972, "target": 0.95}
            for model in MODELS[1:]
        },
        "engine": "sail", "components_engine": {"components": "single", "why": "8,700 edges fit one task"},
        "warnings": ["model plain: recall 0.9410; the lower end of its interval, 0.9330, is below the target 0.95"],
        "metrics": metrics if labelled else None,
        "without_labels": {
            "shift": -1.5, "agreement": 0.6, "granularity": 0.5, "predicted_precision": 0.9, "repeated_items": 1200,
            "strengths": [[0.5, 0.625]], "same_as": {HOSTILE: "plain"},
            "curve": [{"shift": shift, "score": 0.5, "agreement": 0.25} for shift in (-8.0, -1.5, 2.0)],
        } if labelled else None,
        **changed,
    })  # fmt: skip


def sweep(*, labelled: bool = True) -> dict:
    """Return a sweep of ten thresholds."""
    rows = []
    for step in range(10):
        threshold = round(0.8 + 0.02 * step, 2)
        metric = 0.6 + 0.03 * step - 0.004 * step**2 if labelled else None
        rows.append({
            "threshold": threshold, "clusters": 700 + 25 * step, "singletons": 10 * step, "discarded": 800 + 90 * step,
            "largest": 90 - 5 * step, "largest_component": 400 - 30 * step, "clustered_share": 0.93 - 0.02 * step,
            "pairwise_f": metric, "bcubed_f": None if metric is None else metric + 0.1,
        })  # fmt: skip
    return {"rows": rows, "best": 0.88, "why": "best pairwise_f against the labels", "current": 0.86}


def picture(shade: int) -> str:
    """Return a tiny PNG as a data URI."""

    def chunk(kind: bytes, data: bytes) -> bytes:
        body = kind + data
        return struct.pack(">I", len(data)) + body + struct.pack(">I", zlib.crc32(body))

    rows = b"".join(b"\0" + bytes((shade + 9 * x + 5 * y) % 256 for x in range(28)) for y in range(28))
    png = b"\x89PNG\r\n\x1a\n" + chunk(b"IHDR", struct.pack(">IIBBBBB", 28, 28, 8, 0, 0, 0, 0))
    png += chunk(b"IDAT", zlib.compress(rows)) + chunk(b"IEND", b"")
    return "data:image/png;base64," + base64.b64encode(png).decode()


def figures() -> Figures:
    """Return figures for every section there is."""
    ids = [HOSTILE, BREAKING, "x" * 300, *(f"img-{n:04d}" for n in range(60))]
    largest = [
        ShownCluster(n, 64 - n, f"{64 - n} items, final at threshold 0.860", [ids[n * 5 : n * 5 + 12]])
        for n in range(6)
    ]
    uncertain = [
        ShownCluster(
            20 + n, 30, "30 items; one pair of score 0.861 joins 21 and 9", [ids[n : n + 6], ids[n + 9 : n + 15]]
        )
        for n in range(6)
    ]
    rows = [
        PairCount(bits, same, (40 + 30 * bits) * (3 if same == (bits.bit_count() > 1) else 1))
        for bits in range(8)
        for same in (True, False)
    ]
    return Figures(
        record(),
        scores=[(n, 5 * (n - 30) ** 2) for n in range(40, 100)],
        sizes=[(1, 40), (2, 210), (3, 120), (5, 160), (9, 200), (15, 60), (40, 20), (64, 2)],
        largest=largest,
        uncertain=uncertain,
        pictures={each: picture(37 * n) for n, each in enumerate(ids) if n % 4},
        other_labels=frozenset(ids[::6]),
        suspects=[
            Suspect(17, 64, 0.91, 0.8612, ("bridge", "large"), 21),
            Suspect(5, 12, 0.8701, 0.861, ("loose",), 0),
            Suspect(6, 600, 0.93, 0.88, ("large",), 4),
        ],
        pairs=[
            DecidingPair(HOSTILE, "img-0001", 0.8604, True, (14, 9), ("a", "b")),
            DecidingPair("img-0002", "img-0003", 0.8597, False, (7, 7), (HOSTILE, HOSTILE)),
            DecidingPair("img-0004", BREAKING, 0.8591, False, (3, 2), None),
        ],
        hubs=[
            Hubs.of(model, [(0, 400 + 90 * n), (3, 2000), (8, 5000), (14, 1500), (60 * (n + 1), 30)], sampled=False)
            for n, model in enumerate(MODELS)
        ],
        agreement=agreement_of(rows, MODELS[1:], sampled=True),
        split=[SplitIdentity(HOSTILE, 40, 5, 20, 3), SplitIdentity("7", 22, 2, 12, 0)],
        merged=[MergedCluster(3, 60, 4, 31, BREAKING)],
        stage_files={"knn/plain": StageFiles(8, 2.25), "items": StageFiles(1, None)},
        sweep=sweep(),
    )


def bare() -> Figures:
    """Return figures of a run without labels, committee, sweep and pictures."""
    whole = figures()
    counts = record().counts.model_dump() | {"rows": {"residual": 9300}}
    recall = {"residual": {"method": "exact", "recall": 1.0}}
    alone = record(labelled=False, recall=recall, counts=counts)
    return replace(
        whole, record=alone, pictures={}, other_labels=frozenset(), agreement=None, split=[], merged=[], sweep=None,
        suspects=[], pairs=[], uncertain=[], hubs=whole.hubs[:1], stage_files={},
    )  # fmt: skip


def without_threshold() -> Figures:
    """Return figures of a run whose rule has no threshold."""
    whole = figures()
    config = record().config | {"clusters": {"rule": "learned"}}
    return replace(
        whole, record=record(threshold=0.5, config=config), sweep=None, pairs=[],
        nearly_joined=[replace(each, note="probability 0.45 that it and the 9 items of cluster 3 belong together")
                       for each in whole.uncertain],
        coverage=[Covered(1 - n / 10, 0.1 + 0.08 * n, 0.7 + 0.02 * n, 0.8 + 0.01 * n) for n in range(10)],
    )  # fmt: skip
