#!/bin/sh
# One table of all stations, with their names, the warmest first.
set -eu
stations=$1 names=$2
mkdir -p out
cat "$stations"/*/row.csv | sort -t, -k1,1 >rows.csv
join -t, "$names/names.csv" rows.csv | sort -t, -k4,4nr -k1,1n >out/table.csv
