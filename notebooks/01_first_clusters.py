# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#     text_representation: {extension: .py, format_name: percent}
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---

# %% [markdown]
# # 1 · First clusters in three lines
#
# Pictures of characters, embedded by four small networks, come with the project. This notebook clusters them without labels
# or a threshold: images on which the networks agree show one identity.

# %%
import matplotlib.pyplot as plt
import pandas as pd

import cdp_spark as cdp
from cdp_spark.datasets import glyphs
from cdp_spark.spark.session import local_session

OUTPUT = "runs/notebook-01"

# %% [markdown]
# On Databricks, the existing session is used; elsewhere, a local one starts. The three lines:

# %%
spark = local_session()
base, committee = glyphs.tables(spark, "unlabelled")
run = cdp.cluster(base, committee, output=OUTPUT)

# %% [markdown]
# One row per image: its cluster, its status, the score of its best pair, and the confidence.

# %%
clusters = run.clusters.toPandas()
clusters.head()

# %%
counts = run.record["counts"]
print(f"{counts['items']:,} images in {counts['clusters']:,} clusters, the largest of {counts['largest']:,}")
print({status: f"{number:,}" for status, number in counts["statuses"].items()})

# %% [markdown]
# How far can you trust this without labels? Two halves of the networks cluster the same images. If these clusterings agree
# to less than .65, the run warns. It also predicts the share of right pairs among the joined ones:

# %%
trust = run.record["without_labels"]
print(f"the halves agree to {trust['agreement']:.2f}; predicted precision {trust['predicted_precision']:.2f}")
print(run.record["warnings"] or "no warnings")

# %% [markdown]
# Each row below shows the first twelve pictures of one of the largest clusters, where mistakes are most likely.


# %%
def show(clusters: pd.DataFrame, rows: int = 6, columns: int = 12) -> None:
    """Draw the largest clusters, a row each."""
    pictures = glyphs.pictures("unlabelled")
    largest = clusters[clusters["cluster"] >= 0].groupby("cluster").size().sort_values(ascending=False).index[:rows]
    figure, axes = plt.subplots(rows, columns, figsize=(columns * 0.7, rows * 0.75))
    for axis in axes.ravel():
        axis.axis("off")
    for line, cluster in zip(axes, largest, strict=False):
        members = clusters.loc[clusters["cluster"] == cluster, "id"].sort_values()[:columns]
        for axis, item in zip(line, members, strict=False):
            axis.imshow(pictures[item], cmap="gray")
    figure.tight_layout(pad=0.2)
    plt.show()


show(clusters)

# %% [markdown]
# The report of the run, `runs/notebook-01/report.html`, shows more. The data have labels, which were not used to cluster.
# They show how good the clusters are:

# %%
figures = cdp.evaluate(run.clusters, glyphs.labels(spark, "unlabelled"))
pd.DataFrame(figures)[:6].round(3)
