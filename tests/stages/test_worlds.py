"""Worlds in a crowd: who is in them, and which pairs teach."""

import numpy as np
import pandas as pd
import pytest

from cdp_spark.stages import worlds as stage

PARTITIONS = pytest.mark.parametrize("partitions", [1, 7])
PEOPLE, CROWD = 40, 500
"""Items 0 to 39 are of eight identities, 40 to 539 of none that is known."""


@pytest.fixture(scope="module")
def tables(spark):
    people = pd.DataFrame({"item": np.arange(PEOPLE), "identity": np.arange(PEOPLE) % 8})
    crowd = pd.DataFrame({"item": np.arange(PEOPLE, PEOPLE + CROWD)})
    return spark.createDataFrame(people).cache(), spark.createDataFrame(crowd).cache()


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


@PARTITIONS
def test_of_pairs_with_the_crowd_every_second_teaches_and_of_pairs_inside_it_none(spark, tables, partitions):
    people, crowd = (table.repartition(partitions) for table in tables)
    src, dst = (axis.ravel() for axis in np.meshgrid(np.arange(PEOPLE), np.arange(PEOPLE + CROWD), indexing="ij"))
    pairs = pd.DataFrame({"src": src, "dst": dst})[src < dst]
    inside = pd.DataFrame({"src": np.arange(PEOPLE, 400), "dst": np.arange(PEOPLE, 400) + 1})
    table = spark.createDataFrame(pd.concat([pairs, inside])).repartition(partitions)
    features = table.selectExpr("src", "dst", "array(float(src), float(dst)) as features")
    found = stage.labelled(features, people, world=2, crowd=crowd).toPandas()
    labelled = found[~found["crowd"]]
    assert len(labelled) == PEOPLE * (PEOPLE - 1) / 2
    assert (labelled["same"] == (labelled["src"] % 8 == labelled["dst"] % 8)).all()
    others = found[found["crowd"]]
    assert (others["src"] < PEOPLE).all()
    assert (others["dst"] >= PEOPLE).all()
    assert not others["same"].any()
    assert len(others) == pytest.approx(PEOPLE * CROWD / 2, rel=0.05)
    assert others["dst_identity"].nunique() == others["dst"].nunique()
    alone = stage.labelled(features, people, world=2).toPandas()
    assert sorted(zip(alone["src"], alone["dst"], strict=True)) == sorted(
        zip(labelled["src"], labelled["dst"], strict=True)
    )
