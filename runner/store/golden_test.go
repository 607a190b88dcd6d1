package store

import (
	"bytes"
	"context"
	"encoding/json"
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/spotrelay/spotrelay/checkpointing/bucket"
	"github.com/spotrelay/spotrelay/checkpointing/bucket/buckettest/memory"
	"github.com/spotrelay/spotrelay/runner/agent/bootstrap"
	"github.com/spotrelay/spotrelay/runner/job"
	"github.com/spotrelay/spotrelay/runner/plan"
)

// update writes the golden documents of the release to come anew. Those of
// releases that are out never change: see docs/versions.md.
var update = flag.Bool("update-golden", false, "write the golden documents of the release to come")

// nextRelease is the folder of the golden documents that may still change. With
// each release it is renamed here, and a new folder begins.
const nextRelease = "v1"

// kind is one kind of document: how a full one looks, and what today's code
// makes of one that it reads.
type kind struct {
	name  string
	full  any
	again func(data []byte) (any, error)
}

// kinds are all documents by which processes of different releases speak.
func kinds(f *filler) []kind {
	snapshot := full[Snapshot](f, "snapshot")
	snapshot.State = mustJSON(full[plan.State](f, "snapshot.state"))
	delete(f.maps, "snapshot.state")
	return []kind{
		of[job.Spec](f, "spec"), of[job.Desired](f, "desired"), of[job.Status](f, "status"),
		of[Lease](f, "lease"), of[requestDocument](f, "request"), of[Member](f, "member"),
		{"entry", everyEvent(f), func(data []byte) (any, error) { return DecodeEntry("entry", data) }},
		{"snapshot", snapshot, func(data []byte) (any, error) {
			read, err := DecodeSnapshot("snapshot", data)
			if err != nil {
				return nil, err
			}
			var folded plan.State
			err = json.Unmarshal(read.State, &folded)
			read.State = mustJSON(folded)
			return read, err
		}},
		{"bucket", bucket.Identity{ID: "abcdefghijklmnopqrstuvwxyz", Format: 1}, func(data []byte) (any, error) {
			b := memory.New("golden")
			if _, err := b.Put(context.Background(), "bucket.json", bytes.NewReader(data), bucket.Condition{}); err != nil {
				return nil, err
			}
			return bucket.Identify(context.Background(), b)
		}},
		of[job.Execs](f, "exec"), of[job.ExecResult](f, "exec-result"),
		of[CacheEntry](f, "cache-entry"), of[claimDocument](f, "cache-claim"),
		{"agent-config", full[bootstrap.Config](f, "agent-config"), func(data []byte) (any, error) { return bootstrap.Decode(string(data)) }},
	}
}

func of[T any](f *filler, name string) kind {
	return kind{name, full[T](f, name), func(data []byte) (any, error) { return decode[T](name, data) }}
}

// everyEvent is an entry with one event of each kind.
func everyEvent(f *filler) Entry {
	entry := full[Entry](f, "entry")
	entry.Events = nil
	event := reflect.TypeFor[plan.Event]()
	for i := range event.NumField() {
		if event.Field(i).Type.Kind() != reflect.Pointer {
			continue
		}
		one := reflect.New(event).Elem()
		one.FieldByName("At").SetInt(int64(time.Second))
		f.fill(one.Field(i), "entry.events[]."+nameOf(event.Field(i)))
		entry.Events = append(entry.Events, one.Interface().(plan.Event))
	}
	return entry
}

// TestGoldenDocuments: the documents of every release are read to the values
// that they had, and what a later release adds to them is passed over.
func TestGoldenDocuments(t *testing.T) {
	f := &filler{maps: map[string]bool{}}
	all := kinds(f)
	root := filepath.Join("testdata", "golden")
	if *update {
		writeGolden(t, filepath.Join(root, nextRelease), all)
	}
	releases, err := filepath.Glob(filepath.Join(root, "*"))
	if err != nil || !slices.Contains(releases, filepath.Join(root, nextRelease)) {
		t.Fatalf("the golden documents of %s are missing: go test ./runner/store -run TestGoldenDocuments -update-golden (%v)", nextRelease, err)
	}
	for _, release := range releases {
		for _, k := range all {
			t.Run(filepath.Base(release)+"/"+k.name, func(t *testing.T) {
				golden, err := os.ReadFile(filepath.Join(release, k.name+".json"))
				if err != nil {
					t.Fatal(err)
				}
				readsTo(t, k, golden, golden)
				readsTo(t, k, mustJSON(f.added(tree(t, golden), k.name)), golden)
				if filepath.Base(release) != nextRelease {
					return
				}
				// What the code can write by now is in the newest set.
				for _, fault := range lacking(tree(t, golden), tree(t, mustJSON(k.full)), k.name) {
					t.Errorf("%s: write the set of the release to come anew, by -update-golden", fault)
				}
			})
		}
	}
}

// readsTo: data is read, and holds all that golden does.
func readsTo(t *testing.T, k kind, data, golden []byte) {
	t.Helper()
	read, err := k.again(data)
	if err != nil {
		t.Fatalf("it is not read any more: %v", err)
	}
	for _, fault := range lacking(tree(t, mustJSON(read)), tree(t, golden), k.name) {
		t.Errorf("what is read lost something: %s", fault)
	}
}

// TestUnknownEvents: events of a later release are counted and change nothing
// else.
func TestUnknownEvents(t *testing.T) {
	data := []byte(`{"version":1,"seq":1,"epoch":1,"nonce":"n","now":5,"holder":{"id":"h","host":"x","pid":1},"events":[{"at":5,"instance_hibernated":{"instance":"i-1"}}]}`)
	entry, err := DecodeEntry("journal/1", data)
	if err != nil {
		t.Fatal(err)
	}
	state := plan.New(&job.Spec{Run: testRun})
	var at Position
	at.Fold(state, entry)
	if state.Unknown != 1 || at.Seq != 1 {
		t.Errorf("%d unknown events at entry %d", state.Unknown, at.Seq)
	}
}

func writeGolden(t *testing.T, dir string, all []kind) {
	t.Helper()
	if err := os.MkdirAll(dir, 0o755); err != nil {
		t.Fatal(err)
	}
	for _, k := range all {
		var text bytes.Buffer
		if err := json.Indent(&text, mustJSON(k.full), "", "  "); err != nil {
			t.Fatal(err)
		}
		text.WriteByte('\n')
		if err := os.WriteFile(filepath.Join(dir, k.name+".json"), text.Bytes(), 0o644); err != nil {
			t.Fatal(err)
		}
	}
}

func mustJSON(value any) []byte {
	data, err := json.Marshal(value)
	if err != nil {
		panic(err)
	}
	return data
}

func tree(t *testing.T, data []byte) (value any) {
	t.Helper()
	if err := json.Unmarshal(data, &value); err != nil {
		t.Fatal(err)
	}
	return value
}

// lacking is what want has and got has not, or otherwise.
func lacking(got, want any, path string) []string {
	switch want := want.(type) {
	case map[string]any:
		object, _ := got.(map[string]any)
		var faults []string
		for name, value := range want {
			faults = append(faults, lacking(object[name], value, path+"."+name)...)
		}
		slices.Sort(faults)
		return faults
	case []any:
		array, _ := got.([]any)
		if len(array) != len(want) {
			return []string{fmt.Sprintf("%s has %d elements, not %d", path, len(array), len(want))}
		}
		var faults []string
		for i, value := range want {
			faults = append(faults, lacking(array[i], value, path+"[]")...)
		}
		return faults
	}
	if !reflect.DeepEqual(got, want) {
		return []string{fmt.Sprintf("%s is %v, not %v", path, got, want)}
	}
	return nil
}

// filler makes values in which nothing is zero.
type filler struct {
	maps  map[string]bool // paths of maps, whose names are data
	count int64
	open  map[reflect.Type]int // structs that are being filled: one may be in itself, once
}

// full is a value of which every field is set.
func full[T any](f *filler, path string) T {
	var value T
	f.count, f.open = 0, map[reflect.Type]int{}
	f.fill(reflect.ValueOf(&value).Elem(), path)
	return value
}

func (f *filler) fill(v reflect.Value, path string) {
	f.count++
	switch v.Interface().(type) {
	case time.Time:
		v.Set(reflect.ValueOf(time.Date(2026, 1, 2, 3, 4, 5, 0, time.UTC)))
		return
	case json.RawMessage:
		f.maps[path] = true
		v.SetBytes([]byte(`{"key":"value"}`))
		return
	}
	switch v.Kind() {
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		f.fill(v.Elem(), path)
	case reflect.Struct:
		f.fillStruct(v, path)
	case reflect.Interface:
		v.Set(reflect.ValueOf(path))
	case reflect.Slice:
		if f.open[v.Type().Elem()] > 1 {
			return
		}
		v.Set(reflect.MakeSlice(v.Type(), 1, 1))
		f.fill(v.Index(0), path+"[]")
	case reflect.Map:
		if f.open[v.Type().Elem()] > 1 {
			return
		}
		f.maps[path] = true
		value := reflect.New(v.Type().Elem()).Elem()
		f.fill(value, path+".key")
		v.Set(reflect.MakeMap(v.Type()))
		v.SetMapIndex(reflect.ValueOf("key").Convert(v.Type().Key()), value)
	case reflect.String:
		v.SetString(path[strings.LastIndexByte(path, '.')+1:])
	case reflect.Bool:
		v.SetBool(true)
	case reflect.Float64:
		v.SetFloat(float64(f.count) + 0.5)
	case reflect.Int, reflect.Int8, reflect.Int64:
		v.SetInt(f.count)
	case reflect.Uint64:
		v.SetUint(uint64(f.count))
	default:
		panic(fmt.Sprintf("%s is a %s: the golden documents have no such thing yet", path, v.Kind()))
	}
}

func (f *filler) fillStruct(v reflect.Value, path string) {
	f.open[v.Type()]++
	defer func() { f.open[v.Type()]-- }()
	for i := range v.NumField() {
		field := v.Type().Field(i)
		name := nameOf(field)
		switch {
		case !field.IsExported() || name == "-":
		case name == "version" && field.Type.Kind() == reflect.Int:
			v.Field(i).SetInt(job.SpecVersion)
		case field.Anonymous && field.Tag.Get("json") == "":
			f.fill(v.Field(i), path)
		default:
			f.fill(v.Field(i), path+"."+name)
		}
	}
}

// nameOf is a field's name in JSON.
func nameOf(field reflect.StructField) string {
	name, _, _ := strings.Cut(field.Tag.Get("json"), ",")
	if name == "" {
		return field.Name
	}
	return name
}

// added is a tree with a field of a later release in every object.
func (f *filler) added(value any, path string) any {
	switch value := value.(type) {
	case map[string]any:
		more := map[string]any{}
		for name, inner := range value {
			more[name] = f.added(inner, path+"."+name)
		}
		if !f.maps[path] {
			more["from_a_later_release"] = map[string]any{"value": 1.5}
		}
		return more
	case []any:
		more := make([]any, len(value))
		for i, inner := range value {
			more[i] = f.added(inner, path+"[]")
		}
		return more
	}
	return value
}
