#!/bin/sh
# Runs one command of cdp-spark on the cluster, with its exit code:  job.sh cluster --config s3a://cdp/cdp.yaml
set -eu
[ $# -gt 0 ] || { echo "job.sh: name a command, such as: job.sh cluster --config s3a://cdp/cdp.yaml" >&2; exit 2; }
job="${CDP_JOBS:-/opt/cdp-spark/jobs}/$1.py"
[ -f "$job" ] || { echo "job.sh: no command $1 (there is no $job)" >&2; exit 2; }
shift
exec spark-submit --master "${CDP_MASTER:-spark://master:7077}" "$job" "$@"
