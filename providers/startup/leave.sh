# Ends the instance; $1 says why. The data before it say how.
[ "${SPOTRELAY_LEAVE:-}" != exit ] || leave_means='exit'
printf 'spotrelay: leaving (%s): %s\n' "$leave_means" "$1" >&2
case $leave_means in
power-off)
  sync
  systemctl poweroff || poweroff || shutdown -h now
  # Still here after a while: without asking anybody.
  sleep 120
  systemctl --force --force poweroff || poweroff -f || echo o >/proc/sysrq-trigger
  ;;
request | command)
  pause=1
  while :; do
    leave_once && exit 0
    sleep "$pause"
    pause=$((pause * 2))
    [ "$pause" -le 60 ] || exit 1
  done
  ;;
esac
exit 0
