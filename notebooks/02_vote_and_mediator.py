# ---
# jupyter:
#   jupytext:
#     formats: ipynb,py:percent
#     text_representation: {extension: .py, format_name: percent}
#   kernelspec: {display_name: Python 3, language: python, name: python3}
# ---

# %% [markdown]
# # 2 · Vote against mediator, and what each feature adds
#
# A vote believes a pair when enough models have it among their nearest neighbours. A *mediator*, a small network, learns
# from labelled images of other characters which pairs to believe. Training needs torch (`pip install 'cdp-spark[train]'`).

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
# Of three members zero to three must agree. The threshold is the one that suits the labelled part.

# %%
judged = {}
for accept in range(len(committee) + 1):
    run = cdp.cluster(base, committee, output=OUTPUT, k=glyphs.K, accept=accept, threshold=glyphs.THRESHOLD)
    judged[f"vote, {accept} of {len(committee)}"] = cdp.evaluate(run.clusters, labels)["kept"]

# %% [markdown]
# ## By mediator
# With one group of features after the other: who has the pair (*relationship*), how similar it is to each model
# (*affinity*), how many neighbours its ends share (*structure*).

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
    place = f"{OUTPUT}-mediators/{count}"
    write_mediator(place, train(config, spark=spark))
    run = cdp.cluster(base, committee, output=OUTPUT, k=glyphs.K, base_name=glyphs.BASE, strategy="mediator", mediator=place)
    judged["+ " + groups[count - 1]] = cdp.evaluate(run.clusters, labels)["kept"]

# %% [markdown]
# ## Without a threshold
# Clusters merge until no two would rather be one: nothing to choose. With the mediator above two are one when the log odds
# of all pairs between them say so (`contraction`). A mediator of simulated worlds, thinned copies of the labelled part,
# also learns to judge clusters (`learned`); the one that comes with the data is made by `mediator.feature_set: rich`.

# %%
for rule, mediator in {"contraction": place, "learned": str(glyphs.RICH_MEDIATOR)}.items():
    run = cdp.cluster(
        base, committee, output=OUTPUT, k=glyphs.K, base_name=glyphs.BASE, strategy="mediator", mediator=mediator, rule=rule
    )
    judged[f"no threshold, {rule}"] = cdp.evaluate(run.clusters, labels)["kept"]

# %%
table = pd.DataFrame(judged).T[["pairwise_precision", "pairwise_recall", "pairwise_f", "bcubed_f", "clusters"]]
table.astype(float).round(3)

# %%
axis = table[["pairwise_f", "bcubed_f"]].astype(float).plot.barh(figsize=(8, 3.6), color=["#4c7fb8", "#6aa67c"])
axis.invert_yaxis()
axis.set_xlabel("F, items without cluster kept as clusters of one")
axis.legend(["pairwise F", "BCubed F"], loc="upper left", bbox_to_anchor=(1, 1))
plt.tight_layout()
plt.show()

# %% [markdown]
# Which pairs two models share tells little by itself; shared neighbours tell most. The mediator's threshold is the one
# its training chose on held-out characters, moved as the share of true pairs in these data asks: nothing here was set by
# looking at these labels. Without a threshold every pair has its say, not only the strongest path, so that one wrong pair
# no longer joins two characters.
