package job

import (
	"fmt"
	"maps"
	"slices"
	"testing"

	"pgregory.net/rapid"
)

// cachedTask is a task with all that a key is made of, and what it was given.
func cachedTask() (*Task, *Assignment, []SourceInput) {
	task := &Task{
		Name: "features", Count: 4, Array: true, Image: "ubuntu", Inputs: []string{"corpus"}, Nodes: 2,
		Resources: Resources{CPUs: 2, Memory: 1 << 30, GPUs: 1, GPUType: "a100", Arch: "amd64"},
		Cache:     &Cache{Version: "1", Files: "f00d", Paths: []string{"*.py"}},
	}
	a := &Assignment{
		AttemptID: AttemptID{Task: "features", Index: 3}, Count: 4,
		Execution: Execution{
			Command: []string{"python3", "x.py", "@{input:split}"}, Setup: []string{"pip", "install"},
			Env: map[string]string{"RATE": "0.1", "NAME": "x"}, Output: &Output{Path: "out"},
			Timeout: 5, Signal: "SIGTERM", MemoryLimit: 1 << 30, Checkpoint: &Checkpoint{Path: "c"},
		},
		Inputs: []Input{
			{Task: "split", Index: 0, Array: true, Manifest: Manifest{Key: "a", Digest: "d0", Content: "c0"}},
			{Task: "split", Index: 1, Array: true, Manifest: Manifest{Key: "b", Digest: "d1", Content: "c1"}},
			{Task: "names", Manifest: Manifest{Key: "n", Digest: "d2", Content: "c2"}},
		},
	}
	return task, a, []SourceInput{{Name: "corpus", Manifest: Manifest{Digest: "d3", Content: "c3"}}, {Name: "other", Manifest: Manifest{Content: "c4"}}}
}

func keyOf(change func(*Task, *Assignment, []SourceInput)) string {
	task, a, sources := cachedTask()
	if change != nil {
		change(task, a, sources)
	}
	return CacheKey(CacheParts(task, a, sources))
}

// What a result depends on changes the key, and each in another way; what only
// bounds the work, or says where something lies, does not.
func TestCacheKeyIngredients(t *testing.T) {
	first := keyOf(nil)
	if !ValidCacheKey(first) {
		t.Errorf("%q is no key", first)
	}
	seen := map[string]string{first: "nothing"}
	for name, change := range map[string]func(*Task, *Assignment, []SourceInput){
		"version": func(task *Task, _ *Assignment, _ []SourceInput) { task.Cache.Version = "2" },
		"task":    func(task *Task, _ *Assignment, _ []SourceInput) { task.Name = "others" },
		"index":   func(_ *Task, a *Assignment, _ []SourceInput) { a.Index = 2 },
		"count":   func(_ *Task, a *Assignment, _ []SourceInput) { a.Count = 5 },
		"key":     func(_ *Task, a *Assignment, _ []SourceInput) { a.Key = "3" },
		"command": func(_ *Task, a *Assignment, _ []SourceInput) { a.Execution.Command[1] = "y.py" },
		"command split": func(_ *Task, a *Assignment, _ []SourceInput) {
			a.Execution.Command = []string{"python3 x.py", "@{input:split}"}
		},
		"setup":         func(_ *Task, a *Assignment, _ []SourceInput) { a.Execution.Setup = nil },
		"env value":     func(_ *Task, a *Assignment, _ []SourceInput) { a.Execution.Env["RATE"] = "0.2" },
		"env name":      func(_ *Task, a *Assignment, _ []SourceInput) { a.Execution.Env["MORE"] = "" },
		"output path":   func(_ *Task, a *Assignment, _ []SourceInput) { a.Execution.Output.Path = "o" },
		"no output":     func(_ *Task, a *Assignment, _ []SourceInput) { a.Execution.Output = nil },
		"image":         func(task *Task, _ *Assignment, _ []SourceInput) { task.Image = "debian" },
		"gpus":          func(task *Task, _ *Assignment, _ []SourceInput) { task.Resources.GPUs = 2 },
		"gpu type":      func(task *Task, _ *Assignment, _ []SourceInput) { task.Resources.GPUType = "h100" },
		"arch":          func(task *Task, _ *Assignment, _ []SourceInput) { task.Resources.Arch = "arm64" },
		"nodes":         func(task *Task, _ *Assignment, _ []SourceInput) { task.Nodes = 4 },
		"workdir":       func(task *Task, _ *Assignment, _ []SourceInput) { task.Cache.Files = "beef" },
		"input content": func(_ *Task, a *Assignment, _ []SourceInput) { a.Inputs[1].Manifest.Content = "cX" },
		"input index":   func(_ *Task, a *Assignment, _ []SourceInput) { a.Inputs[1].Index = 2 },
		"input gone":    func(_ *Task, a *Assignment, _ []SourceInput) { a.Inputs = a.Inputs[:2] },
		"input unknown": func(_ *Task, a *Assignment, _ []SourceInput) { a.Inputs[2].Manifest.Content = "" },
		"source":        func(_ *Task, _ *Assignment, s []SourceInput) { s[0].Manifest.Content = "cX" },
	} {
		key := keyOf(change)
		if before, met := seen[key]; met {
			t.Errorf("%s changed, and the key is that of %s", name, before)
		}
		seen[key] = name
	}
	for name, change := range map[string]func(*Task, *Assignment, []SourceInput){
		"memory": func(task *Task, a *Assignment, _ []SourceInput) {
			task.Resources.Memory, a.Execution.MemoryLimit = 2, 2
		},
		"cpus":       func(task *Task, _ *Assignment, _ []SourceInput) { task.Resources.CPUs = 8 },
		"timeout":    func(_ *Task, a *Assignment, _ []SourceInput) { a.Execution.Timeout, a.Execution.Signal = 9, "SIGINT" },
		"checkpoint": func(_ *Task, a *Assignment, _ []SourceInput) { a.Execution.Checkpoint = nil },
		"attempt":    func(_ *Task, a *Assignment, _ []SourceInput) { a.Attempt, a.Restore = 7, &CheckpointRef{Key: "k"} },
		"serialize":  func(task *Task, _ *Assignment, _ []SourceInput) { task.Cache.Serialize, task.Cache.Paths = true, nil },
		"where it is": func(_ *Task, a *Assignment, _ []SourceInput) {
			a.Inputs[0].Manifest.Key, a.Inputs[0].Manifest.Digest = "x", "y"
		},
		"other source": func(_ *Task, _ *Assignment, s []SourceInput) { s[1].Manifest.Content = "cX" },
		"fleets": func(task *Task, _ *Assignment, _ []SourceInput) {
			task.Fleets, task.Slots, task.Priority = []string{"a"}, 3, 2
		},
	} {
		if keyOf(change) != first {
			t.Errorf("%s changed the key", name)
		}
	}
}

// An index of a for_each is its key: others may come and go.
func TestCacheKeyOfForEach(t *testing.T) {
	at := func(index, count int) string {
		return keyOf(func(_ *Task, a *Assignment, _ []SourceInput) { a.Key, a.Index, a.Count = "de/x y", index, count })
	}
	if at(0, 2) != at(5, 9) {
		t.Error("another number of the same key is another key")
	}
	if key := at(0, 2); !ValidCacheKey(key) {
		t.Errorf("%q is no key", key)
	}
}

// Many inputs are one part, and still each of them counts.
func TestCacheKeyOfManyInputs(t *testing.T) {
	many := func(change int) string {
		return keyOf(func(_ *Task, a *Assignment, _ []SourceInput) {
			a.Inputs = nil
			for i := range 3 * namedInputs {
				content := fmt.Sprint("c", i)
				if i == change {
					content = "other"
				}
				a.Inputs = append(a.Inputs, Input{Task: "split", Index: i, Array: true, Manifest: Manifest{Content: content}})
			}
		})
	}
	if many(-1) == many(250) {
		t.Error("one of 300 inputs changed, and the key did not")
	}
}

// Whatever the parts are: their order is nothing, and each of them something.
func TestCacheKeyProperties(t *testing.T) {
	text := rapid.StringOfN(rapid.RuneFrom([]rune("ab=[]\x00 é\"")), 0, 6, -1)
	rapid.Check(t, func(t *rapid.T) {
		values := rapid.MapOfN(text, rapid.StringOfN(rapid.RuneFrom([]rune("ab=[]\x00 é\"")), 1, 6, -1), 1, 8).Draw(t, "parts")
		var parts []CachePart
		for _, name := range slices.Sorted(maps.Keys(values)) {
			parts = append(parts, CachePart{name, values[name]})
		}
		key := CacheKey(parts)
		if shuffled := rapid.Permutation(parts).Draw(t, "order"); CacheKey(shuffled) != key {
			t.Fatal("the order of the parts changed the key")
		}
		i := rapid.IntRange(0, len(parts)-1).Draw(t, "which")
		changed := slices.Clone(parts)
		switch rapid.IntRange(0, 2).Draw(t, "how") {
		case 0:
			changed[i].Value += rapid.SampledFrom([]string{"a", "\x00", "="}).Draw(t, "more")
		case 1:
			changed = slices.Delete(changed, i, i+1)
		case 2: // moved from the value to the name
			changed[i] = CachePart{parts[i].Name + parts[i].Value[:1], parts[i].Value[1:]}
		}
		if CacheKey(changed) == key {
			t.Fatalf("%q and %q have the same key", parts, changed)
		}
		differs := CompareCacheParts(parts, changed)
		if len(differs) == 0 || len(CompareCacheParts(parts, parts)) != 0 {
			t.Fatalf("%q against %q differs in %v", parts, changed, differs)
		}
	})
}

func TestValidCacheKey(t *testing.T) {
	for _, key := range []string{"", "a/0-", "a/0", "../0-" + "0123456789012345678901234567890123456789", "a//0-x",
		"a/0-012345678901234567890123456789012345678z", "A/0-0123456789012345678901234567890123456789",
		"a/../0-0123456789012345678901234567890123456789", "a/0-0123456789012345678901234567890123456789/x"} {
		if ValidCacheKey(key) {
			t.Errorf("%q is held to be a key", key)
		}
	}
}

// Seeds are the same whenever they are asked for, fit any generator, and those
// of an array all differ.
func TestSeeds(t *testing.T) {
	array := &Task{Name: "shard", Count: 100_000, Array: true}
	seen := make(map[uint64]int, array.Count)
	for i := range array.Count {
		seed := array.SeedOf(i)
		if seed < 1 || seed >= 1<<32 || seed != array.SeedOf(i) {
			t.Fatalf("index %d has seed %d", i, seed)
		}
		if before, met := seen[seed]; met {
			t.Fatalf("indexes %d and %d have the same seed", before, i)
		}
		seen[seed] = i
	}
	if other := (&Task{Name: "other"}); other.SeedOf(0) == array.SeedOf(0) {
		t.Error("two tasks have the same seed")
	}
	few, more := &Task{Name: "lang", Keys: []string{"de", "fr"}}, &Task{Name: "lang", Keys: []string{"de", "en", "fr"}}
	if few.SeedOf(1) != more.SeedOf(2) || few.SeedOf(0) == few.SeedOf(1) {
		t.Error("the seed of a key is not the key's")
	}
	// Whoever depends on a seed depends on it in the next release, too.
	if got := array.SeedOf(7); got != 2221163927 {
		t.Errorf("the seed of shard[7] is %d", got)
	}
}
