# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#     text_representation: {extension: .py, format_name: percent}
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---

# %% [markdown]
# # 2 · Vote and mediator, and what each feature adds
#
# A vote accepts a pair if enough models have it among their nearest neighbours. A *mediator*, a small network, learns which
# pairs to accept from labelled images of other characters. Training needs torch (`pip install 'cdp-spark[train]'`).

# %%
import matplotlib.pyplot as plt
import pandas as pd

import cdp_spark as cdp
from cdp_spark.config.whole import TrainConfig
from cdp_spark.config.loading import load_config_of
from cdp_spark.datasets import glyphs
from cdp_spark.scoring.mediator_folder import write_mediator
from cdp_spark.spark.session import local_session
from cdp_spark.training.flow import train

OUTPUT = "runs/notebook-02"
spark = local_session()
base, committee = glyphs.tables(spark, "unlabelled")
labels = glyphs.labels(spark, "unlabelled")

# %% [markdown]
# ## By vote
# Zero to three of the three members must agree. The threshold is the best one for the labelled characters.

# %%
metrics = {}
for accept in range(len(committee) + 1):
    run = cdp.cluster(base, committee, output=OUTPUT, k=glyphs.K, accept=accept, threshold=glyphs.THRESHOLD)
    metrics[f"vote, {accept} of {len(committee)}"] = cdp.evaluate(run.clusters, labels)["kept"]

# %% [markdown]
# ## By mediator
# We add one group of features after another: which models have the pair (*relationship*), its similarity by each model
# (*affinity*), and the number of neighbours that the two images share (*structure*).

# %%
known, (first, *others) = glyphs.FOLDER / "labelled", (glyphs.BASE, *glyphs.COMMITTEE)
inputs = {
    "base": f"{known}/{first}.parquet",
    "committee": [f"{known}/{model}.parquet" for model in others],
    "labels": f"{known}/labels.parquet",
    "encoding": glyphs.ENCODING,
}
groups = ["relationship", "affinity", "structure"]
for count in range(1, len(groups) + 1):
    settings = {"input": inputs, "output": f"{OUTPUT}-train", "knn": {"k": glyphs.K}}
    config = load_config_of(TrainConfig, {**settings, "mediator": {"features": groups[:count]}})
    folder = f"{OUTPUT}-mediators/{count}"
    write_mediator(folder, train(config, spark=spark))
    run = cdp.cluster(base, committee, output=OUTPUT, k=glyphs.K, base_name=glyphs.BASE, strategy="mediator", mediator=folder)
    metrics["+ " + groups[count - 1]] = cdp.evaluate(run.clusters, labels)["kept"]

# %% [markdown]
# ## Without a threshold
# Clusters merge while a merge is more probable than not, so there is nothing to choose. With the mediator above, two clusters
# merge if the log odds of the pairs between them have a positive sum (`contraction`). A mediator of simulated worlds, which
# are thinned copies of the labelled data, also learns when clusters belong together (`learned`). The one that comes with the
# data was trained with `mediator.feature_set: rich`.

# %%
for rule, mediator in {"contraction": folder, "learned": str(glyphs.RICH_MEDIATOR)}.items():
    run = cdp.cluster(
        base, committee, output=OUTPUT, k=glyphs.K, base_name=glyphs.BASE, strategy="mediator", mediator=mediator, rule=rule
    )
    metrics[f"no threshold, {rule}"] = cdp.evaluate(run.clusters, labels)["kept"]

# %%
table = pd.DataFrame(metrics).T[["pairwise_precision", "pairwise_recall", "pairwise_f", "bcubed_f", "clusters"]]
table.astype(float).round(3)

# %%
axis = table[["pairwise_f", "bcubed_f"]].astype(float).plot.barh(figsize=(8, 3.6), color=["#4c7fb8", "#6aa67c"])
axis.invert_yaxis()
axis.set_xlabel("F, items without cluster kept as clusters of one")
axis.legend(["pairwise F", "BCubed F"], loc="upper left", bbox_to_anchor=(1, 1))
plt.tight_layout()
plt.show()

# %% [markdown]
# The models that share a pair tell little on their own; shared neighbours tell most. Training chose the mediator's threshold
# on held-out characters, and the run adjusted it to the share of true pairs in these data; the labels of these data were not
# used. Without a threshold, all pairs count and not only the strongest path, so that one wrong pair no longer joins two
# characters.
