package ec2test

import (
	"context"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	"github.com/aws/aws-sdk-go-v2/service/ec2"
	"github.com/aws/aws-sdk-go-v2/service/ec2/types"
)

// patience bounds a hang; nothing takes that long.
const patience = 2 * time.Minute

// eventually waits for a condition.
func eventually(t *testing.T, what string, holds func() bool) {
	t.Helper()
	deadline, look := time.After(patience), time.NewTicker(20*time.Millisecond)
	defer look.Stop()
	for !holds() {
		select {
		case <-look.C:
		case <-deadline:
			t.Fatalf("in vain: %s", what)
		}
	}
}

// machineRig boots instances with a script.
func machineRig(t *testing.T, share string) *rig {
	t.Helper()
	if err := MachinesWork(); err != nil {
		t.Skipf("NO REAL INSTANCES HERE: %v. The rest of this package has EC2's side, and providers/local has instances in process groups", err)
	}
	return newRig(t, Options{Machines: &Machines{Dir: t.TempDir(), Share: []string{share}, Programs: map[string]string{"hello": "#!/bin/sh\necho hello of the image\n"}}})
}

func (r *rig) boot(script string) string {
	r.t.Helper()
	r.template("relay", func(d *types.RequestLaunchTemplateData) { d.UserData = aws.String(encode64([]byte(script))) })
	return r.launch("t1", 1, r.pools([]string{"a"}, "m5.large"))[0]
}

func (r *rig) state(id string) string {
	for _, i := range r.server.Instances() {
		if i.ID == id {
			return i.State + " " + i.Reason.Code
		}
	}
	return "gone"
}

const askMetadata = `#!/bin/sh
base=http://169.254.169.254/latest
token=$(curl -sf -X PUT -H 'X-aws-ec2-metadata-token-ttl-seconds: 60' $base/api/token)
ask() { curl -s -o /tmp/answer -w '%{http_code} ' -H "X-aws-ec2-metadata-token: $token" $base/meta-data/$1; cat /tmp/answer; echo; }
`

// An instance runs its user data as root in a world of its own, with its own
// metadata at the real address, and nothing of it survives its reclaim.
func TestMachine(t *testing.T) {
	share := t.TempDir()
	r := machineRig(t, share)
	id := r.boot(askMetadata + `
id -u; hostname; hello; ask instance-id; ask spot/instance-action
touch /var/lib/here "` + share + `/here"
touch /usr/here 2>/dev/null && echo "the machine's /usr can be written"
(trap '' TERM HUP; setsid sh -c 'while :; do date >>"` + share + `/alive"; sleep 0.02; done') &
while :; do ask spot/instance-action | grep terminate && break; sleep 0.02; done
`)
	eventually(t, "the metadata service has no notice yet", func() bool { return strings.Contains(r.server.Console(id), "404") })
	r.server.Reclaim(id, time.Hour)
	eventually(t, "the notice is read", func() bool { _, seen := r.server.Reaction(id); return seen })
	eventually(t, "the console has it", func() bool { return strings.Contains(r.server.Console(id), `"action":"terminate"`) })
	console := r.server.Console(id)
	for _, want := range []string{"0\n" + id + "\n", "hello of the image", "200 " + id} {
		if !strings.Contains(console, want) {
			t.Errorf("the console lacks %q:\n%s", want, console)
		}
	}
	if strings.Contains(console, "can be written") {
		t.Error(console)
	}
	if _, err := os.Stat(filepath.Join(share, "here")); err != nil {
		t.Error(err)
	}
	if _, err := os.Stat("/var/lib/here"); err == nil {
		t.Error("the instance wrote to this machine's /var/lib")
	}
	r.server.Advance(time.Hour)
	if got := r.state(id); got != "terminated Server.SpotInstanceTermination" {
		t.Error(got)
	}
	r.server.byID[id].machine.wait()
	alive := filepath.Join(share, "alive")
	before, err := os.ReadFile(alive)
	if err != nil {
		t.Fatal(err)
	}
	<-time.After(100 * time.Millisecond)
	if after, _ := os.ReadFile(alive); len(after) != len(before) {
		t.Error("a process that ignores signals survived the reclaim")
	}
}

// An instance that powers itself off ends from inside, and this machine does
// not; one that is to stop is stopped.
func TestMachinePowersOff(t *testing.T) {
	for name, how := range map[string]string{
		"systemctl": "systemctl poweroff", "poweroff": "poweroff", "shutdown": "shutdown -h now", "kernel": "echo o >/proc/sysrq-trigger; kill -TERM 1",
	} {
		t.Run(name, func(t *testing.T) {
			r := machineRig(t, t.TempDir())
			id := r.boot("#!/bin/sh\n" + how + "\n")
			eventually(t, "it ends", func() bool { return r.state(id) == "terminated Client.InstanceInitiatedShutdown" })
		})
	}
	t.Run("stop", func(t *testing.T) {
		r := machineRig(t, t.TempDir())
		r.template("relay", func(d *types.RequestLaunchTemplateData) {
			d.UserData, d.InstanceInitiatedShutdownBehavior = aws.String(encode64([]byte("#!/bin/sh\npoweroff\n"))), types.ShutdownBehaviorStop
		})
		request := r.request("t1", 1, r.pools([]string{"a"}, "m5.large"))
		onDemand(request)
		out, err := r.client.CreateFleet(context.Background(), request)
		if err != nil {
			t.Fatal(err)
		}
		id := idsOf(out)[0]
		eventually(t, "it stops", func() bool { return r.state(id) == "stopped Client.InstanceInitiatedShutdown" })
		if _, err := r.client.TerminateInstances(context.Background(), &ec2.TerminateInstancesInput{InstanceIds: []string{id}}); err != nil {
			t.Error(err)
		}
		if got := r.state(id); got != "terminated Client.UserInitiatedShutdown" {
			t.Error(got)
		}
	})
}

// A crash leaves the instance running, as far as EC2 knows.
func TestMachineCrashes(t *testing.T) {
	r := machineRig(t, t.TempDir())
	id := r.boot("#!/bin/sh\necho up; sleep 1000\n")
	eventually(t, "it is up", func() bool { return strings.Contains(r.server.Console(id), "up") })
	r.server.Crash(id)
	r.server.byID[id].machine.wait()
	if got := r.state(id); got != "running " {
		t.Error(got)
	}
}
