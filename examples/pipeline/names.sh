#!/bin/sh
# The stations' names in the order that join wants them in.
set -eu
mkdir -p out
sort -t, -k1,1 data/names.csv >out/names.csv
