# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#     text_representation: {extension: .py, format_name: percent}
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---

# %% [markdown]
# # 6 · At scale: plan, shards, recall, cost
#
# Five thousand images can show what happens to a hundred million: with low limits, they take the same path.

# %%
import matplotlib.pyplot as plt
import pandas as pd

import cdp_spark as cdp
from cdp_spark.config.loading import load_config
from cdp_spark.datasets import glyphs
from cdp_spark.spark.session import local_session
from cdp_spark.plan.flow import plan

OUTPUT = "runs/notebook-06"
spark = local_session()
base, committee = glyphs.tables(spark, "unlabelled")

# %% [markdown]
# ## Shards, cells and measured recall
# `exact_below: 0` makes the search approximate; shards of a thousand images stand in for shards of a million.

# %%
run = cdp.cluster(
    base, committee, output=OUTPUT, k=glyphs.K, threshold=glyphs.THRESHOLD,
    exact_below=0, shard_items=1000, recall_target=0.9, task_edges=3000,
)
pd.DataFrame(run.record["recall"]).T[["recall", "low", "high", "target", "met", "shards", "cells", "nprobe", "rounds"]]

# %% [markdown]
# Here, no task may hold the forest (`task_edges: 3000`), so components are found in rounds of many tasks, or by GraphFrames if
# its jar is present:

# %%
print(run.record["components_engine"]["components"], "·", run.record["components_engine"]["why"])

# %%
stages = pd.DataFrame(run.record["stages"])
stages["kind"] = stages["name"].str.split("/").str[0]
stages.groupby("kind", sort=False)[["made_seconds", "written_bytes"]].sum().round(1)

# %% [markdown]
# The clusters equal those of the exact search, except for neighbours that the approximate search misses:

# %%
exact = cdp.cluster(base, committee, output=f"{OUTPUT}-exact", k=glyphs.K, threshold=glyphs.THRESHOLD)
labels = glyphs.labels(spark, "unlabelled")
both = {"exact": exact, "shards and cells": run}
pd.DataFrame({name: cdp.evaluate(each.clusters, labels)["kept"] for name, each in both.items()})[:6].round(4)

# %% [markdown]
# ## What would more images cost?
# The estimate uses measurements that come with the package; two runs on your own cluster (`measured=[...]`) make it better.

# %%
paths = [f"{glyphs.FOLDER}/unlabelled/{model}.parquet" for model in (glyphs.BASE, *glyphs.COMMITTEE)]
config = load_config(
    {
        "input": {"base": paths[0], "committee": paths[1:], "encoding": glyphs.ENCODING},
        "output": OUTPUT,
        "knn": {"k": glyphs.K},
        "consensus": {"strategy": "vote"},
    }
)
sizes = [10**6, 10**7, 10**8, 10**9]
plans = plan(config, spark=spark, items=sizes, workers=64)
pd.DataFrame(
    {
        f"{each.items:.0e}": {
            "hours on 64 workers": each.seconds / 3600,
            "GiB of a worker": max(cost.peak_bytes for cost in each.stages.values()) / 2**30,
            "GB shuffled": sum(cost.shuffled_bytes for cost in each.stages.values()) / 1e9,
            "GB stored": sum(cost.written_bytes for cost in each.stages.values()) / 1e9,
        }
        for each in plans
    }
).round(2)

# %%
share = pd.DataFrame({f"{each.items:.0e}": {k: c.seconds / each.seconds for k, c in each.stages.items()} for each in plans})
axis = share.T.plot.bar(stacked=True, figsize=(9, 4), colormap="tab20", width=0.6)
axis.set(xlabel="items", ylabel="share of the time")
axis.legend(loc="center left", bbox_to_anchor=(1, 0.5), fontsize=8)
plt.tight_layout()
plt.show()
