//go:build linux

package computetest_test

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"cloud.google.com/go/compute/apiv1/computepb"

	"github.com/spotrelay/spotrelay/providers/gcp/computetest"
)

const patience = time.Minute

// reached waits for a condition.
func reached(t *testing.T, what string, condition func() bool) {
	t.Helper()
	tick := time.NewTicker(5 * time.Millisecond)
	defer tick.Stop()
	for deadline := time.Now().Add(patience); !condition(); <-tick.C {
		if time.Now().After(deadline) {
			t.Fatal(what, "did not come about")
		}
	}
}

// boot makes an instance that runs a script, in real time.
func boot(t *testing.T, script string, o computetest.Options) (*rig, computetest.Instance) {
	o.Clock, o.Machines = realTime{}, t.TempDir()
	r := newRig(t, o)
	in := spotInstance("one")
	in.Metadata.Items[0].Value = ptr("#!/bin/sh\n" + script)
	must(r.instances.Insert(t.Context(), r.insertRequest(in)))(t)
	reached(t, "a machine", func() bool { all := r.Instances(); return len(all) == 1 && all[0].Folder != "" })
	return r, r.Instances()[0]
}

type realTime struct{}

func (realTime) Now() time.Time { return time.Now() }

func (realTime) AfterFunc(d time.Duration, f func()) func() {
	timer := time.AfterFunc(d, f)
	return func() { timer.Stop() }
}

func read(path string) string {
	data, _ := os.ReadFile(path)
	return string(data)
}

// An instance is processes with a metadata server; whatever they do to
// survive, they are gone with it.
func TestMachine(t *testing.T) {
	r, in := boot(t, `
get() { curl -fsS -H 'Metadata-Flavor: Google' "http://$GCE_METADATA_HOST/computeMetadata/v1/$1"; }
echo "id $(get instance/id) name $(get instance/name) zone $(get instance/zone) of $(get project/project-id)"
curl -s -o refused -w '%{http_code}' "http://$GCE_METADATA_HOST/computeMetadata/v1/instance/id" >code
get instance/preempted >preempted
get instance/service-accounts/default/token >token
get 'instance/preempted?wait_for_change=true' >changed &
setsid sh -c 'trap "" TERM HUP INT; while :; do sleep 1; done' &
(setsid sleep 1000 &)
echo ready >state
`, computetest.Options{SoftOff: time.Second})
	file := func(name string) string { return filepath.Join(in.Folder, name) }
	reached(t, "the script's end", func() bool { return strings.Contains(read(file("console.log")), "exit status 0") })
	for name, want := range map[string]string{"code": "403", "preempted": "FALSE", "token": `"access_token":"instance-`, "state": "ready", "console.log": "name one zone projects/"} {
		if got := read(file(name)); !strings.Contains(got, want) {
			t.Errorf("%s is %q, not %q", name, got, want)
		}
	}
	if console := must(r.instances.GetSerialPortOutput(t.Context(), &computepb.GetSerialPortOutputInstanceRequest{Project: project, Zone: zoneA, Instance: "one"}))(t); !strings.Contains(console.GetContents(), "name one") {
		t.Errorf("the serial port has %q", console.GetContents())
	}
	if len(r.Processes(in.ID)) < 3 {
		t.Errorf("its processes are %v", r.Processes(in.ID))
	}
	reached(t, "the hanging request", func() bool { return r.MetadataAsked(in.ID, "instance/preempted") == 2 })
	began := time.Now()
	r.Preempt(in.ID)
	reached(t, "the change", func() bool { return read(file("changed")) == "TRUE" })
	t.Logf("the hanging request was answered within %s", time.Since(began).Round(time.Millisecond))
	reached(t, "the end of all its processes", func() bool { return len(r.Processes(in.ID)) == 0 })
	if len(r.Living()) > 0 {
		t.Errorf("%+v lives", r.Living())
	}
}

// A machine whose first process ends was shut down from inside.
func TestMachinePowersOff(t *testing.T) {
	r, in := boot(t, "poweroff; sleep 100", computetest.Options{})
	reached(t, "TERMINATED", func() bool { return r.get("one").GetStatus() == "TERMINATED" })
	if found := r.operations(zoneA, `operationType = "compute.instances.guestTerminate"`); len(found) != 1 || found[0].GetTargetId() != in.ID {
		t.Errorf("the operations are %v", found)
	}
}

// The metadata server fails as often as it is told, and hangs on a value whose
// etag the asker knows.
func TestMetadata(t *testing.T) {
	r, in := boot(t, `
ask() { curl -s -D headers -o body -w '%{http_code}' -H 'Metadata-Flavor: Google' "http://$GCE_METADATA_HOST/computeMetadata/v1/instance/$1"; }
until [ -e go ]; do sleep 0.02; done
ask maintenance-event >first; ask maintenance-event >second
etag=$(sed -n 's/^[Ee][Tt]ag: *//p' headers | tr -d '\r')
ask "maintenance-event?wait_for_change=true&last_etag=$etag&timeout_sec=0" >late
cp body unchanged
ask 'maintenance-event?wait_for_change=true&last_etag=0' >other
ask none >missing
touch asked
ask "maintenance-event?wait_for_change=true&last_etag=$etag" >third
cp body event
`, computetest.Options{})
	file := func(name string) string { return filepath.Join(in.Folder, name) }
	r.BreakMetadata(in.ID, 1)
	if err := os.WriteFile(file("go"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	reached(t, "the first answers", func() bool { _, err := os.Stat(file("asked")); return err == nil })
	for name, want := range map[string]string{"first": "503", "second": "200", "late": "200", "unchanged": "NONE", "other": "200", "missing": "404"} {
		if got := read(file(name)); got != want {
			t.Errorf("%s is %q, not %q", name, got, want)
		}
	}
	r.Maintenance(in.ID, "TERMINATE_ON_HOST_MAINTENANCE")
	reached(t, "the event", func() bool { return read(file("event")) == "TERMINATE_ON_HOST_MAINTENANCE" })
	if n := r.MetadataAsked(in.ID, "instance/maintenance-event"); n != 5 {
		t.Errorf("%d requests, not 5", n)
	}
}
