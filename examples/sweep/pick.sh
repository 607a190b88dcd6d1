# Picks the combination with the least loss of those that converged.
set -eu
converged=0 best= least=
for folder in "$1"/*; do
  test -e "$folder/result" || continue # this one failed
  converged=$((converged + 1))
  loss=$(sed -n 's/^loss=//p' "$folder/result")
  if test -z "$least" || awk -v a="$loss" -v b="$least" 'BEGIN { exit !(a < b) }'; then
    least=$loss best=$(sed -n 's/^name=//p' "$folder/result")
  fi
done
{ echo "best=$best"; echo "loss=$least"; echo "converged=$converged"; } >> "$SPOTRELAY_RESULT_FILE"
