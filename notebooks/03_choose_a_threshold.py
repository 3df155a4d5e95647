# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#     text_representation: {extension: .py, format_name: percent}
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---

# %% [markdown]
# # 3 · Choose a threshold
#
# You can try other thresholds without another search: the forest of all scored pairs holds the clusters of every threshold.

# %%
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

import cdp_spark as cdp
from cdp_spark.datasets import glyphs
from cdp_spark.spark.session import local_session

OUTPUT = "runs/notebook-03"
spark = local_session()
base, committee = glyphs.tables(spark, "unlabelled")
run = cdp.cluster(base, committee, output=OUTPUT, k=glyphs.K, accept=2, threshold=0.35)

# %% [markdown]
# ## A giant component
# This threshold is too low: single wrong pairs join characters until one component holds most of the data. The run warns, and
# names the weakest pairs that joined it.

# %%
for warning in run.record["warnings"]:
    print(warning)

# %% [markdown]
# ## A sweep

# %%
thresholds = np.round(np.arange(0.30, 0.95, 0.02), 2).tolist()
swept = cdp.sweep(OUTPUT, thresholds, spark=spark)
rows = pd.DataFrame(swept.rows)
print(f"best without labels: {swept.best:g} ({swept.why})")
rows[["threshold", "clusters", "singletons", "discarded", "largest", "largest_component"]][::4]

# %%
figure, (left, right) = plt.subplots(1, 2, figsize=(10, 3.2))
left.plot(rows["threshold"], rows["clusters"], color="#4c7fb8")
left.set(xlabel="threshold", ylabel="clusters")
right.semilogy(rows["threshold"], rows["largest_component"], color="#c8553d")
right.set(xlabel="threshold", ylabel="largest component")
for axis in (left, right):
    axis.axvline(swept.best, color="grey", linewidth=1)
plt.tight_layout()
plt.show()

# %% [markdown]
# The labels, which one would not have at this point, show how close that is to the best threshold:

# %%
truth = f"{glyphs.FOLDER}/unlabelled/labels.parquet"
by_label = pd.DataFrame(cdp.sweep(OUTPUT, thresholds, spark=spark, labels=truth).rows)
axis = by_label.plot(x="threshold", y=["pairwise_f", "bcubed_f"], figsize=(7, 3), color=["#4c7fb8", "#6aa67c"])
axis.axvline(swept.best, color="grey", linewidth=1)
plt.tight_layout()
plt.show()

# %% [markdown]
# ## Why are these two together?
# For two images of one cluster: the strongest path between them, and the evidence of all models on each pair of it.

# %%
from cdp_spark.evidence.as_text import text

largest = run.clusters.where("cluster >= 0").orderBy("size", "cluster", "id", ascending=[False, True, True]).limit(2)
one, two = (row["id"] for row in largest.collect())
print(text(cdp.explain(OUTPUT, one, two, spark=spark)))

# %% [markdown]
# ## Apply it
# The same call with the other threshold makes anew only what depends on it.

# %%
run = cdp.cluster(base, committee, output=OUTPUT, k=glyphs.K, accept=2, threshold=swept.best)
made = [stage["name"] for stage in run.record["stages"] if not stage["reused"]]
print(f"made: {', '.join(made)}, of {len(run.record['stages'])} stages")
run.clusters.groupBy("status").count().toPandas()
