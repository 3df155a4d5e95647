#!/bin/sh
# Runs the master of a standalone cluster in the foreground.
set -eu
exec spark-class org.apache.spark.deploy.master.Master \
    --host "${CDP_HOST:-$(hostname)}" --port "${CDP_PORT:-7077}" --webui-port "${CDP_WEB_PORT:-8080}"
