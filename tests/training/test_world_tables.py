"""Worlds in a crowd: who is in them, and which pairs teach."""

import numpy as np
import pandas as pd
import pytest

from cdp_spark.training import world_tables as stage

PARTITIONS = pytest.mark.parametrize("partitions", [1, 7])
PEOPLE, CROWD, NEAR = 40, 500, 300
"""Items 0 to 39 are of eight identities, 40 to 539 of none that is known, to 339 neighbours of these."""


@pytest.fixture(scope="module")
def tables(spark):
    people = pd.DataFrame({"item": np.arange(PEOPLE), "identity": np.arange(PEOPLE) % 8})
    crowd = pd.DataFrame({"item": np.arange(PEOPLE, PEOPLE + CROWD)})
    return spark.createDataFrame(people).cache(), spark.createDataFrame(crowd).cache()


@pytest.mark.engines("7")
@PARTITIONS
def test_the_crowd_is_in_every_world_and_people_are_thinned_as_without_it(tables, partitions):
    people, crowd = (table.repartition(partitions) for table in tables)
    alone = stage.members(people, (0.0, 3.0), seed=1).toPandas()
    found = stage.members(people, (0.0, 3.0), seed=1, crowd=crowd).toPandas()
    for world in (0, 1):
        here = found[found["world"] == world]["item"]
        assert sorted(here[here >= PEOPLE]) == list(range(PEOPLE, PEOPLE + CROWD))
        assert sorted(here[here < PEOPLE]) == sorted(alone[alone["world"] == world]["item"])
    assert len(alone[alone["world"] == 0]) == PEOPLE > len(alone[alone["world"] == 1])


@pytest.fixture
def features(spark):
    """All pairs with a labelled end, and a chain through the crowd of which a part is no one's neighbour."""
    src, dst = (axis.ravel() for axis in np.meshgrid(np.arange(PEOPLE), np.arange(PEOPLE + CROWD), indexing="ij"))
    chain = np.arange(PEOPLE, PEOPLE + CROWD - 1)
    near = (src < dst) & (dst < PEOPLE + NEAR)
    pairs = pd.DataFrame({"src": np.append(src[near], chain), "dst": np.append(dst[near], chain + 1)})
    return spark.createDataFrame(pairs).selectExpr("src", "dst", "array(float(src), float(dst)) as features")


@PARTITIONS
def test_of_the_crowd_what_lies_around_the_labelled_is_kept(tables, features, partitions):
    people, crowd = (table.repartition(partitions) for table in tables)
    pairs = features.repartition(partitions)
    found = stage.labelled(pairs, people, world=2, crowd=crowd).toPandas()
    labelled = found[~found["src_crowd"] & ~found["dst_crowd"]]
    assert len(labelled) == PEOPLE * (PEOPLE - 1) / 2
    assert (labelled["same"] == (labelled["src"] % 8 == labelled["dst"] % 8)).all()
    beside = found[found["src_crowd"] != found["dst_crowd"]]
    assert len(beside) == PEOPLE * NEAR
    inside = found[found["src_crowd"] & found["dst_crowd"]]
    assert sorted(inside["src"]) == list(range(PEOPLE, PEOPLE + NEAR - 1))
    assert not found["same"][found["src_crowd"] | found["dst_crowd"]].any()
    assert beside["dst_identity"].nunique() == NEAR
    alone = stage.labelled(pairs, people, world=2).toPandas()
    assert ends(alone) == ends(labelled)


@PARTITIONS
def test_of_pairs_with_the_crowd_every_second_teaches_and_of_pairs_inside_it_none(tables, features, partitions):
    people, crowd = (table.repartition(partitions) for table in tables)
    pairs = stage.labelled(features.repartition(partitions), people, world=2, crowd=crowd)
    found, every = stage.teaching(pairs).toPandas(), pairs.toPandas()
    assert not (found["src_crowd"] & found["dst_crowd"]).any()
    assert ends(found[~found["dst_crowd"]]) == ends(every[~every["src_crowd"] & ~every["dst_crowd"]])
    assert found["dst_crowd"].sum() == pytest.approx(PEOPLE * NEAR / 2, rel=0.05)
    alone = stage.labelled(features, people, world=2)
    assert ends(stage.teaching(alone).toPandas()) == ends(alone.toPandas())


def ends(pairs):
    return sorted(zip(pairs["src"], pairs["dst"], strict=True))
