#!/bin/sh
# Runs one worker of a standalone cluster in the foreground; what its executors write lies in its work folder.
set -eu
exec spark-class org.apache.spark.deploy.worker.Worker \
    --host "${CDP_HOST:-$(hostname)}" --webui-port "${CDP_WEB_PORT:-8081}" \
    --cores "${CDP_CORES:-2}" --memory "${CDP_MEMORY:-4g}" --work-dir "${CDP_WORK:-/tmp/spark-work}" \
    "${CDP_MASTER:-spark://master:7077}"
