# What plugin-static does on a host, as a program for sh. It is sent with each
# command and leaves nothing behind but the folder.
#
# The folder is the host's memory. An instance is instances/ID, made whole under
# another name and renamed, so that it never is there without its record, which
# holds its tags. Whatever changes something holds the folder's lock, which the
# kernel lets go when its holder dies; so any number of controllers may share a
# host.
#
#   instances/ID/record  what the provider wrote, not looked at here
#   instances/ID/env     the agent's environment, one NAME=VALUE a line
#   instances/ID/life    seconds that it may live; 0: for ever
#   instances/ID/keeper  pid, start and boot of the process that started the agent
#   instances/ID/cause   why its agent ended, if not by itself
#   instances/ID/ended   cause and time of the end
#   instances/ID/console what the agent printed
#   agents/SHA256        agent programs
set -u
umask 077
LC_ALL=C
export LC_ALL

op=$1 folder=$2
shift 2

fail() {
	echo "plugin-static: $*" >&2
	exit 1
}

case $folder in
/*) ;;
*) folder=$HOME/$folder ;;
esac
mkdir -p "$folder/instances" "$folder/agents" "$folder/new" || fail "the folder $folder cannot be made"
cd "$folder" || fail "the folder $folder cannot be entered"

lock() {
	exec 9>lock || fail "the lock cannot be opened"
	flock -w 60 9 || fail "the lock is held for a minute, see: fuser $folder/lock"
}

read -r boot </proc/sys/kernel/random/boot_id

# started PID sets started to when a process began, in the kernel's ticks.
started() {
	started=gone
	{ read -r line <"/proc/$1/stat"; } 2>/dev/null || return
	# shellcheck disable=SC2086 # the fields after the command's name
	set -- ${line##*) }
	shift 19
	started=$1
}

# members ID prints the processes of an instance: those of its session, and
# those that bear its mark.
members() {
	session=none
	[ -s "instances/$1/keeper" ] && read -r session begun booted <"instances/$1/keeper" && [ "$booted" != "$boot" ] && session=none
	{
		cat /proc/[0-9]*/stat 2>/dev/null | sed -n 's/^\([0-9]*\) (.*) \(.*\)$/\1 \2/p' |
			awk -v session="$session" '$5 == session && $2 != "Z" { print $1 }'
		grep -lzxF "SPOTRELAY_INSTANCE=$1" /proc/[0-9]*/environ 2>/dev/null | cut -d/ -f3
	} | sort -u
}

# end ID CAUSE kills an instance's processes and notes its end. It fails when
# some do not go.
end() {
	[ -e "instances/$1/ended" ] && return 0
	for _ in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
		left=$(members "$1")
		if [ -z "$left" ]; then
			cause=$2
			# The keeper knows better than one who finds its agent gone.
			[ "$2" = from-inside ] && [ -s "instances/$1/cause" ] && read -r cause <"instances/$1/cause"
			echo "$cause $(date +%s)" >"instances/$1/ended.new"
			mv "instances/$1/ended.new" "instances/$1/ended"
			rm -rf "instances/$1/home" "instances/$1/env"
			return 0
		fi
		# shellcheck disable=SC2086 # a list of pids
		kill -9 $left 2>/dev/null
		sleep 0.1
	done
	return 1
}

# settle ID finds out what became of an instance. The lock is held.
settle() {
	[ -e "instances/$1/ended" ] && return
	if [ ! -s "instances/$1/keeper" ]; then
		end "$1" configuration # it was made and never started
		return
	fi
	read -r pid begun booted <"instances/$1/keeper"
	started "$pid"
	if [ "$booted" != "$boot" ]; then
		end "$1" host-event
	elif [ "$started" != "$begun" ]; then
		end "$1" from-inside
	fi
}

show() {
	if [ -e "instances/$1/ended" ]; then
		read -r cause at <"instances/$1/ended"
		echo "$1 terminated $cause $at $(base64 -w0 "instances/$1/record")"
	else
		echo "$1 running running 0 $(base64 -w0 "instances/$1/record")"
	fi
}

# living sets living to how many instances have not ended.
living() {
	living=0
	for i in instances/*/; do
		[ -d "$i" ] && [ ! -e "$i/ended" ] && living=$((living + 1))
	done
}

# keep ID is the process that stays with the agent.
keep() {
	program=$PROGRAM
	unset PROGRAM
	cd "instances/$1" || exit 1
	mkdir -p home
	started $$
	echo "$$ $started $boot" >keeper.new && mv keeper.new keeper
	while IFS= read -r variable; do
		export "${variable?}"
	done <env
	SPOTRELAY_INSTANCE=$1 SPOTRELAY_HOME=$PWD/home
	export SPOTRELAY_INSTANCE SPOTRELAY_HOME
	read -r life <life
	began=$(date +%s)
	if [ "$life" -gt 0 ]; then
		timeout -k 30 "$life" ../../agents/"$2"
	else
		../../agents/"$2"
	fi
	echo "the agent ended with $?"
	[ "$life" -gt 0 ] && [ $(($(date +%s) - began)) -ge "$life" ] && echo max-life >cause
	# What it left behind is killed by a process that is no member itself.
	unset SPOTRELAY_INSTANCE
	setsid sh -c "$program" sh over "$folder" "$1" </dev/null >/dev/null 2>&1 &
}

case $op in
facts)
	echo "cpus $(nproc)"
	echo "memory $(sed -n 's/^MemTotal: *\([0-9]*\) kB/\1/p' /proc/meminfo)"
	echo "arch $(uname -m)"
	echo "os $(uname -s)"
	for tool in flock setsid timeout base64 sha256sum awk; do
		command -v "$tool" >/dev/null || fail "there is no program $tool"
	done
	;;
list)
	lock
	find instances new -mindepth 1 -maxdepth 1 -mmin +1440 2>/dev/null | while read -r i; do
		case $i in
		new/*) rm -rf "$i" ;;
		*) [ -e "$i/ended" ] && rm -rf "$i" ;;
		esac
	done
	for i in instances/*/; do
		[ -d "$i" ] || continue
		id=${i#instances/} id=${id%/}
		settle "$id"
		show "$id"
	done
	;;
launch) # SLOTS AGENT LIFE ENV, then ID RECORD for each; all but the numbers in base64
	slots=$1 agent=$2 life=$3 env=$4
	shift 4
	[ -x "agents/$agent" ] || fail "the agent $agent is not here"
	lock
	for i in instances/*/; do
		i=${i#instances/}
		[ -d "instances/$i" ] && settle "${i%/}"
	done
	while [ $# -ge 2 ]; do
		id=$1 record=$2
		shift 2
		if [ -e "instances/$id" ]; then
			show "$id"
			continue
		fi
		living
		[ "$living" -lt "$slots" ] || break
		rm -rf "new/$id"
		mkdir "new/$id" || fail "new/$id cannot be made"
		{
			echo "$record" | base64 -d >"new/$id/record" &&
				echo "$env" | base64 -d >"new/$id/env" &&
				echo "$life" >"new/$id/life"
		} || fail "the instance's record cannot be written; is the disk full?"
		sync "new/$id/record" 2>/dev/null
		mv "new/$id" "instances/$id" || fail "instances/$id cannot be made"
		setsid sh -c "$PROGRAM" sh keep "$folder" "$id" "$agent" \
			</dev/null >"instances/$id/console" 2>&1 9>&- &
		for _ in 1 2 3 4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 20; do
			[ -s "instances/$id/keeper" ] && break
			sleep 0.05
		done
		show "$id"
	done
	;;
keep)
	keep "$1" "$2"
	;;
over)
	lock
	end "$1" from-inside
	;;
terminate)
	lock
	for id; do
		[ -d "instances/$id" ] || continue
		settle "$id"
		end "$id" by-us || fail "some processes of $id cannot be killed"
	done
	;;
console)
	[ -d "instances/$1" ] || exit 3
	tail -c 65536 "instances/$1/console" 2>/dev/null
	exit 0
	;;
has-agent)
	[ -x "agents/$1" ] && echo yes
	exit 0
	;;
put-agent)
	cat >"new/agent.$$" || fail "the agent cannot be written; is the disk full?"
	sum=$(sha256sum <"new/agent.$$" | cut -d' ' -f1)
	if [ "$sum" != "$1" ]; then
		rm -f "new/agent.$$"
		fail "the agent came with the SHA-256 $sum, not $1"
	fi
	chmod 755 "new/agent.$$" && mv "new/agent.$$" "agents/$1"
	;;
*)
	fail "there is no operation $op"
	;;
esac
