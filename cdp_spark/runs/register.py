"""The register of durable stages: name, version, columns, cost law, and whether a stage copies embeddings.

`plan`, `clean`, `explain`, `sweep` and the reference pages read this table; flows take names and versions from it.

Raise a version when a stage would hold other rows or other values for the same input and settings. All stages that
depend on it are then made anew, because a fingerprint includes the fingerprints of the stages before it. A version
covers the kernels of the stage's room.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Stage:
    """A durable table, or a few durable numbers.

    Attributes
    ----------
    name : str
        Folder below ``stages/``, before the fingerprint. Several tables of a kind, such as one per model, lie below it.
    version : int
    room : str
        Room whose flow makes it.
    holds : str
        Columns of the table, or meaning of the numbers.
    laws : tuple of str
        Kinds in ``plan.laws.LAWS`` by which its cost grows; empty if its cost is negligible.
    vectors : bool
        Holds copies of embeddings, which ``clean --vectors`` removes.
    numbers : bool
        One small JSON file instead of a table; `clean` leaves it.
    """

    name: str
    version: int
    room: str
    holds: str
    laws: tuple[str, ...] = ()
    vectors: bool = False
    numbers: bool = False

    def __str__(self) -> str:
        return self.name

    def of(self, each: object) -> str:
        """Return the name of one of several tables of this kind: ``knn/v3``."""
        return f"{self.name}/{each}"


# One version for all stages of a flow that share their keys.
_INTAKE = 1
_KNN = 11
_PAIRS = 1
_AGGLOMERATION = 1
_CLUSTERS = 1
_LINEAGE = 1
_UNLABELLED = 3
_SWEEP = 1
_REPORT = 1
_EXPORT = 1
_ERRORS = 1

# labels and pictures beside the embeddings: counts before they are joined
LABELS = Stage("labels", 3, "sources", "rows, ids, null and invalid ids", numbers=True)
LABELS_MATCHED = Stage("labels_matched", 2, "sources", "labelled ids that are items", numbers=True)
PICTURES = Stage("pictures", 2, "sources", "rows, ids, null and invalid ids", numbers=True)
PICTURES_MATCHED = Stage("pictures_matched", 1, "sources", "ids of pictures that are items", numbers=True)

# intake
EMBEDDINGS = Stage("embeddings", _INTAKE, "intake", "id, vector, dimension, reason", ("embeddings",), vectors=True)
ITEMS = Stage("items", _INTAKE, "intake", "id, item", ("items",))
QUARANTINE = Stage("quarantine", _INTAKE, "intake", "model, id, reason", ("quarantine",))

# knn
TWINS = Stage("twins", _KNN, "knn", "item, twin_of", ("twins",))
TRUTH = Stage("truth", _KNN, "knn", "item, neighbors, similarities of sampled items, exact", ("truth",))
CELLS = Stage("cells", _KNN, "knn", "shard, cell, centroid", ("cells",))
PROBING = Stage("probing", _KNN, "knn", "spill, cells to visit without expansion (nprobe)", numbers=True)
PILOT = Stage("pilot", _KNN, "knn", "cells to visit with expansion (nprobe)", ("pilot",), numbers=True)
SHARDS = Stage("shards", _KNN, "knn", "shard, cell, item, twin_of, vector", ("shards", "exact shards"), vectors=True)
BY_SHARD = Stage("by_shard", _KNN, "knn", "shard, item, neighbors, similarities", ("lists", "exact knn"))
KNN = Stage("knn", _KNN, "knn", "item, neighbors, similarities", ("lists", "merged lists", "exact knn"))
RECALL = Stage("recall", _KNN, "knn", "recall on sampled queries, with its interval", numbers=True)

# pairs
BLOCKS = Stage("blocks", _PAIRS, "pairs", "item, block", ("blocks",))
BLOCK_COUNT = Stage("block_count", _PAIRS, "pairs", "blocks", numbers=True)
MEMBERS = Stage(
    "members", _PAIRS, "pairs", "block, item: the items whose vectors and lists a block needs", ("members",)
)
FEATURES = Stage("features", _PAIRS, "pairs", "src, dst, features")

# scoring
VOTED_PAIRS = Stage("scored_pairs", 1, "scoring", "src, dst, score", ("scored_pairs, vote",))
MEDIATED_PAIRS = Stage(
    "scored_pairs", 2, "scoring", "src, dst, score, features of a sample", ("scored_pairs, mediator",)
)
PRIOR = Stage("prior", 2, "scoring", "share of true pairs", ("mediator fit",), numbers=True)
WORLD_SHARES = Stage("worlds", 2, "scoring", "shares of the simulated worlds", ("mediator fit",), numbers=True)
MEDIATOR_FIT = Stage(
    "mediator_fit", 2, "scoring", "stability of features, expected precision and recall", ("mediator fit",),
    numbers=True,
)  # fmt: skip

# agglomeration
PIECES = Stage("pieces", _AGGLOMERATION, "agglomeration", "item, piece, level", ("pieces",))
PIECE_SIZES = Stage("piece_sizes", _AGGLOMERATION, "agglomeration", "pieces, the largest, cut ones", numbers=True)
AGGLOMERATED = Stage("labelled", _AGGLOMERATION, "agglomeration", "item, root, status, size, confidence ...",
                     ("labelled, agglomerated",))  # fmt: skip

# clusters
FOREST = Stage("forest", _CLUSTERS, "clusters", "src, dst, score", ("forest",))
ROUNDS = Stage("rounds", _CLUSTERS, "clusters", "src, dst, score; part, root: rounds of a forest that no task holds")
COMPONENTS = Stage("components", _CLUSTERS, "clusters", "item, component", ("components",))
GRAPH = Stage("graph", _CLUSTERS, "clusters", "smallest score, largest component", numbers=True)
BEYOND_BOUND = Stage("beyond_bound", _CLUSTERS, "clusters", "components that no task holds", numbers=True)
TREES = Stage("trees", _CLUSTERS, "clusters", "src, dst, score above the threshold")
GIANT = Stage("giant", _CLUSTERS, "clusters", "a giant component, where it falls apart", numbers=True)
PRUNED = Stage("labelled", _CLUSTERS, "clusters", "item, root, status, size, best_score, level", ("labelled",))
SOFT_LABELS = Stage("soft_labels", _CLUSTERS, "clusters", "item, cluster, weight")
CLUSTERS = Stage("clusters", _CLUSTERS, "clusters", "id, cluster, status, size, best_score, level ...", ("clusters",))
MERGES = Stage("merges", _CLUSTERS, "clusters", "score, the two components joined, their sizes", ("merges",))
OVERLAPS = Stage("overlaps", _LINEAGE, "clusters", "number, event, items shared with an earlier run's clusters")
FIRST_ID = Stage("first_id", _LINEAGE, "clusters", "the first unused cluster id", numbers=True)
NUMBERED_LINEAGE = Stage("numbered_lineage", _LINEAGE, "clusters", "number, event, cluster, items")
LINEAGE = Stage("lineage", _LINEAGE, "clusters", "event, cluster, previous, items")

# without labels
MODEL_CONTENTS = Stage(
    "model_contents", _UNLABELLED, "unlabelled", "a hash of each model's vectors", ("repeated items",), numbers=True
)
REPEATED_ITEMS = Stage(
    "duplicates", _UNLABELLED, "unlabelled", "item, first: items that are equal in all models", ("repeated items",)
)
BACKGROUND = Stage(
    "background", _UNLABELLED, "unlabelled", "item, model, median and spread of its similarities",
    ("background", "search of halves"),
)  # fmt: skip
JOINT_BLOCKS = Stage("blocks", _UNLABELLED, "unlabelled", "item, block", ("joint view",))
JOINT_BLOCK_COUNT = Stage("block_count", _UNLABELLED, "unlabelled", "blocks", ("joint view",), numbers=True)
JOINT_MEMBERS = Stage("members", _UNLABELLED, "unlabelled", "block, item, own", ("joint view",))
JOINT_VIEW = Stage(
    "joint_view", _UNLABELLED, "unlabelled", "item, subset, neighbors, joint similarities", ("joint view",)
)
IN_DEGREES = Stage("near", _UNLABELLED, "unlabelled", "item, in-degrees in the lists", ("joint view",))
RANK_COUNTS = Stage(
    "places", _UNLABELLED, "unlabelled", "items by bin of what is ranked in the set", ("joint view",), numbers=True
)
FIRST_LOOK = Stage(
    "first_look", _UNLABELLED, "unlabelled", "src, dst, subset, features, z", ("first look", "looks at halves")
)
LOG_ODDS = Stage(
    "log_odds", _UNLABELLED, "unlabelled", "src, dst, subset, z of the second look", ("second look", "looks at halves")
)
SAMPLE = Stage("sample", _UNLABELLED, "unlabelled", "item: whole pieces on which the shift is chosen", ("sample",))
SAMPLE_FOREST = Stage("sample_forest", _UNLABELLED, "unlabelled", "src, dst, score", ("sample",))
SAMPLE_COMPONENTS = Stage("sample_components", _UNLABELLED, "unlabelled", "item, component", ("sample",))
SAMPLE_PIECES = Stage("sample_pieces", _UNLABELLED, "unlabelled", "item, piece, level", ("sample",))
COMPARED = Stage("compared", _UNLABELLED, "unlabelled", "src, dst, z by the whole and by each half", ("agreement",))
STRENGTHS_OF_HALVES = Stage(
    "strengths", _UNLABELLED, "unlabelled", "share of the whole's pairs in each half", ("agreement",), numbers=True
)
AGREEMENT_CURVE = Stage(
    "agreement", _UNLABELLED + 1, "unlabelled", "agreement of the halves by shift", ("agreement",), numbers=True
)
UNLABELLED_PAIRS = Stage(
    "scored_pairs", _UNLABELLED, "unlabelled", "src, dst, score", ("scored_pairs, without labels",)
)
PRECISION = Stage(
    "precision", _UNLABELLED + 1, "unlabelled", "precision and recall predicted before self-training",
    ("scored_pairs, without labels",), numbers=True,
)  # fmt: skip
TAUGHT = Stage(
    "taught", _UNLABELLED, "unlabelled", "features, same, half: pairs that self-training learns from", ("taught",)
)
NETWORKS = Stage("networks", _UNLABELLED, "unlabelled", "weights of self-training", ("taught",))
EXPANDED = Stage(
    "labelled", _UNLABELLED, "unlabelled", "labelled items, those that repeat another included",
    ("labelled, agglomerated",),
)  # fmt: skip
MEMBER_PAIRS = Stage(
    "member_pairs", 1, "unlabelled", "src, dst, score, the members that list the pair", ("items alike",)
)
ALIKE_BY_SHIFT = Stage(
    "alike_by_shift", 1, "unlabelled", "items that halves give alike, by shift", ("items alike",), numbers=True
)
SHIFTED_PAIRS = Stage(
    "scored_pairs", 1, "unlabelled", "src, dst, score of a trained mediator, shifted", ("scored_pairs, mediator",)
)

# evaluation, sweep, report and publishing
METRICS = Stage("metrics", 1, "commands", "metrics against labels", numbers=True)
PUBLISHED = Stage("published", 1, "commands", "the partition that was written", numbers=True)
MLFLOW = Stage("mlflow", 1, "commands", "the run that was logged", numbers=True)
SWEEP = Stage("sweep", _SWEEP, "commands", "threshold, counts, metrics")
STARTS = Stage("starts", _SWEEP, "commands", "smallest score above each threshold", numbers=True)
ALIKE = Stage("alike", _SWEEP, "commands", "threshold, items in clusters that halves of a committee give alike")
HUBS = Stage("report/hubs", _REPORT, "report", "how often items are neighbours", numbers=True)
AGREEMENT = Stage("report/agreement", _REPORT, "report", "pairs of the base that members have", numbers=True)

# training lists
LABEL_NUMBERS = Stage("label_numbers", _EXPORT, "training_lists", "label, number")
SURE = Stage("sure", _EXPORT, "training_lists", "id, cluster, confidence")
CHOSEN = Stage("chosen", _EXPORT, "training_lists", "cluster, items")
CLUSTER_NUMBERS = Stage("cluster_numbers", _EXPORT, "training_lists", "cluster, number")
EXPORTED = Stage("items", _EXPORT, "training_lists", "id, label, split, weight, image")

# label errors
LABELLED_ITEMS = Stage("labelled", _ERRORS, "label_errors", "item, label")
LABEL_PAIRS = Stage("labelled_pairs", _ERRORS, "label_errors", "src, dst, score, both labels")
STRENGTHS = Stage("strengths", _ERRORS, "label_errors", "share of true pairs by score", numbers=True)
SUPPORTS = Stage("supports", _ERRORS, "label_errors", "item, label, support")
DOUBTS = Stage("judged", _ERRORS, "label_errors", "item, given and suggested label, doubt")
DOUBT_MODEL = Stage("judge", _ERRORS, "label_errors", "probability of an error by doubt", numbers=True)
VERDICTS = Stage("verdicts", _ERRORS + 2, "label_errors", "item, given and suggested label, probability")
DUPLICATES = Stage("duplicates", _ERRORS, "label_errors", "item, twin")
FLAGGED = Stage("flagged", _ERRORS, "label_errors", "item, issue, score")
LABEL_NAMES = Stage("label_names", _ERRORS, "label_errors", "label, name")
ISSUES = Stage("issues", _ERRORS, "label_errors", "id, issue, given, suggested, score ...")
LABEL_SCORES = Stage("scores", _ERRORS, "label_errors", "id, given, score")
SUMMARY = Stage("summary", _ERRORS, "label_errors", "label, items, issues")
CLEANED_LABELS = Stage("cleaned_labels", _ERRORS, "label_errors", "id, label")

# training
SPLIT = Stage("parts", 2, "training", "item, identity, part: training, calibration or validation")
LABELLED_PAIRS = Stage("labelled_pairs", 2, "training", "src, dst, features, same, part")
TRAINING_SCORES = Stage("scored", 1, "training", "src, dst, score of labelled pairs")
WORLDS = Stage("worlds", 3, "training", "world, item")
WORLD_ITEMS = Stage("world_items", 3, "training", "items of each world", numbers=True)
WORLD_PAIRS = Stage("world_pairs", 3, "training", "world, src, dst, identities, features")
WORLD_PAIR_COUNTS = Stage("world_pair_counts", 1, "training", "pairs by world and kind", numbers=True)
CROSS_FITTED = Stage("honest_pairs", 3, "training", "world, src, dst, z, identities")
CLUSTER_EXAMPLES = Stage("cluster_examples", 3, "training", "world, features, same, weight")
HELD_OUT = Stage("held_out", 3, "training", "item, root")

STAGES: tuple[Stage, ...] = tuple(each for each in list(globals().values()) if isinstance(each, Stage))
"""All stages, in the order of a run."""

COPIES_OF_EMBEDDINGS = tuple(f"{each.name}/" for each in STAGES if each.vectors)
"""Prefixes of stages that copy embeddings; cells hold only means, members and pairs hold none."""
