# Counts up to $1, a step at a time, and keeps the squares in an index.
set -eu
state=$SPOTRELAY_CHECKPOINT_DIR/step
squares=$SPOTRELAY_CHECKPOINT_DIR_INDEX/squares

# The notice: SPOTRELAY_NOTICE_FILE says how long there is to write, and how
# much of it the last save takes. Both files are whole at any moment, so there
# is nothing to write. 75: saved, run me again.
trap 'cat "$SPOTRELAY_NOTICE_FILE"; exit 75' TERM

step=0
[ -e "$state" ] && step=$(cat "$state")
echo "going on after step $step, with $(cat "$squares" 2>/dev/null | wc -l) squares"
while [ "$step" -lt "$1" ]; do
  step=$((step + 1))
  { cat "$squares" 2>/dev/null || true; echo "$step $((step * step))"; } >"$squares.new"
  mv "$squares.new" "$squares"
  echo "$step" >"$state.new"
  mv "$state.new" "$state"
  spotrelay-agent checkpoint save >/dev/null
  sleep 0.2
done
echo "counted to $step"
[ "$(wc -l <"$squares")" -eq "$1" ]
