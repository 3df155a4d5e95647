"""Components of batches of edges against networkx."""

import networkx as nx
import numpy as np
import pytest

from cdp_spark.base.numeric.connected import Components, connected_components

LARGEST = 2**63 - 1


def named_by_networkx(src, dst):
    graph = nx.Graph()
    graph.add_edges_from(zip(src.tolist(), dst.tolist(), strict=True))
    return {item: min(component) for component in nx.connected_components(graph) for item in component}


def as_dict(result):
    items, roots = result
    assert (np.diff(items) > 0).all()
    return dict(zip(items.tolist(), roots.tolist(), strict=True))


@pytest.mark.parametrize("seed", range(20))
@pytest.mark.parametrize("scale", [1, 10**12])
def test_random_graphs_agree_with_networkx_however_they_are_cut_into_batches(seed, scale):
    rng = np.random.default_rng(seed)
    src, dst = rng.integers(0, 300, (2, rng.integers(1, 400))) * scale
    components = Components(fold_edges=int(rng.integers(1, 100)))
    for batch in np.array_split(np.arange(len(src)), 7):
        components.add(src[batch], dst[batch])
    assert as_dict(components.result()) == named_by_networkx(src, dst) == as_dict(connected_components(src, dst))


def test_no_edges_give_no_items():
    items, roots = Components().result()
    assert (len(items), len(roots)) == (0, 0)


def test_ids_up_to_the_largest_long_are_kept_apart():
    src = np.array([LARGEST, 0, LARGEST - 2])
    dst = np.array([LARGEST - 1, 5, LARGEST - 3])
    assert as_dict(connected_components(src, dst)) == named_by_networkx(src, dst)


def test_a_long_path_in_random_order_is_one_component():
    order = np.random.default_rng(0).permutation(100_000)
    components = Components(fold_edges=1000)
    for batch in np.array_split(order, 50):
        components.add(batch, batch + 1)
    items, roots = components.result()
    assert len(items) == 100_001
    assert not roots.any()


@pytest.mark.parametrize("times", [1, 256, 512])
def test_repeats_of_an_edge_change_nothing(times):
    src, dst = np.full(times, 4), np.full(times, 8)
    assert as_dict(connected_components(src, dst)) == {4: 4, 8: 4}
