package relaytest

import (
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spotrelay/spotrelay/providers/aws/ec2test"
)

// awsFleet takes the place of the example's own fleets.
const awsFleet = `
fleet "aws" {
  provider = "aws"

  config {
    region         = "us-east-1"
    instance_types = ["m5.large", "m6i.large", "c5.large"]
  }
}
`

// epochs are enough for four attempts: one takes a second at least, for its
// checkpoint, and a notice is read within two.
const epochs = "12"

// trainJob is the train example with a fleet on AWS.
func trainJob(w *world) string {
	w.t.Helper()
	source := filepath.Join(repository(), "examples", "train")
	for _, name := range []string{"train.go", "model.go", "training.go"} {
		w.write("train/"+name, w.read(filepath.Join(source, name)))
	}
	text, _, cut := strings.Cut(w.read(filepath.Join(source, "train.hcl")), `fleet "calm"`)
	fleet := strings.NewReplacer(`"stormy", "calm"`, `"aws"`, `"stormy"`, `"aws"`)
	if !cut || !strings.Contains(text, `"stormy", "calm"`) {
		w.t.Fatal("the example's job file looks otherwise than this test thinks")
	}
	return w.write("train/train.hcl", fleet.Replace(text)+awsFleet)
}

// throttled are the operations that are throttled twice each.
var throttled = []string{"CreateFleet", "DescribeInstances", "TerminateInstances"}

// attempts is what attempts --json prints, as far as it is looked at.
type attempts struct {
	Attempts []struct {
		Attempt int    `json:"attempt"`
		Class   string `json:"class"`
		Cause   string `json:"cause"`
		Charge  string `json:"charge"`
		Final   bool   `json:"final"`
		Offer   struct {
			Zone         string `json:"zone"`
			InstanceType string `json:"instance_type"`
			Capacity     string `json:"capacity"`
		} `json:"offer"`
		Restored *struct {
			Key string `json:"key"`
		} `json:"restored"`
	} `json:"attempts"`
}

// TestTrain runs the train example on EC2: two zones have no spot capacity and
// calls are throttled; the first instance is reclaimed with a notice, the second
// without, the third with a notice that the spot request calls by another name;
// the last attempt runs on-demand. The metric is that of a training that nothing
// interrupted, and no instance is left.
func TestTrain(t *testing.T) {
	t.Parallel()
	w := newRealWorld(t, ec2test.Options{ListLag: time.Second})
	for _, kind := range []string{"m5.large", "m6i.large", "c5.large"} {
		for _, zone := range []string{"us-east-1a", "us-east-1b"} {
			w.cloud.SetCapacity(ec2test.Pool{Zone: zone, InstanceType: kind, Lifecycle: "spot"}, 0)
		}
	}
	for _, operation := range throttled {
		w.cloud.Inject(ec2test.Fault{Operation: operation, Code: "RequestLimitExceeded", Message: "Request limit exceeded.", Times: 2})
	}
	file := trainJob(w)
	ended, took := make(chan struct{}), make(chan []string, 1)
	go func() { took <- w.storm(ended) }()
	began := time.Now()
	w.spotrelay(0, "run", file, "-var", "epochs="+epochs)
	close(ended)
	t.Logf("the run took %s", time.Since(began).Round(100*time.Millisecond))
	taken := <-took
	t.Logf("the attempts:\n%s", w.spotrelay(0, "attempts", "last"))
	w.checkAttempts(taken)
	w.checkMetric()
	if live := w.cloud.Live(); len(live) > 0 {
		t.Errorf("instances are left: %q", live)
	}
	w.spotrelay(0, "audit")
	w.checkCalls()
}

// storm takes the spot instances one after the other, each when its attempt has
// committed something, and gives their ids.
func (w *world) storm(ended <-chan struct{}) []string {
	ways := []func(id string){
		func(id string) { w.cloud.Reclaim(id, 8*time.Second) },
		func(id string) { w.cloud.Reclaim(id, 0) },
		func(id string) { w.cloud.ReclaimAs(id, 8*time.Second, "marked-for-termination") },
	}
	var taken []string
	last := 0 // attempt
	for _, take := range ways {
		var id string
		found := until(ended, func() bool {
			for _, i := range w.cloud.Instances() {
				if i.Pool.Lifecycle == "spot" && i.State == "running" && !slices.Contains(taken, i.ID) {
					id = i.ID
					return true
				}
			}
			return false
		})
		if !found {
			break
		}
		// The one before may save its last checkpoint when this one is up already.
		if !until(ended, func() bool { return w.newest("train") > last }) {
			break
		}
		last = w.newest("train")
		take(id)
		taken = append(taken, id)
		until(ended, func() bool { _, seen := w.cloud.Reaction(id); return seen || !slices.Contains(w.cloud.Live(), id) })
		if reaction, seen := w.cloud.Reaction(id); seen {
			w.t.Logf("the agent read the notice %s after it was told", reaction.Round(time.Millisecond))
		}
	}
	return taken
}

func (w *world) checkAttempts(taken []string) {
	w.t.Helper()
	if len(taken) != 3 {
		w.t.Errorf("%d instances were taken, not 3", len(taken))
	}
	var list attempts
	w.ask(&list, "attempts", "last", "train")
	if len(list.Attempts) != 4 {
		w.t.Fatalf("%d attempts, not 4", len(list.Attempts))
	}
	for _, a := range list.Attempts[:3] {
		if a.Class != "preempted" || a.Charge != "preemptions" || a.Offer.Capacity != "spot" || a.Offer.Zone != "us-east-1c" {
			w.t.Errorf("attempt %d was %+v", a.Attempt, a)
		}
	}
	last := list.Attempts[3]
	if last.Class != "succeeded" || last.Offer.Capacity != "on-demand" || !last.Final || last.Restored == nil {
		w.t.Errorf("the last attempt was %+v", last)
	}
	for _, i := range w.cloud.Instances() {
		w.t.Logf("%s %s %s %s: %s, %s", i.ID, i.Pool.InstanceType, i.Pool.Zone, i.Pool.Lifecycle, i.Reason.Code, i.SpotStatus)
	}
}

// checkMetric trains once more with nothing in between and compares byte by
// byte.
func (w *world) checkMetric() {
	w.t.Helper()
	fetched := filepath.Join(w.dir, "fetched")
	w.spotrelay(0, "outputs", "last", "train", "--to", fetched)
	program, calm := filepath.Join(w.dir, "calm-train"), filepath.Join(w.dir, "calm")
	build := exec.Command("go", "build", "-o", program, "train.go", "model.go", "training.go")
	build.Dir, build.Env = filepath.Join(w.dir, "train"), w.env
	if out, err := build.CombinedOutput(); err != nil {
		w.t.Fatalf("%v\n%s", err, out)
	}
	run := exec.Command(program, "-epochs", epochs, "-checkpoint", filepath.Join(w.dir, "calm-ckpt"), "-output", calm)
	run.Env = os.Environ()
	if out, err := run.CombinedOutput(); err != nil {
		w.t.Fatalf("%v\n%s", err, out)
	}
	got, want := w.read(filepath.Join(fetched, "metric.json")), w.read(filepath.Join(calm, "metric.json"))
	if got != want {
		w.t.Errorf("the metrics differ:\ninterrupted %s\nuninterrupted %s", got, want)
	} else {
		w.t.Logf("the metric is that of an uninterrupted training: %.60q...", got)
	}
}

// checkCalls wants the throttled calls, and logs all of them.
func (w *world) checkCalls() {
	w.t.Helper()
	counts := map[string]int{}
	for _, call := range w.cloud.Calls("") {
		counts[strings.TrimSpace(call.Service+":"+call.Operation+" "+call.Code)]++
	}
	for _, operation := range throttled {
		if n := counts["ec2:"+operation+" RequestLimitExceeded"]; n != 2 {
			w.t.Errorf("%s was throttled %d times, not twice", operation, n)
		}
	}
	for _, call := range slices.Sorted(maps.Keys(counts)) {
		w.t.Logf("%4d %s", counts[call], call)
	}
}
