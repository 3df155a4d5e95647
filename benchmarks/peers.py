"""Other ways to cluster the vectors of one model: scikit-learn, hdbscan, fastcluster, and two plain KNN methods.

Each takes unit vectors, settings and the true number of clusters, and returns labels for every setting: what settings
have in common, such as a dendrogram, is made once. -1 is noise.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from typing import Any

import faiss
import numpy as np
from numba import njit
from scipy.cluster.hierarchy import fcluster
from scipy.sparse import coo_array, csr_array
from scipy.sparse.csgraph import connected_components

Found = dict[Any, np.ndarray]
SIMILARITIES = tuple(np.round(np.arange(0.30, 0.96, 0.025), 3).tolist())


@dataclass(frozen=True)
class Peer:
    """One way.

    Attributes
    ----------
    run : callable (vectors, settings, true number of clusters) -> labels by setting
    settings : sequence
        Those to choose from on labelled data; a single None where there is nothing to choose.
    told : bool
        Whether it is given the true number of clusters, which nobody has.
    """

    run: Callable[[np.ndarray, Sequence[Any], int], Found]
    settings: Sequence[Any] = field(default=(None,))
    told: bool = False


def kmeans(vectors: np.ndarray, settings: Sequence[Any], number: int) -> Found:
    from sklearn.cluster import KMeans

    return {None: KMeans(number, n_init=1, random_state=0).fit_predict(vectors)}


def mini_batch_kmeans(vectors: np.ndarray, settings: Sequence[Any], number: int) -> Found:
    from sklearn.cluster import MiniBatchKMeans

    batch = max(1024, 3 * number)
    return {None: MiniBatchKMeans(number, n_init=1, batch_size=batch, random_state=0).fit_predict(vectors)}


def spectral(vectors: np.ndarray, settings: Sequence[Any], number: int) -> Found:
    from sklearn.cluster import SpectralClustering

    model = SpectralClustering(
        number, affinity="nearest_neighbors", n_neighbors=15, assign_labels="cluster_qr", random_state=0, n_jobs=-1
    )
    return {None: model.fit_predict(vectors)}


def average_linkage(vectors: np.ndarray, settings: Sequence[Any], number: int) -> Found:
    tree = _dendrogram(vectors, "average")
    return {s: fcluster(tree, 1 - s, "distance") for s in settings}


def average_linkage_told(vectors: np.ndarray, settings: Sequence[Any], number: int) -> Found:
    return {None: fcluster(_dendrogram(vectors, "average"), number, "maxclust")}


def single_linkage(vectors: np.ndarray, settings: Sequence[Any], number: int) -> Found:
    tree = _dendrogram(vectors, "single")
    return {s: fcluster(tree, 1 - s, "distance") for s in settings}


def _dendrogram(vectors: np.ndarray, method: str) -> np.ndarray:
    from fastcluster import linkage_wrap, mthidx
    from scipy.spatial.distance import pdist

    # Half of all distances as float64: 8 N^2 / 2 bytes. ``fastcluster.linkage`` copies them, whatever it is asked for.
    tree = np.empty((len(vectors) - 1, 4))
    linkage_wrap(len(vectors), pdist(vectors, "cosine"), tree, mthidx[method])
    return tree


def dbscan(vectors: np.ndarray, settings: Sequence[Any], number: int) -> Found:
    from sklearn.cluster import DBSCAN

    def labels(least: int, similarity: float) -> np.ndarray:
        radius = (2 - 2 * similarity) ** 0.5
        return DBSCAN(eps=radius, min_samples=least, n_jobs=-1).fit_predict(vectors)

    return {setting: labels(*setting) for setting in settings}


def hdbscan(vectors: np.ndarray, settings: Sequence[Any], number: int) -> Found:
    from hdbscan import HDBSCAN

    def labels(size: int, least: int) -> np.ndarray:
        return HDBSCAN(min_cluster_size=size, min_samples=least, core_dist_n_jobs=-1).fit_predict(vectors)

    return {setting: labels(*setting) for setting in settings}


def knn_dbscan(vectors: np.ndarray, settings: Sequence[Any], number: int) -> Found:
    """DBSCAN on the distances of the KNN graph alone."""
    from sklearn.cluster import DBSCAN

    near, similarity = neighbours(vectors, 14)
    rows = np.repeat(np.arange(len(vectors)), near.shape[1])
    distance = np.maximum(1 - similarity.ravel(), 1e-9)

    def labels(least: int, threshold: float) -> np.ndarray:
        kept = distance < 1 - threshold
        graph = csr_array((distance[kept], (rows[kept], near.ravel()[kept])), shape=(len(vectors),) * 2)
        graph = graph.maximum(graph.T).tocsr()
        return DBSCAN(eps=1 - threshold, min_samples=least, metric="precomputed").fit_predict(graph)

    return {setting: labels(*setting) for setting in settings}


def rank_order(vectors: np.ndarray, settings: Sequence[Any], number: int) -> Found:
    """Approximate rank order (Otto, Wang, Jain: Clustering Millions of Faces by Identity, 2017): lists of 80."""
    near, _ = neighbours(vectors, 80)
    distance = _rank_order_distances(near)
    rows = np.repeat(np.arange(len(vectors)), near.shape[1])

    def labels(most: float) -> np.ndarray:
        kept = distance.ravel() < most
        graph = coo_array((np.ones(kept.sum(), bool), (rows[kept], near.ravel()[kept])), shape=(len(vectors),) * 2)
        return connected_components(graph, directed=False)[1]

    return {setting: labels(setting) for setting in settings}


@njit(cache=True)
def _rank_order_distances(near):  # type: ignore[no-untyped-def]
    """Count, of the neighbours of each end up to the other, those that the other's list lacks; over the lower rank."""
    items, k = near.shape
    found = np.full((items, k), np.inf)
    for a in range(items):
        for place in range(k):
            b = near[a, place]
            rank = k
            for other in range(k):
                if near[b, other] == a:
                    rank = other
                    break
            missing = 0
            for one, two, last in ((a, b, place), (b, a, rank)):
                for i in range(min(last + 1, k)):
                    if near[one, i] != two and not (near[two] == near[one, i]).any():
                        missing += 1
            found[a, place] = missing / (min(place, rank) + 1)
    return found


def neighbours(vectors: np.ndarray, k: int) -> tuple[np.ndarray, np.ndarray]:
    """Search exactly up to 60,000 vectors, else 5 % of the cells."""
    if len(vectors) <= 60_000:
        similarity, near = faiss.knn(vectors, vectors, k + 1, metric=faiss.METRIC_INNER_PRODUCT)
    else:
        cells = round(4 * len(vectors) ** 0.5)
        index = faiss.index_factory(vectors.shape[1], f"IVF{cells},Flat", faiss.METRIC_INNER_PRODUCT)
        index.train(vectors[:: max(1, len(vectors) // (40 * cells))])
        index.add(vectors)
        index.nprobe = cells // 20
        similarity, near = index.search(vectors, k + 1)
    own = near == np.arange(len(vectors))[:, None]
    own[~own.any(axis=1), -1] = True
    return near[~own].reshape(-1, k), similarity[~own].reshape(-1, k)


_COARSE = SIMILARITIES[4::2]

PEERS = {
    "K-means*": Peer(kmeans, told=True),
    "mini-batch K-means*": Peer(mini_batch_kmeans, told=True),
    "spectral*": Peer(spectral, told=True),
    "HAC*": Peer(average_linkage_told, told=True),
    "HAC": Peer(average_linkage, SIMILARITIES),
    "single linkage": Peer(single_linkage, SIMILARITIES),
    "DBSCAN": Peer(dbscan, [(least, s) for least in (2, 4) for s in _COARSE]),
    "HDBSCAN": Peer(hdbscan, [(2, 1), (2, 2), (4, 4)]),
    "KNN-DBSCAN": Peer(knn_dbscan, [(least, s) for least in (2, 4, 8) for s in SIMILARITIES]),
    "approximate rank order": Peer(rank_order, tuple(np.round(np.arange(0.1, 3.01, 0.1), 1).tolist())),
}
