package gcp

import (
	"time"

	"github.com/spotrelay/spotrelay/providers"
)

const (
	metadataBase = "http://metadata.google.internal"
	// plainLead is what a spot instance has between its notice and its end:
	// Compute asks the system to shut down at once and takes the instance 30
	// seconds later (https://cloud.google.com/compute/docs/instances/spot#preemption-process).
	plainLead = 30 * time.Second
	// maintenanceLead is what Compute announces a maintenance event by
	// (https://cloud.google.com/compute/docs/metadata/getting-live-migration-notice).
	maintenanceLead = 60 * time.Second

	// varNoticeLead tells the agent of a longer notice than the probe says: the
	// fleet's preemption_notice is not known when the probe is.
	varNoticeLead = "SPOTRELAY_NOTICE_LEAD"
)

// noticeProbe is Compute's metadata service as data: a plain look first, then
// requests that hang until the value changes.
func noticeProbe() *providers.NoticeProbe {
	headers := map[string]string{"Metadata-Flavor": "Google"}
	const hang = "?wait_for_change=true&last_etag={etag}"
	return &providers.NoticeProbe{
		Metadata: metadataBase,
		Sources: []providers.NoticeSource{
			{
				Name: "instance/preempted", Kind: "interruption",
				URL: "{metadata}/computeMetadata/v1/instance/preempted", Headers: headers,
				Interval: time.Second, Hang: true, HangQuery: hang,
				Match: providers.NoticeMatch{Text: []string{"TRUE"}, Lead: plainLead},
			},
			{
				Name: "instance/maintenance-event", Kind: "maintenance",
				URL: "{metadata}/computeMetadata/v1/instance/maintenance-event", Headers: headers,
				Interval: time.Second, Hang: true, HangQuery: hang,
				Match: providers.NoticeMatch{Text: []string{"TERMINATE_ON_HOST_MAINTENANCE"}, Lead: maintenanceLead},
			},
		},
	}
}

// leave deletes the instance with its own token. Nothing else ends one for
// good: an instance that powers off is stopped, and its disk goes on costing.
// Where the service account may not delete, or nobody answers, it powers off
// all the same, which is cheap, and the controller or spotrelay gc deletes it.
func leave() providers.Leave {
	return providers.Leave{Means: providers.LeaveCommand, Command: []string{"/bin/sh", "-c", leaveScript}}
}

// leaveScript knows SPOTRELAY_INSTANCE (zone.name.number) and, where the
// metadata service is somewhere else, SPOTRELAY_METADATA; then the machine is
// not a VM that could be powered off. The request id is that of endRequest, by
// which Evidence knows who asked for the end.
const leaveScript = `set -u
base=${SPOTRELAY_METADATA:-` + metadataBase + `}
base=${base%/}/computeMetadata/v1
get() { curl -fsS --noproxy '*' -m 10 -H 'Metadata-Flavor: Google' "$base/$1"; }
zone=${SPOTRELAY_INSTANCE%%.*}
number=${SPOTRELAY_INSTANCE##*.}
digits=0000000000000000000000$number
digits=$(printf %s "$digits" | tail -c 22)
part() { printf %s "$digits" | cut -c "$1"; }
chance=$(od -An -N1 -tx1 /dev/urandom | tr -d ' \n')
request=` + markLeave + `$chance-$(part 1-4)-4$(part 5-7)-8$(part 8-10)-$(part 11-22)
end() {
  project=$(get project/project-id) || return 1
  token=$(get instance/service-accounts/default/token) || return 2
  token=$(printf %s "$token" | tr -d '\n' | sed -n 's/.*"access_token" *: *"\([^"]*\)".*/\1/p')
  api=$(get instance/attributes/` + endpointItem + ` 2>/dev/null) || api=https://compute.googleapis.com
  code=$(printf 'header = "Authorization: Bearer %s"\n' "$token" |
    curl -q -sS -m 30 -o /dev/null -w '%{http_code}' -X DELETE -K - \
      "$api/compute/v1/projects/$project/zones/$zone/instances/$number?requestId=$request") || return 1
  case $code in
  2??|404) return 0 ;;
  401|403) echo "the service account may not delete this instance (compute.instances.delete): $code" >&2; return 2 ;;
  *) echo "deleting this instance was answered with $code" >&2; return 1 ;;
  esac
}
for wait in 1 2 4 8; do
  end && exit 0
  [ $? != 2 ] || break
  sleep $wait
done
[ -z "${SPOTRELAY_METADATA:-}" ] || exit 1
echo "powering off; what remains is deleted by the controller or by spotrelay gc" >&2
sync
systemctl poweroff || poweroff || shutdown -h now
`

// endpointItem is the metadata item with the address of Compute's API, where it
// is not Google's.
const endpointItem = "spotrelay-endpoint"
