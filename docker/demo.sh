#!/bin/sh
# Clusters the characters that come with the project, out of the bucket and into it; further options win over these.
set -eu
data="${CDP_DATA:-s3a://cdp/glyphs/unlabelled}"
exec job.sh cluster \
    --base "$data/residual.parquet" --committee "$data/plain.parquet" "$data/wide.parquet" "$data/half.parquet" \
    --labels "$data/labels.parquet" --images "$data/images.parquet" --output "${CDP_OUTPUT:-s3a://cdp/runs/demo}" \
    --set input.encoding=float16 --set knn.k=14 --set consensus.threshold=0.575 "$@"
