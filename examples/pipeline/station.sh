#!/bin/sh
# The lowest, the mean and the highest temperature of one station.
set -eu
readings=$1 station=$2
mkdir -p out
awk -F, -v station="$station" '
	$1 == station {
		if (!n || $3 < low) low = $3
		if (!n || $3 > high) high = $3
		sum += $3; n++
	}
	END { if (n) printf "%d,%.1f,%.2f,%.1f\n", station, low, sum / n, high }
' "$readings/readings.csv" >out/row.csv
