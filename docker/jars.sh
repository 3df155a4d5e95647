#!/bin/sh
# Fetches jars and what they need into a folder, by Spark's own resolver:  jars.sh FOLDER GROUP:NAME:VERSION ...
# Done when the image is built: nothing is fetched when a container starts.
set -eu
folder="$1"
shift
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
packages="$(IFS=,; echo "$*")"
: > "$work/nothing.py"
spark-submit --master 'local[1]' --packages "$packages" --conf "spark.jars.ivy=$work/ivy" "$work/nothing.py"
mkdir -p "$folder"
mv "$work"/ivy/jars/*.jar "$folder"/
