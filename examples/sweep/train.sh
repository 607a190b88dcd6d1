# Fits y = 3x by gradient descent from a start that the seed gives. A learning
# rate that is too large diverges, which is a failure.
set -eu
awk -v lr="$1" -v seed="$2" 'BEGIN {
  w = seed - 1
  for (step = 0; step < 40; step++) w -= lr * (w - 3)
  loss = (w - 3) ^ 2
  printf "loss=%.6f\nweight=%.4f\n", loss, w
  exit loss > 1
}' > result
cat result >> "$SPOTRELAY_RESULT_FILE"
{ echo "name=$SPOTRELAY_KEY"; cat result; } > out/result
