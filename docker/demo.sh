#!/bin/sh
# Clusters the project's characters from the bucket into the bucket. By a vote, which has half the stages of the default
# and so starts fewer jobs. Further options override these.
set -eu
data="${CDP_DATA:-s3a://cdp/glyphs/unlabelled}"
exec job.sh cluster \
    --base "$data/residual.parquet" --committee "$data/plain.parquet" "$data/wide.parquet" "$data/half.parquet" \
    --labels "$data/labels.parquet" --images "$data/images.parquet" --output "${CDP_OUTPUT:-s3a://cdp/runs/demo}" \
    --set input.encoding=float16 --set knn.k=14 --set consensus.threshold=0.575 "$@"
