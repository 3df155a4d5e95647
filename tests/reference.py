"""Plain NumPy CDP, written from the definitions: slow, and obviously right. The oracle of the tests.

Pairs are a dict {(i, j): score} with i < j.
"""

from __future__ import annotations

import numpy as np

Pairs = dict[tuple[int, int], float]


def knn(vectors: np.ndarray, k: int) -> tuple[list[list[int]], list[list[float]]]:
    """k nearest rows of each row without itself, by (-similarity, row); similarity is the float32 cosine."""
    exact = vectors.astype(np.float64)
    norms = np.sqrt((exact**2).sum(axis=1))
    neighbors, similarities = [], []
    for i, row in enumerate(exact):
        cosine = np.clip(exact @ row / (norms * norms[i]), -1, 1).astype(np.float32)
        order = [int(j) for j in np.lexsort((np.arange(len(exact)), -cosine)) if j != i][:k]
        neighbors.append(order)
        similarities.append([float(cosine[j]) for j in order])
    return neighbors, similarities


def vote(base: tuple[list[list[int]], list[list[float]]], committee: list[list[list[int]]], accept: int) -> Pairs:
    """Pairs of which either direction is an edge of the base and of at least ``accept`` members."""
    pairs: Pairs = {}
    for i, (near, similarities) in enumerate(zip(*base, strict=True)):
        for j, similarity in zip(near, similarities, strict=True):
            if sum(j in member[i] for member in committee) >= accept:
                pairs[min(i, j), max(i, j)] = similarity
    return pairs


def components(items: set[int], pairs: Pairs) -> list[set[int]]:
    """Connected components by breadth-first search."""
    near: dict[int, set[int]] = {item: set() for item in items}
    for i, j in pairs:
        near[i].add(j)
        near[j].add(i)
    found, left = [], set(items)
    while left:
        queue = [left.pop()]
        group = set(queue)
        while queue:
            fresh = near[queue.pop()] - group
            group |= fresh
            left -= fresh
            queue.extend(fresh)
        found.append(group)
    return found


def within(pairs: Pairs, items: set[int]) -> Pairs:
    return {(i, j): score for (i, j), score in pairs.items() if i in items and j in items}


Labels = dict[int, tuple[int | None, str, float | None]]
"""Item -> smallest item of its cluster, status, level."""


def clusters(
    count: int, pairs: Pairs, threshold: float, *, max_size: int, step: float, max_iter: int, rule: str
) -> Labels:
    """Label items 0..count-1 from scored pairs."""
    graph = {pair: score for pair, score in pairs.items() if score > threshold}
    labels: Labels = dict.fromkeys(range(count), (None, "discarded", None))
    if not graph:
        return labels
    items = {item for pair in graph for item in pair}
    by_rule = by_code if rule == "code" else by_paper
    labels.update(by_rule(items, graph, max_size, step, max_iter))
    return labels


def label(group: set[int], status: str, level: float) -> Labels:
    return dict.fromkeys(group, (min(group), status, level))


def by_code(items: set[int], graph: Pairs, max_size: int, step: float, max_iter: int) -> Labels:
    labels: Labels = {}
    threshold = min(graph.values())
    for cut in range(max_iter + 1):
        kept = {pair: score for pair, score in within(graph, items).items() if score >= threshold}
        large = set()
        for group in components(items, kept):
            if len(group) <= max_size:
                labels.update(label(group, "singleton" if len(group) == 1 else "clustered", threshold))
            elif cut == max_iter:
                labels.update(label(group, "forced", threshold))
            else:
                large |= group
        items = large
        if not items:
            break
        threshold = threshold + (1 - threshold) * step
    return labels


def by_paper(items: set[int], graph: Pairs, max_size: int, step: float, max_iter: int) -> Labels:
    labels: Labels = {}
    queue = [(group, within(graph, group), 0) for group in components(items, graph)]
    level = {min(group): min(own.values()) for group, own, _ in queue}
    while queue:
        group, own, cuts = queue.pop()
        if len(group) <= max_size:
            labels.update(label(group, "clustered", level[min(group)]))
        elif cuts == max_iter:
            labels.update(label(group, "forced", level[min(group)]))
        else:
            smallest = min(own.values())
            threshold = smallest + (1 - smallest) * step
            kept = {pair: score for pair, score in own.items() if score > threshold}
            for piece in components(group, kept):
                if len(piece) == 1:
                    labels.update(dict.fromkeys(piece, (None, "unlabelled", None)))
                else:
                    level[min(piece)] = threshold
                    queue.append((piece, within(kept, piece), cuts + 1))
    return labels
