package sweep

import (
	"context"
	"errors"
	"iter"
	"math/rand/v2"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"testing"
	"time"

	"github.com/spotrelay/spotrelay/checkpointing"
	"github.com/spotrelay/spotrelay/checkpointing/bucket"
	"github.com/spotrelay/spotrelay/providers"
	"github.com/spotrelay/spotrelay/runner/job"
	"github.com/spotrelay/spotrelay/runner/plan"
	"github.com/spotrelay/spotrelay/runner/store"
)

// unused methods are those that nobody calls here.
type unused = providers.Provider

// cloud is a provider that has instances and nothing else.
type cloud struct {
	unused
	instances  []providers.Instance
	terminated []string
	listing    error
}

func (c *cloud) Provider(context.Context, string) (providers.Provider, error) { return c, nil }

// List gives all there are: a provider that ignores the tags, so that the
// sweep must look at them itself.
func (c *cloud) List(context.Context, providers.Fleet, map[string]string) ([]providers.Instance, error) {
	return c.instances, c.listing
}

func (c *cloud) Terminate(_ context.Context, _ providers.Fleet, ids []string) error {
	c.terminated = append(c.terminated, ids...)
	return nil
}

func (c *cloud) add(id, bucketID, run, intent string, state providers.InstanceState) {
	c.instances = append(c.instances, providers.Instance{ID: id, State: state, Tags: map[string]string{
		providers.TagBucket: bucketID, providers.TagRun: run, providers.TagIntent: intent, providers.TagFleet: "here",
	}})
}

func folder(t *testing.T) bucket.Bucket {
	t.Helper()
	b, err := bucket.Open(t.Context(), "file://"+t.TempDir()+"?sync=off")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { b.Close() })
	return b
}

// journalled makes a run with these events.
func journalled(t *testing.T, b bucket.Bucket, seed byte, events ...plan.Event) string {
	t.Helper()
	run, err := job.NewRunID(time.Unix(1e9, 0), rand.NewChaCha8([32]byte{seed}))
	if err != nil {
		t.Fatal(err)
	}
	spec := &job.Spec{Run: run, Fleets: []job.Fleet{{Name: "here", Provider: "cloud"}}, Tasks: []job.Task{{Name: "a", Count: 1, Fleets: []string{"here"}, Slots: 1}}}
	if err := store.WriteSpec(t.Context(), b, spec); err != nil {
		t.Fatal(err)
	}
	if _, err := store.OpenJournal(b, run, store.Position{}, 1, store.Holder{}).Append(t.Context(), store.Entry{Events: events}); err != nil {
		t.Fatal(err)
	}
	return run
}

func TestSweepEndsOnlyWhatIsProvenLeaked(t *testing.T) {
	b := folder(t)
	identity, err := bucket.Identify(t.Context(), b)
	if err != nil {
		t.Fatal(err)
	}
	known := providers.Instance{ID: "i-known", Tags: map[string]string{providers.TagFleet: "here"}}
	live := journalled(t, b, 1,
		plan.Event{LaunchOpened: &plan.LaunchOpened{Token: "t1", Fleet: "here", Group: "a", Count: 1}},
		plan.Event{LaunchAnswered: &plan.LaunchAnswered{Token: "t1", Instances: []providers.Instance{known}}},
		plan.Event{LaunchClosed: &plan.LaunchClosed{Token: "t1"}},
		plan.Event{LaunchOpened: &plan.LaunchOpened{Token: "t2", Fleet: "here", Group: "a", Count: 1}},
	)
	over := journalled(t, b, 2, plan.Event{RunEnded: &plan.RunEnded{Outcome: plan.OutcomeFailed}})
	broken := journalled(t, b, 3, plan.Event{RunEnded: &plan.RunEnded{Outcome: plan.OutcomeFailed}})
	if _, err := store.OpenJournal(b, broken, store.Position{Seq: 2}, 1, store.Holder{}).Append(t.Context(), store.Entry{}); err != nil {
		t.Fatal(err) // a gap: the journal cannot be trusted
	}
	c := &cloud{}
	c.add("i-known", identity.ID, live, "t1", providers.StateRunning)
	c.add("i-late", identity.ID, live, "t1", providers.StateRunning)
	c.add("i-coming", identity.ID, live, "t2", providers.StatePending)
	c.add("i-new", identity.ID, live, "t3", providers.StatePending)
	c.add("i-over", identity.ID, over, "t1", providers.StateRunning)
	c.add("i-stopped", identity.ID, over, "t1", providers.StateStopped)
	c.add("i-ended", identity.ID, over, "t1", providers.StateTerminated)
	c.add("i-broken", identity.ID, broken, "t1", providers.StateRunning)
	c.add("i-lost", identity.ID, "01hzy3k8w9v5t2q6n4m7c0d1ef", "t1", providers.StateRunning)
	c.add("i-untagged", identity.ID, "", "", providers.StateRunning)
	c.add("i-foreign", "another-bucket", over, "t1", providers.StateRunning)
	opts := Options{
		Bucket: b, Providers: c, KeepChunks: true,
		// Two fleets in one region see the same instances.
		Fleets: []job.Fleet{{Name: "there", Provider: "cloud"}, {Name: "here", Provider: "cloud"}},
	}
	want := map[string]Standing{
		"i-known": StandingLive, "i-late": StandingClosed, "i-coming": StandingUnclaimed, "i-new": StandingUnclaimed,
		"i-over": StandingOver, "i-stopped": StandingOver, "i-broken": StandingUnknown, "i-lost": StandingUnknown, "i-untagged": StandingUnknown,
	}
	found, err := Audit(t.Context(), opts)
	if err != nil {
		t.Fatal(err)
	}
	got := map[string]Standing{}
	for _, f := range found {
		if f.Fleet != "here" || f.Reason == "" {
			t.Errorf("%+v", f)
		}
		got[f.Instance.ID] = f.Standing
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got %v, want %v", got, want)
	}
	if len(c.terminated) != 0 {
		t.Fatalf("an audit ended %v", c.terminated)
	}
	dry := opts
	dry.DryRun = true
	if _, err := Collect(t.Context(), dry); err != nil || len(c.terminated) != 0 {
		t.Fatalf("a dry run ended %v (%v)", c.terminated, err)
	}
	if _, err := Collect(t.Context(), opts); err != nil {
		t.Fatal(err)
	}
	slices.Sort(c.terminated)
	if !slices.Equal(c.terminated, []string{"i-late", "i-over", "i-stopped"}) {
		t.Errorf("ended %v", c.terminated)
	}
}

// unreadable is a bucket whose runs cannot be read.
type unreadable struct{ bucket.Bucket }

func (u unreadable) List(ctx context.Context, prefix, after string) iter.Seq2[bucket.Object, error] {
	return func(yield func(bucket.Object, error) bool) {
		yield(bucket.Object{}, &bucket.Error{Code: bucket.CodeUnavailable, Op: "list", Key: prefix})
	}
}

func TestUnreadableBucketProvesNothing(t *testing.T) {
	b := folder(t)
	identity, err := bucket.Identify(t.Context(), b)
	if err != nil {
		t.Fatal(err)
	}
	over := journalled(t, b, 2, plan.Event{RunEnded: &plan.RunEnded{Outcome: plan.OutcomeFailed}})
	c := &cloud{}
	c.add("i-over", identity.ID, over, "t1", providers.StateRunning)
	result, err := Collect(t.Context(), Options{Bucket: unreadable{b}, Providers: c, Fleets: []job.Fleet{{Name: "here"}}})
	if !errors.Is(err, bucket.ErrUnavailable) { // the chunks' roots cannot be listed either
		t.Errorf("%v", err)
	}
	if len(c.terminated) != 0 || len(result.Instances) != 1 || result.Instances[0].Leaked {
		t.Errorf("ended %v, found %+v", c.terminated, result.Instances)
	}
}

func TestFleetThatCannotBeListed(t *testing.T) {
	b := folder(t)
	c := &cloud{listing: &providers.Error{Code: providers.CodeDenied, Op: "list", Message: "no"}}
	_, err := Audit(t.Context(), Options{Bucket: b, Providers: c, Fleets: []job.Fleet{{Name: "here"}}})
	if !errors.Is(err, &providers.Error{Code: providers.CodeDenied}) {
		t.Errorf("%v", err)
	}
}

// TestCollectKeepsRoots: chunks of checkpoints, outputs, workdirs (also of a
// submission under way) and cached outputs stay; others go.
func TestCollectKeepsRoots(t *testing.T) {
	b := folder(t)
	run := journalled(t, b, 5)
	engine := checkpointing.Open(b)
	attempt := job.AttemptID{Task: "a", Index: 0, Attempt: 1}
	keys := []string{
		store.CheckpointKey(run, "a", 0, 0, checkpointing.ID{Attempt: 1, Sequence: 2}),
		store.OutputKey(run, attempt),
		store.WorkdirKey("01hzy3k8w9v5t2q6n4m7c0d1ef"),
		store.CachePrefix + "abc/0-1/output-abc",
		"elsewhere/garbage",
	}
	for i, key := range keys {
		dir := t.TempDir()
		if err := os.WriteFile(filepath.Join(dir, "f"), []byte(key), 0o644); err != nil {
			t.Fatal(err)
		}
		id := checkpointing.ID{}
		if i == 0 {
			id = checkpointing.ID{Attempt: 1, Sequence: 2}
		}
		if _, err := engine.Save(t.Context(), dir, checkpointing.SaveOptions{Key: key, ID: id}); err != nil {
			t.Fatal(err)
		}
	}
	// Only what is older than the grace, by the store's time, is removed.
	var result Collected
	for result.Chunks.Removed == 0 && t.Context().Err() == nil {
		var err error
		if result, err = Collect(t.Context(), Options{Bucket: b, Grace: 20 * time.Millisecond}); err != nil {
			t.Fatal(err)
		}
	}
	if result.Chunks.Manifests != 4 {
		t.Errorf("%+v", result.Chunks)
	}
	for _, key := range keys {
		err := engine.Restore(t.Context(), checkpointing.Ref{Key: key}, filepath.Join(t.TempDir(), "d"), checkpointing.RestoreOptions{})
		if (err != nil) != (key == "elsewhere/garbage") {
			t.Errorf("%s: %v", key, err)
		}
	}
}
