#!/bin/sh
# What a person wants to know of the table.
set -eu
table=$1
mkdir -p out
{
	echo "stations: $(wc -l <"$table/table.csv" | tr -d ' ')"
	echo "warmest:  $(head -n 1 "$table/table.csv" | cut -d, -f2,4)"
	echo "coldest:  $(tail -n 1 "$table/table.csv" | cut -d, -f2,4)"
} >out/report.txt
cat out/report.txt
