# --- the instance ends when anything below fails

boot_timer='' max_timer='' agent_pid=''

leave() { /bin/sh -c "$leave_script" leave "$1"; }

fail() {
  say "boot failed: $*"
  leave "boot failed: $*"
  exit 1
}

# timer SECONDS COMMAND... runs the command later; TERM to $! ends it.
timer() {
  timer_after=$1
  shift
  (
    sleep "$timer_after" &
    timer_sleep=$!
    trap 'kill "$timer_sleep" 2>/dev/null; exit 0' TERM
    wait "$timer_sleep" && "$@"
  ) </dev/null &
}

stop_timer() {
  [ -z "$1" ] || { kill "$1" 2>/dev/null; wait "$1" 2>/dev/null; }
}

too_slow() {
  say "boot failed: the agent did not start within $boot_timeout s"
  leave "boot failed: the agent did not start within $boot_timeout s"
  kill -TERM $$
}

# retry TRIES COMMAND... with pauses of 1, 2, 4, ... 30 s.
retry() {
  r_left=$1 r_pause=1
  shift
  until "$@"; do
    r_left=$((r_left - 1))
    [ "$r_left" -gt 0 ] || return 1
    sleep "$r_pause"
    r_pause=$((r_pause * 2))
    [ "$r_pause" -le 30 ] || r_pause=30
  done
}

# --- metadata

# metadata PATH prints a value of the metadata service.
metadata() {
  case $metadata_kind in
  ec2)
    m_token=$(direct=1 http PUT "$metadata_base/latest/api/token" - 'X-aws-ec2-metadata-token-ttl-seconds: 21600') || return 1
    direct=1 http GET "$metadata_base/latest/meta-data/$1" - "X-aws-ec2-metadata-token: $m_token"
    ;;
  gce) direct=1 http GET "$metadata_base/computeMetadata/v1/$1" - 'Metadata-Flavor: Google' ;;
  *) return 1 ;;
  esac
}

find_metadata() {
  case $metadata_kind in
  ec2)
    metadata_base=${AWS_EC2_METADATA_SERVICE_ENDPOINT:-}
    [ -z "$metadata_base" ] || SPOTRELAY_METADATA=${SPOTRELAY_METADATA:-$metadata_base}
    ;;
  gce)
    metadata_base=${GCE_METADATA_HOST:+http://$GCE_METADATA_HOST}
    [ -z "$metadata_base" ] || SPOTRELAY_METADATA=${SPOTRELAY_METADATA:-$metadata_base}
    ;;
  esac
  metadata_base=${metadata_base:-http://169.254.169.254}
  metadata_base=${metadata_base%/}
  [ -z "${SPOTRELAY_METADATA:-}" ] || export SPOTRELAY_METADATA
}

# find_instance replaces each {path} of the pattern by the last element of what
# the metadata service has there.
find_instance() {
  f_rest=$instance instance=''
  while :; do
    case $f_rest in
    *'{'*'}'*)
      instance=$instance${f_rest%%'{'*}
      f_rest=${f_rest#*'{'}
      f_value=$(retry 7 metadata "${f_rest%%'}'*}") || fail "the metadata service at $metadata_base does not tell who this instance is"
      instance=$instance${f_value##*/}
      f_rest=${f_rest#*'}'}
      ;;
    *) break ;;
    esac
  done
  instance=$instance$f_rest
  [ -n "$instance" ] || instance=${SPOTRELAY_INSTANCE:-}
  [ -n "$instance" ] || fail 'nothing says who this instance is: SPOTRELAY_INSTANCE is not set'
}

# --- the agent program; from_<store> is in a file of its own

sha256() { s_sum=$(sha256sum) && printf '%s' "${s_sum%% *}"; }

right() { [ -f "$1" ] && [ "$(sha256 <"$1")" = "$agent_sha256" ]; }

# fetch gets the agent and checks it; a wrong one is asked for again, twice.
fetch() {
  if right "$boot/agent"; then return 0; fi
  rm -f "$boot/agent.part"
  (
    if [ -n "${AWS_CA_BUNDLE:-}" ]; then export CURL_CA_BUNDLE="$AWS_CA_BUNDLE" SSL_CERT_FILE="$AWS_CA_BUNDLE"; fi
    "from_$bucket_store" "$agent_path" "$boot/agent.part"
  ) || return 1
  if right "$boot/agent.part"; then
    chmod 0755 "$boot/agent.part" && mv -f "$boot/agent.part" "$boot/agent"
    return
  fi
  say "the agent from the bucket has not the checksum $agent_sha256"
  rm -f "$boot/agent.part"
  wrong=$((wrong + 1))
  [ "$wrong" -lt 3 ] || fail 'the agent in the bucket is not the one that this run was given; nothing was started'
  return 1
}

# --- the agent

quote() { printf '%s' "$1" | sed "s/'/'\\\\''/g; 1s/^/'/; \$s/\$/'/"; }

# The file start has the agent's whole environment, whoever runs it.
write_files() {
  own="export SPOTRELAY_INSTANCE=$(quote "$instance") SPOTRELAY_HOME=$(quote "$home") PATH=$(quote "$PATH") HOME=$(quote "${HOME:-/root}")"
  [ -z "${SPOTRELAY_METADATA:-}" ] || own="$own SPOTRELAY_METADATA=$(quote "$SPOTRELAY_METADATA")"
  printf '%s\n%s\numask 022\ncd / || exit 1\nexec %s run\n' "$exports" "$own" "$(quote "$boot/agent")" >"$boot/start" &&
    printf '%s\n%s\n' "$own" "$leave_script" >"$boot/leave" &&
    printf '%s\n' "$watch_script" >"$boot/watch"
}

with_systemd() {
  [ -d /run/systemd/system ] && [ "$(id -u)" = 0 ] && command -v systemd-run >/dev/null 2>&1
}

start_with_systemd() {
  if [ "$max_life" -gt 0 ]; then
    systemd-run --quiet --unit=spotrelay-max-life --on-active="${max_life}s" \
      /bin/sh "$boot/leave" "its longest life of $max_life s is over" || return 1
  fi
  systemd-run --quiet --no-block --unit=spotrelay-agent --description='spotrelay agent' \
    -p Restart=no -p OOMScoreAdjust=-900 -p KillMode=mixed -p TimeoutStopSec=120 -p Delegate=yes \
    -p LimitNOFILE=1048576 -p TasksMax=infinity -p StandardOutput=journal+console -p StandardError=journal+console \
    /bin/sh "$boot/start" || return 1
  systemd-run --quiet --no-block --unit=spotrelay-watch --description='spotrelay: ends this machine when the agent is dead' \
    -p OOMScoreAdjust=-1000 -p StandardOutput=journal+console -p StandardError=journal+console \
    /bin/sh "$boot/watch" "$boot/leave"
}

# end_agent lets the agent save what it can; supervise sees it end and leaves.
end_agent() {
  say "its longest life of $max_life s is over"
  kill -TERM "$agent_pid" 2>/dev/null
  sleep 120 &
  timer_sleep=$!
  wait "$timer_sleep"
  kill -KILL "$agent_pid" 2>/dev/null
}

# supervise runs the agent as a child and leaves when it has ended; $1 is what
# the child is started with.
supervise() {
  ${1:+"$1"} /bin/sh "$boot/start" </dev/null &
  agent_pid=$!
  trap 'stopped=1; kill -TERM "$agent_pid" 2>/dev/null' TERM INT HUP
  if [ "$max_life" -gt 0 ]; then
    timer "$max_life" end_agent
    max_timer=$!
  fi
  # A signal ends a wait early; what was waited for already gives 127.
  agent_code='' stopped=1
  while [ "$stopped" = 1 ]; do
    stopped=0
    wait "$agent_pid"
    supervise_code=$?
    [ -n "$agent_code" ] && [ "$supervise_code" = 127 ] || agent_code=$supervise_code
  done
  stop_timer "$max_timer"
  [ "$agent_code" = 0 ] || say "the agent ended with exit code $agent_code"
  leave 'the agent has ended'
  exit "$agent_code"
}

main() {
  PATH=${PATH:+$PATH:}/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin
  export PATH
  home=${SPOTRELAY_HOME:-$home}
  boot=$home/boot wrong=0
  say 'starting'
  if [ "$boot_timeout" -gt 0 ]; then
    timer "$boot_timeout" too_slow
    boot_timer=$!
  fi
  (umask 022 && mkdir -p "$home") && mkdir -p "$boot" && chmod 700 "$boot" || fail "the folder $home cannot be made"
  umask 077
  find_metadata
  find_instance
  export SPOTRELAY_INSTANCE="$instance" SPOTRELAY_HOME="$home"
  case $(uname -m) in
  x86_64 | amd64) machine=amd64 ;;
  aarch64 | arm64) machine=arm64 ;;
  *) machine=$(uname -m) ;;
  esac
  platform=$(uname -s | tr '[:upper:]' '[:lower:]')-$machine
  agent_for "$platform" || fail "this run has no agent for $platform; it has $agent_platforms"
  retry 8 fetch || fail "the agent could not be fetched from $bucket_address"
  write_files || fail "the folder $boot cannot be written"
  umask 022
  stop_timer "$boot_timer"
  say "starting the agent on $instance"
  [ "${SPOTRELAY_LEAVE:-}" != exit ] || leave_means='exit'
  if [ "$leave_means" = exit ]; then supervise; fi
  if with_systemd; then
    if start_with_systemd; then exit 0; fi
    fail 'systemd could not start the agent'
  fi
  # Without systemd: in the background, so that the boot goes on.
  if [ -w /dev/console ]; then log=/dev/console; else log=$boot/agent.log; fi
  supervise setsid >>"$log" 2>&1 &
  exit 0
}

main
