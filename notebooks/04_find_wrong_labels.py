# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#     text_representation: {extension: .py, format_name: percent}
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---

# %% [markdown]
# # 4 · Find wrong labels
#
# Labelled data sets contain mistakes. The agreement of the models does not depend on the labels, so it can check them. Here,
# one label in twenty is exchanged on purpose; the steps below do not know which.

# %%
import matplotlib.pyplot as plt
import numpy as np
import pandas as pd

import cdp_spark as cdp
from cdp_spark.datasets import glyphs
from cdp_spark.spark.session import local_session

OUTPUT = "runs/notebook-04"
spark = local_session()
base, committee = glyphs.tables(spark, "unlabelled")
true = glyphs.labels(spark, "unlabelled").toPandas().set_index("id")["label"].sort_index()

random = np.random.default_rng(0)
chosen = random.choice(true.index, len(true) // 20, replace=False)
given = true.copy()
given[chosen] = true[np.roll(chosen, 1)].to_numpy()
wrong = given != true
print(f"{wrong.sum()} of {len(given):,} labels are wrong")

# %% [markdown]
# ## Cluster, then check
# The run does not use labels. The mediator that comes with the project was trained on other characters.

# %%
run = cdp.cluster(base, committee, output=OUTPUT, k=glyphs.K, base_name=glyphs.BASE, strategy="mediator", mediator=str(glyphs.MEDIATOR))
table = spark.createDataFrame(given.rename("label").reset_index())
checked = cdp.denoise(OUTPUT, table, output=f"{OUTPUT}-labels", spark=spark)
issues = checked.issues.toPandas().sort_values(["score", "id"], ascending=[False, True])
issues.head(8)

# %%
counts = issues.groupby("issue").agg(items=("id", "nunique"), wrong=("id", lambda ids: int(wrong[ids.unique()].sum())))
counts["share that is wrong"] = (counts["wrong"] / counts["items"]).round(3)
counts

# %% [markdown]
# Items of *duplicate_identities* are listed because two labels look like one character, not because their own label was
# exchanged: the data contain characters that look alike, and `denoise` finds them.
#
# ## How good is the ranking?
# Every item has a probability that its label is wrong. Go down the list from the most probable: which share of the items so
# far is wrong (precision), and which share of all wrong labels is among them (recall)?

# %%
scores = checked.scores.toPandas().set_index("id")["score"].sort_values(ascending=False, kind="stable")
hits = wrong[scores.index].cumsum().to_numpy()
precision, recall = hits / np.arange(1, len(hits) + 1), hits / hits[-1]
figure, axis = plt.subplots(figsize=(6, 3.4))
axis.plot(recall, precision, color="#4c7fb8")
axis.axhline(wrong.mean(), color="grey", linewidth=1, linestyle=":")
axis.set(xlabel="share of all wrong labels", ylabel="share of those listed that is wrong", ylim=(0, 1.02))
plt.tight_layout()
plt.show()

# %% [markdown]
# ## Look at them
# Each row shows the picture, pictures of its given label, and pictures of the suggested label.

# %%
pictures = glyphs.pictures("unlabelled")


def strip(axes, ids) -> None:
    """Draw one picture per axis."""
    for axis, item in zip(axes, ids):
        axis.imshow(pictures[item], cmap="gray")


top = issues[(issues["issue"] == "wrong_label") & issues["suggested"].notna()].head(6)
figure, axes = plt.subplots(len(top), 11, figsize=(8, 0.75 * len(top)))
for axis in axes.ravel():
    axis.axis("off")
for line, row in zip(axes, top.itertuples()):
    strip(line[:1], [row.id])
    strip(line[2:6], [item for item in given.index[given == row.given] if item != row.id])
    strip(line[7:11], given.index[given == row.suggested])
for column, title in ((0, "image"), (2, "given"), (7, "suggested")):
    axes[0][column].set_title(title, fontsize=8, loc="left")
figure.tight_layout(pad=0.2)
plt.show()

# %% [markdown]
# ## Correct them
# `apply` writes corrected labels beside the given ones.

# %%
cleaned = cdp.denoise(OUTPUT, table, output=f"{OUTPUT}-labels", spark=spark, apply=["wrong_label"]).labels
after = cleaned.toPandas().set_index("id")["label"].sort_index()
pd.Series({"wrong before": int(wrong.sum()), "wrong after": int((after != true).sum())})
