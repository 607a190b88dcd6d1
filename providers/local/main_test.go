//go:build linux

package local

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"sync/atomic"
	"testing"
	"time"

	"github.com/spotrelay/spotrelay/checkpointing/bucket"
	"github.com/spotrelay/spotrelay/providers"
)

// The test binary is its own supervisor, its own agent, and the other
// processes that use the provider.
func TestMain(m *testing.M) {
	switch {
	case IsStage():
		os.Exit(RunStage())
	case filepath.Base(os.Args[0]) == "spotrelay-agent":
		os.Exit(runTestAgent())
	case os.Getenv("LOCAL_TEST_ROLE") != "":
		os.Exit(runTestRole(os.Getenv("LOCAL_TEST_ROLE")))
	}
	os.Exit(m.Run())
}

const patience = 20 * time.Second

// rig is a provider with a state folder and a bucket of its own, in which the
// agent lies.
type rig struct {
	*Provider
	t      testing.TB
	dir    string
	bucket string
	agents map[string]providers.AgentProgram
	fleet  providers.Fleet
	ctx    context.Context
	tokens atomic.Int64
}

func newRig(t testing.TB, config string) *rig {
	t.Helper()
	dir := t.TempDir()
	if err := os.Chmod(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	r := &rig{
		Provider: New(Options{StateDir: filepath.Join(dir, "state")}),
		t:        t, dir: dir, bucket: filepath.Join(dir, "bucket"), ctx: t.Context(),
		fleet: providers.Fleet{Name: "here", Config: json.RawMessage(config)},
	}
	r.agents = putAgent(t, r.bucket)
	for _, sub := range []string{"reports", "locks"} {
		if err := os.MkdirAll(filepath.Join(dir, "bucket", sub), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	t.Cleanup(r.endAll)
	return r
}

// putAgent puts this binary into the bucket.
func putAgent(t testing.TB, address string) map[string]providers.AgentProgram {
	t.Helper()
	program, err := os.ReadFile("/proc/self/exe")
	if err != nil {
		t.Fatal(err)
	}
	b, err := bucket.Open(t.Context(), address)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	key := "agents/test/" + platform() + "/spotrelay-agent"
	if _, err := b.Put(t.Context(), key, bytes.NewReader(program), bucket.Condition{}); err != nil {
		t.Fatal(err)
	}
	sum := sha256.Sum256(program)
	return map[string]providers.AgentProgram{platform(): {Key: key, SHA256: hex.EncodeToString(sum[:])}}
}

// endAll leaves nothing running after a test.
func (r *rig) endAll() {
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	ids, _ := r.state.fleet(r.fleet.Name).ids()
	for _, id := range ids {
		// Not by Terminate, which refuses those without our tags.
		s, lives, err := r.reach(ctx, r.state.fleet(r.fleet.Name).instance(id))
		if err == nil && lives {
			err = s.send(ctx, order{path: controlTerminate}, patience)
		}
		if err != nil && !errors.Is(err, errEnding) {
			r.t.Errorf("clear up %s: %v", id, err)
		}
	}
	// Supervisors give their locks up when they have cleared up.
	for _, id := range ids {
		if lock, err := waitLock(ctx, r.state.fleet(r.fleet.Name).instance(id).lockFile()); err == nil {
			lock.Close()
		}
	}
}

// request for instances whose agent does what do says.
func (r *rig) request(do string, count int) providers.LaunchRequest {
	r.t.Helper()
	offers, err := r.Offers(r.ctx, r.fleet, providers.Need{})
	if err != nil {
		r.t.Fatal(err)
	}
	return providers.LaunchRequest{
		Token:  "token-" + strconv.FormatInt(r.tokens.Add(1), 10),
		Offers: ofCapacity(offers, providers.Spot),
		Count:  count,
		Tags:   map[string]string{providers.TagBucket: "b", providers.TagRun: "run-1", providers.TagFleet: r.fleet.Name},
		Bootstrap: providers.Bootstrap{
			Bucket: r.bucket, Run: "run-1", Fleet: r.fleet.Name, Agents: r.agents,
			Environment: map[string]string{"TEST_DO": do, "TEST_REPORTS": r.bucket},
		},
	}
}

func ofCapacity(offers []providers.Offer, capacity providers.CapacityType) []providers.Offer {
	var some []providers.Offer
	for _, offer := range offers {
		if offer.Capacity == capacity {
			some = append(some, offer)
		}
	}
	return some
}

// launch one instance whose agent does what do says.
func (r *rig) launch(do string) string {
	r.t.Helper()
	return r.launchRequest(r.request(do, 1))
}

func (r *rig) launchRequest(request providers.LaunchRequest) string {
	r.t.Helper()
	result, err := r.Launch(r.ctx, r.fleet, request)
	if err != nil {
		r.t.Fatal(err)
	}
	if len(result.Instances) != 1 {
		r.t.Fatalf("launched %d instances, want 1: %+v", len(result.Instances), result.Failures)
	}
	return result.Instances[0].ID
}

// instance as listed.
func (r *rig) instance(id string) providers.Instance {
	r.t.Helper()
	instances, err := r.List(r.ctx, r.fleet, nil)
	if err != nil {
		r.t.Fatal(err)
	}
	for _, instance := range instances {
		if instance.ID == id {
			return instance
		}
	}
	return providers.Instance{}
}

func (r *rig) evidence(id string) providers.Evidence {
	r.t.Helper()
	evidence, err := r.Evidence(r.ctx, r.fleet, []string{id})
	if err != nil {
		r.t.Fatal(err)
	}
	return evidence[0]
}

// await polls until the condition holds, and fails the test when it never
// does.
func (r *rig) await(what, id string, condition func() bool) {
	r.t.Helper()
	ctx, cancel := context.WithTimeout(r.ctx, patience)
	defer cancel()
	if err := poll(ctx, func() (bool, error) { return condition(), nil }); err != nil {
		text := ""
		if id != "" {
			text, _ = r.Console(r.ctx, r.fleet, id)
		}
		_, file, line, _ := runtime.Caller(1)
		r.t.Fatalf("%s:%d: never came: %s\n%s", filepath.Base(file), line, what, text)
	}
}

func (r *rig) awaitEnd(id string) providers.Evidence {
	r.t.Helper()
	r.await("the end of the instance", id, func() bool { return r.instance(id).State == providers.StateTerminated })
	return r.evidence(id)
}

// report is what the test agent tells of itself.
type report struct {
	Environment []string
	PID         int
	Hostname    string
	Tmp         []string // entries of /tmp
	Interfaces  []string
	HostReached bool
	Metadata    string
	Seen        string // what it was told to look for
	Started     time.Time
}

func (r *rig) report(id string) report {
	r.t.Helper()
	var found report
	r.await("the agent's report", id, func() bool {
		return readJSON(filepath.Join(r.bucket, "reports", id), &found) == nil
	})
	return found
}

// held reports whether a process of the test agent's family still lives.
func (r *rig) held(name string) bool {
	r.t.Helper()
	lock, err := tryLock(filepath.Join(r.bucket, "locks", name))
	if err != nil {
		r.t.Fatal(err)
	}
	if lock == nil {
		return true
	}
	lock.Close()
	return false
}
