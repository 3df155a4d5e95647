"""Wrong labels found, on labels with errors put in, beside cleanlab and a vote of the nearest neighbours.

    python benchmarks/denoise.py --data DATA/lfw/labelled --base mobileface_v3 \
        --committee mfn_casia mobileface_v2 mobileface_v1 --output runs/denoise-lfw

For each share of errors the labels of so many items are exchanged at random. Ours reads a finished run: a vote, and
with `--mediator` (needs torch) a run by a mediator that has learned from these same wrong labels; with
`--without-labels` a run for which nothing was chosen; `--ways` leaves some of them out. The others have the
base's embeddings: cleanlab's label issues from nearest neighbours (`LabelIssueManager` of Datalab, computed here from
the exact 10 neighbours), and the plain majority of these neighbours. Everything is default.

Average precision is over all items, ranked by score; errors are all exchanged labels. `ceiling` is the share of errors
whose identity keeps a rightly labelled image: no other error can be told from its neighbours, and recall is over these.
`precision_at_recall_.8` is that of the ranking without outliers, at whatever threshold. A last run has identities split
and merged besides. The last line is one line of JSON.
"""

from __future__ import annotations

import argparse
import json
from importlib.util import find_spec
from pathlib import Path

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from sklearn.metrics import average_precision_score

from cdp_spark.commands.cluster import cluster
from cdp_spark.config.input_sections import LabelsConfig
from cdp_spark.config.loading import load_config, load_config_of
from cdp_spark.config.whole import TrainConfig
from cdp_spark.label_errors.flow import denoise
from cdp_spark.spark.progress import Progress
from cdp_spark.spark.session import local_session

NEIGHBORS = 10
AT_LEAST = {"split": 4, "merge": 2}
ITEM_ISSUES = ("wrong_label", "outlier", "unsure")


def main() -> None:
    options = arguments()
    spark = local_session(options.master, {})
    ids, true = labels_of(options.data)
    near = neighbors(options, ids)
    rows = []
    for seed in options.seeds:
        for share in options.shares:
            given = exchanged(true, share, seed)
            row = {"share": share, "seed": seed, "errors": int((given != true).sum()), "ceiling": ceiling(true, given)}
            for name, score in PEERS.items():
                row[name] = rounded(average_precision_score(given != true, score(given, near)))
            for way in ways(options):
                found = denoised(options, spark, way, ids, given)
                row[way] = item_figures(found, ids, true, given)
            rows.append(row)
            print(json.dumps(row), flush=True)
        given, changed = regrouped(exchanged(true, options.shares[0], seed), true, options.groups, seed)
        for way in ways(options):
            found = denoised(options, spark, way, ids, given)
            rows.append({"share": options.shares[0], "seed": seed, "way": way, **label_figures(found[0], changed)})
            print(json.dumps(rows[-1]), flush=True)
    print(json.dumps({"rows": rows}))


def labels_of(folder: Path) -> tuple[np.ndarray, np.ndarray]:
    table = pq.read_table(folder / "labels.parquet").sort_by("id")
    return table.column("id").to_numpy(), table.column("label").to_numpy()


def exchanged(true: np.ndarray, share: float, seed: int) -> np.ndarray:
    """Hand the labels of some items round among them, so that each gets another one."""
    random = np.random.default_rng(seed)
    chosen = random.choice(len(true), round(share * len(true)), replace=False)
    given = true.copy()
    taken = true[chosen]
    for _ in range(100):
        same = np.flatnonzero(taken == true[chosen])
        if not len(same):
            break
        others = random.integers(0, len(chosen), len(same))
        for place, other in zip(same.tolist(), others.tolist(), strict=True):
            taken[[place, other]] = taken[[other, place]]
    given[chosen] = taken
    return given


def ceiling(true: np.ndarray, given: np.ndarray) -> float:
    return rounded(seen(true, given).sum() / max(1, (given != true).sum()))


def seen(true: np.ndarray, given: np.ndarray) -> np.ndarray:
    """Mark the errors whose identity keeps at least one rightly labelled image."""
    return (given != true) & np.isin(true, true[given == true])


def regrouped(given: np.ndarray, true: np.ndarray, groups: int, seed: int) -> tuple[np.ndarray, dict[str, set]]:
    """Split the labels of some identities at random, and give pairs of others one label."""
    random = np.random.default_rng(seed + 100)
    labels, sizes = np.unique(true, return_counts=True)
    order = random.permutation(len(labels))
    large = [int(labels[i]) for i in order if sizes[i] >= AT_LEAST["split"]][:groups]
    rest = [int(labels[i]) for i in order if sizes[i] >= AT_LEAST["merge"] and labels[i] not in large][: 2 * groups]
    found, new = given.copy(), int(labels.max())
    split, merged = set(), set()
    for label in large:
        new += 1
        items = random.permutation(np.flatnonzero(given == label))
        found[items[: random.integers(2, max(3, len(items) - 1))]] = new
        split.add(frozenset((label, new)))
    for first, second in zip(rest[::2], rest[1::2], strict=False):
        found[given == second] = first
        merged.add(first)
    return found, {"split": split, "merged": merged}


def neighbors(options: argparse.Namespace, ids: np.ndarray) -> np.ndarray:
    """Return the exact nearest neighbours of the base, in blocks."""
    table = pq.read_table(options.data / f"{options.base}.parquet").sort_by("id")
    rows = table.column("embedding")
    if options.encoding:
        vectors = np.stack([np.frombuffer(row, options.encoding) for row in rows.to_pylist()]).astype(np.float32)
    else:
        vectors = rows.combine_chunks().flatten().to_numpy().reshape(len(table), -1).astype(np.float32)
    vectors /= np.linalg.norm(vectors, axis=1, keepdims=True)
    if not np.array_equal(table.column("id").to_numpy(), ids):
        raise ValueError("labels and embeddings have other ids")
    found = np.empty((len(ids), NEIGHBORS), np.int64)
    for start in range(0, len(ids), 1024):
        block = vectors[start : start + 1024] @ vectors.T
        block[np.arange(len(block)), np.arange(start, start + len(block))] = -np.inf
        near = np.argpartition(-block, NEIGHBORS, axis=1)[:, :NEIGHBORS]
        found[start : start + len(block)] = near
    return found


def majority_score(given: np.ndarray, near: np.ndarray) -> np.ndarray:
    """Return the share of neighbours with the most frequent other label, less the share with the own one."""
    labels = given[near]
    counts = (labels[:, :, None] == labels[:, None, :]).sum(axis=2)
    own = labels == given[:, None]
    return (np.where(own, 0, counts).max(axis=1) - own.sum(axis=1)) / near.shape[1]


def cleanlab_score(given: np.ndarray, near: np.ndarray) -> np.ndarray:
    """Return what cleanlab makes of the neighbours' shares of all labels: 1 less the quality of a label."""
    from cleanlab.classification import CleanLearning

    names, labels = np.unique(given, return_inverse=True)
    shares = np.zeros((len(given), len(names)), np.float64)
    for column in range(near.shape[1]):
        np.add.at(shares, (np.arange(len(given)), labels[near[:, column]]), 1 / near.shape[1])
    issues = CleanLearning().find_label_issues(labels=labels, pred_probs=shares)
    return 1 - issues["label_quality"].to_numpy()


PEERS = {"majority": majority_score, **({"cleanlab": cleanlab_score} if find_spec("cleanlab") else {})}


def ways(options: argparse.Namespace) -> list[str]:
    asked = {"vote": True, "mediator": options.mediator, "without labels": options.without_labels}
    return [way for way, wanted in asked.items() if wanted and way in options.ways]


def denoised(options: argparse.Namespace, spark, way: str, ids: np.ndarray, given: np.ndarray):
    """Cluster, where that is not done yet, and denoise; return issues and scores."""
    path = options.output / "labels.parquet"
    path.parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(pa.table({"id": ids, "label": given}), path)
    base, *committee = (
        {"path": f"{options.data}/{model}.parquet", "encoding": options.encoding}
        for model in (options.base, *options.committee)
    )
    common = {"input": {"base": base, "committee": committee}}
    if way != "without labels":
        common["knn"] = {"k": options.k}
    progress, run = Progress.on_stderr(), options.output / "run"
    consensus = {} if way == "without labels" else {"accept": options.accept, "threshold": options.threshold}
    if way == "mediator":
        from cdp_spark.training.flow import train

        learning = {
            **common,
            "input": {**common["input"], "labels": str(path)},
            "output": str(options.output / "train"),
        }
        train(load_config_of(TrainConfig, learning), spark=spark, progress=progress)
        consensus = {"strategy": "mediator", "mediator": learning["output"]}
    # One folder for all: KNN graphs are made once.
    cluster(load_config({**common, "output": str(run), "consensus": consensus}), spark=spark, progress=progress)
    found = denoise(
        str(run), LabelsConfig(path=str(path)), output=str(options.output / "denoised"), spark=spark, progress=progress
    )
    return [row.asDict() for row in found.issues.collect()], [row.asDict() for row in found.scores.collect()]


def item_figures(found: tuple[list[dict], list[dict]], ids: np.ndarray, true: np.ndarray, given: np.ndarray) -> dict:
    """Judge the issues of items: ranking, and precision and recall of each at the default threshold."""
    wrong, findable = given != true, seen(true, given)
    issues, scores = found
    score, suggestions = np.zeros(len(ids)), {}
    for row in scores:
        score[np.searchsorted(ids, row["id"])] = row["score"]
    called = {name: np.zeros(len(ids), bool) for name in ITEM_ISSUES}
    for row in issues:
        if row["issue"] in called:
            place = int(np.searchsorted(ids, row["id"]))
            called[row["issue"]][place] = True
            suggestions[place] = row["suggested"]
    figures = {"ap": rounded(average_precision_score(wrong, score))}
    figures["precision_at_recall_.8"] = rounded(
        precision_at(findable, wrong, np.where(called["outlier"], 0, score), 0.8)
    )
    label = called["wrong_label"]
    hits = np.flatnonzero(label & findable).tolist()
    figures["wrong_label"] = {
        "called": int(label.sum()), "precision": ratio(wrong[label].sum(), label.sum()),
        "recall": ratio((label & findable).sum(), findable.sum()),
        "suggested_right": ratio(sum(suggestions[place] == true[place] for place in hits), len(hits)),
    }  # fmt: skip
    rest = wrong & ~findable
    for name in ("outlier", "unsure"):
        figures[name] = {
            "called": int(called[name].sum()), "precision": ratio(wrong[called[name]].sum(), called[name].sum()),
            "recall_of_the_rest": ratio((called[name] & rest).sum(), rest.sum()),
        }  # fmt: skip
    figures["other_issues"] = {
        name: sum(row["issue"] == name for row in issues)
        for name in ("duplicate_identities", "merged_identity", "near_duplicates")
    }
    return figures


def precision_at(findable: np.ndarray, wrong: np.ndarray, score: np.ndarray, recall: float) -> float:
    """Return the precision of the shortest ranking that holds so many of the errors that can be found."""
    order = np.argsort(-score, kind="stable")
    enough = np.flatnonzero(np.cumsum(findable[order]) >= recall * findable.sum())
    if not len(enough) or score[order[enough[0]]] == 0:
        return float("nan")
    length = int((score >= score[order[enough[0]]]).sum())
    return float(wrong[order[:length]].mean())


def label_figures(issues: list[dict], changed: dict[str, set]) -> dict:
    """Judge the issues of labels."""
    doubles = {frozenset((row["given"], row["suggested"])) for row in issues if row["issue"] == "duplicate_identities"}
    merged = {row["given"] for row in issues if row["issue"] == "merged_identity"}
    return {
        name: {
            "put_in": len(truth), "called": len(found), "precision": ratio(len(found & truth), len(found)),
            "recall": ratio(len(found & truth), len(truth)),
        }
        for name, found, truth in (
            ("duplicate_identities", doubles, changed["split"]), ("merged_identity", merged, changed["merged"])
        )
    }  # fmt: skip


def ratio(part: int, whole: int) -> float | None:
    return rounded(part / whole) if whole else None


def rounded(value: float) -> float:
    return round(float(value), 4)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument(
        "--data", type=Path, required=True, help="folder of a Parquet file per model and labels.parquet"
    )
    parser.add_argument("--base", required=True)
    parser.add_argument("--committee", nargs="+", default=[])
    parser.add_argument("--encoding", choices=("float16", "float32"), help="of embeddings that are bytes")
    parser.add_argument("--output", type=Path, required=True)
    parser.add_argument("--k", type=int, default=15)
    parser.add_argument("--accept", type=int, default=1, help="vote: members that must agree")
    parser.add_argument("--threshold", type=float, default=0.5, help="vote: from which score pairs count as evidence")
    parser.add_argument("--mediator", action="store_true", help="also by a mediator; needs torch")
    parser.add_argument("--without-labels", action="store_true", help="also a run for which nothing was chosen")
    parser.add_argument("--ways", nargs="+", default=["vote", "mediator", "without labels"])
    parser.add_argument("--shares", type=float, nargs="+", default=[0.05, 0.1, 0.3])
    parser.add_argument("--seeds", type=int, nargs="+", default=[0])
    parser.add_argument("--groups", type=int, default=40, help="identities that are split, and pairs that are merged")
    parser.add_argument("--master")
    return parser.parse_args()


if __name__ == "__main__":
    main()
