#!/bin/sh
# Readings without the header and without those that are missing.
set -eu
mkdir -p out
awk -F, 'NR > 1 && $3 != ""' data/readings.csv >out/readings.csv
