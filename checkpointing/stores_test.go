package checkpointing

import (
	"errors"
	"io/fs"
	"maps"
	"math/rand/v2"
	"net/http"
	"path/filepath"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/spotrelay/spotrelay/checkpointing/bucket"
	_ "github.com/spotrelay/spotrelay/checkpointing/bucket/gcsbucket" // opens gs://
	_ "github.com/spotrelay/spotrelay/checkpointing/bucket/s3bucket"  // opens s3://
	"github.com/spotrelay/spotrelay/checkpointing/bucket/servertest"
)

// TestStores saves to real object stores, and restores, through a proxy that
// loses answers: a store that refuses a body before it has come, and breaks
// the connection, looks like that too.
func TestStores(t *testing.T) {
	for name, start := range map[string]func(testing.TB, *servertest.Authority) *servertest.Server{
		"S3": servertest.StartS3, "GCS": servertest.StartGCS,
	} {
		t.Run(name, func(t *testing.T) {
			proxy := servertest.NewProxy(t, start(t, nil))
			b, err := bucket.Open(t.Context(), proxy.URL("acme/spotrelay"))
			if err != nil {
				t.Fatal(err)
			}
			defer b.Close()
			if _, err := bucket.Identify(t.Context(), b); err != nil {
				t.Fatal(err)
			}
			testStore(t, b, proxy)
		})
	}
}

// TestTwoAttempts: two attempts save one directory at once, again and again,
// one of which should be dead, on a store that tells lost races by 409 and by
// 412, also where there is none. The older one never wins.
func TestTwoAttempts(t *testing.T) {
	proxy := servertest.NewProxy(t, servertest.StartS3(t, nil))
	b, err := bucket.Open(t.Context(), proxy.URL("acme/spotrelay"))
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	var refused atomic.Int64
	proxy.Rule(func(r *http.Request) servertest.Fault {
		if r.Header.Get("If-None-Match") == "" || rand.IntN(3) > 0 {
			return servertest.Fault{}
		}
		if refused.Add(1)%2 == 0 {
			return servertest.Fault{Status: http.StatusPreconditionFailed, Body: "<Error><Code>PreconditionFailed</Code></Error>"}
		}
		return servertest.Fault{Status: http.StatusConflict, Body: "<Error><Code>ConditionalRequestConflict</Code></Error>"}
	})
	from, to := filepath.Join(memoryDir(t), "from"), filepath.Join(memoryDir(t), "to")
	old, young := Open(b), Open(b)
	for sequence := int64(1); sequence <= 8; sequence++ {
		content := state(uint64(sequence))
		if err := removeTree(from); err != nil {
			t.Fatal(err)
		}
		mustWrite(t, from, content)
		var both sync.WaitGroup
		for e, id := range map[Engine]ID{old: {1, 100 + sequence}, young: {2, sequence}} {
			both.Go(func() {
				if _, err := e.Save(t.Context(), from, SaveOptions{Key: keyOf(id), ID: id}); err != nil {
					t.Errorf("%v: %v", id, err)
				}
			})
		}
		both.Wait()
		ref, damaged, err := RestoreNewest(t.Context(), Open(b), series, to, RestoreOptions{})
		if err != nil || ref.ID != (ID{2, sequence}) || len(damaged) != 0 {
			t.Fatalf("restored %v, %v, damaged: %v", ref.ID, err, damaged)
		}
		mustHold(t, to, content)
	}
	mustWrite(t, filepath.Join(from, "more"), tree{"x": file("by a stale writer")})
	if _, err := old.Save(t.Context(), from, SaveOptions{Key: keyOf(ID{2, 8}), ID: ID{2, 8}}); !errors.Is(err, &Error{Code: CodeConflict}) {
		t.Errorf("a save under the other's name: %v", err)
	}
	if refused.Load() == 0 {
		t.Error("nothing was refused")
	}
}

func testStore(t *testing.T, b bucket.Bucket, proxy *servertest.Proxy) {
	first := tree{
		"sub":          dir(),
		"sub/weights":  file(noise(1, 12<<20+17)),
		"sub/small":    file("epoch 1"),
		"empty":        file(""),
		"zeroes":       file(strings.Repeat("\x00", 8<<20)),
		"newest":       link("sub/weights"),
		"model é+%.pt": {Mode: 0o600, Content: noise(2, 5_000), Time: someTime},
	}
	second := maps.Clone(first)
	second["sub/small"] = file("epoch 2")
	second["more"] = file(noise(3, 2<<20))

	work := memoryDir(t)
	mustWrite(t, filepath.Join(work, "first"), first)
	mustWrite(t, filepath.Join(work, "second"), second)
	saver := Open(b)
	one := mustSave(t, saver, filepath.Join(work, "first"), ID{Attempt: 1, Sequence: 1}, nil)

	// Every answer to a write is lost from here on, refusals too.
	var writes atomic.Int64
	proxy.Rule(func(r *http.Request) servertest.Fault {
		if r.Method != http.MethodPut && r.Method != http.MethodPost {
			return servertest.Fault{}
		}
		writes.Add(1)
		return servertest.Fault{Lose: true}
	})
	two := mustSave(t, saver, filepath.Join(work, "second"), ID{Attempt: 1, Sequence: 2}, &one.Ref)
	if writes.Load() == 0 || two.BytesSent >= one.BytesSent {
		t.Errorf("the second save made %d writes of %d bytes, the first one wrote %d", writes.Load(), two.BytesSent, one.BytesSent)
	}
	_, err := saver.Save(t.Context(), filepath.Join(work, "first"), SaveOptions{Key: keyOf(ID{Attempt: 1, Sequence: 2}), ID: ID{Attempt: 1, Sequence: 2}})
	if !errors.Is(err, bucket.ErrConflict) {
		t.Errorf("another save of the same name: %v", err)
	}
	proxy.Rule(nil)

	reader := Open(b)
	refs, err := reader.List(t.Context(), series)
	if err != nil || len(refs) != 2 || refs[1].Key != two.Ref.Key {
		t.Fatalf("the checkpoints are %v, %v", refs, err)
	}
	mustRestore(t, reader, one.Ref, filepath.Join(work, "again"))
	mustHold(t, filepath.Join(work, "again"), first)
	mustRestore(t, reader, two.Ref, filepath.Join(work, "again"))
	mustHold(t, filepath.Join(work, "again"), second)

	// The store's part of the promise: what the engine cannot read it names.
	proxy.Rule(func(r *http.Request) servertest.Fault {
		if strings.Contains(r.URL.Path, "data") {
			return servertest.Fault{Status: http.StatusForbidden}
		}
		return servertest.Fault{}
	})
	err = reader.Restore(t.Context(), one.Ref, filepath.Join(work, "denied"), RestoreOptions{})
	if !errors.Is(err, bucket.ErrDenied) {
		t.Errorf("a restore without permission: %v", err)
	}
	if _, err := readTree(filepath.Join(work, "denied")); !errors.Is(err, fs.ErrNotExist) {
		t.Errorf("it left a directory: %v", err)
	}
}
