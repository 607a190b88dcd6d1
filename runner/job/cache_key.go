package job

import (
	"cmp"
	"crypto/sha256"
	"encoding/binary"
	"encoding/hex"
	"encoding/json"
	"maps"
	"slices"
	"strconv"
	"strings"
)

// cacheFormat is the version of the encoding of keys: another one, another
// key.
const cacheFormat = "spotrelay cache key 1"

// namedInputs is how many of a task's inputs from one upstream task are parts
// of their own; more of them are one part together.
const namedInputs = 100

// CachePart is one thing that a result depends on: its name for people, such
// as "command" or "env RATE", and its value, or a digest of it.
type CachePart struct {
	Name  string `json:"name"`
	Value string `json:"value"`
}

// CacheParts is all that the result of an index depends on, by name, sorted.
// The assignment has its resolved command and environment, and the manifests
// of all that it is given. What only bounds or watches the work (processors,
// memory, disk, timeouts, checkpoints, retries, fleets) is no part of it.
//
// Placeholders stay as they are, since folders have other names on each
// instance: what lies in them is a part by its content.
func CacheParts(task *Task, a *Assignment, sources []SourceInput) []CachePart {
	p := &cacheParts{}
	p.add("version", task.Cache.Version)
	p.add("task", task.Name)
	p.place(task, a)
	p.add("command", textOf(a.Execution.Command))
	p.add("setup", textOf(a.Execution.Setup))
	for name, value := range a.Execution.Env {
		p.add("env "+name, DigestText(value))
	}
	if a.Execution.Output != nil {
		p.add("output path", a.Execution.Output.Path)
	}
	p.add("image", task.Image)
	p.add("gpu_type", task.Resources.GPUType)
	p.add("arch", task.Resources.Arch)
	if task.Resources.GPUs > 0 {
		p.add("gpus", strconv.Itoa(task.Resources.GPUs))
	}
	if task.Nodes > 1 {
		p.add("nodes", strconv.Itoa(task.Nodes))
	}
	p.add("workdir files", task.Cache.Files)
	p.inputs(a.Inputs)
	for i := range sources {
		if slices.Contains(task.Inputs, sources[i].Name) {
			p.add("input "+sources[i].Name, contentOf(&sources[i].Manifest))
		}
	}
	slices.SortFunc(p.parts, func(a, b CachePart) int { return cmp.Compare(a.Name, b.Name) })
	return p.parts
}

type cacheParts struct{ parts []CachePart }

// add leaves out what is not there, so that a later release may add a word to
// the language without a change to the keys of those who don't use it.
func (p *cacheParts) add(name, value string) {
	if value != "" {
		p.parts = append(p.parts, CachePart{name, value})
	}
}

// place is which index it is, as the task sees it: by its key in a for_each,
// so that further keys change nothing for the others; else by its number and
// the count.
func (p *cacheParts) place(task *Task, a *Assignment) {
	switch {
	case a.Key != "":
		p.add("key", a.Key)
	case task.Array:
		p.add("index", strconv.Itoa(a.Index))
		p.add("count", strconv.Itoa(a.Count))
	}
}

// inputs are the outputs of other tasks, by what they hold.
func (p *cacheParts) inputs(inputs []Input) {
	of := map[string]int{}
	for i := range inputs {
		of[inputOf(&inputs[i])]++
	}
	joint := map[string][]string{}
	for i := range inputs {
		input := &inputs[i]
		name := inputOf(input)
		number := strconv.Itoa(input.Index)
		switch {
		case !input.Array:
			p.add(name, contentOf(&input.Manifest))
		case of[name] <= namedInputs:
			p.add(name+"["+number+"]", contentOf(&input.Manifest))
		default:
			joint[name] = append(joint[name], number+" "+contentOf(&input.Manifest))
		}
	}
	for _, name := range slices.Sorted(maps.Keys(joint)) {
		p.add(name+"[*]", DigestText(strings.Join(joint[name], "\n")))
	}
}

func inputOf(input *Input) string { return "output of " + input.Task }

// contentOf is what a manifest holds. One whose content is not known is like
// no other: its own digest covers times, too.
func contentOf(m *Manifest) string {
	if m.Content == "" {
		return "manifest " + m.Digest
	}
	return m.Content
}

// textOf is a command as text that no other command has.
func textOf(command []string) string {
	if len(command) == 0 {
		return ""
	}
	var text strings.Builder
	encoder := json.NewEncoder(&text)
	encoder.SetEscapeHTML(false) // people read it
	if err := encoder.Encode(command); err != nil {
		panic(err) // strings always have a JSON form
	}
	return strings.TrimSuffix(text.String(), "\n")
}

// DigestText is the SHA-256 of a text, in hex.
func DigestText(text string) string {
	sum := sha256.Sum256([]byte(text))
	return hex.EncodeToString(sum[:])
}

// CacheKey is the key of parts: "<task>/<index>-<digest>", safe in a bucket's
// key. Equal parts have equal keys, in whatever order they come. Keys of one
// index of one task begin alike (CachePrefix), whatever else they are made of.
func CacheKey(parts []CachePart) string {
	parts = slices.Clone(parts)
	slices.SortFunc(parts, func(a, b CachePart) int {
		return cmp.Or(cmp.Compare(a.Name, b.Name), cmp.Compare(a.Value, b.Value))
	})
	h := sha256.New()
	field := func(text string) {
		var length [8]byte
		binary.LittleEndian.PutUint64(length[:], uint64(len(text)))
		_, _ = h.Write(length[:]) // a hash never fails
		_, _ = h.Write([]byte(text))
	}
	field(cacheFormat)
	for _, part := range parts {
		field(part.Name)
		field(part.Value)
	}
	return CachePrefix(parts) + hex.EncodeToString(h.Sum(nil))[:40]
}

// CachePrefix is what the keys of the same index of the same task begin with.
func CachePrefix(parts []CachePart) string {
	task, index := "", "0"
	for _, part := range parts {
		switch part.Name {
		case "task":
			task = part.Value
		case "index":
			index = part.Value
		case "key": // may have any characters
			index = "k" + DigestText(part.Value)[:12]
		}
	}
	return task + "/" + index + "-"
}

// ValidCacheKey reports whether a key can be one that CacheKey made, so that it
// is safe in a bucket's key.
func ValidCacheKey(key string) bool {
	task, rest, ok := strings.Cut(key, "/")
	index, digest, dash := strings.Cut(rest, "-")
	if !ok || !dash || task == "" || index == "" || len(digest) != 40 {
		return false
	}
	for _, c := range task {
		if c != '-' && c != '_' && (c < 'a' || c > 'z') && (c < '0' || c > '9') {
			return false
		}
	}
	for _, c := range index + digest {
		if (c < 'a' || c > 'k') && (c < '0' || c > '9') {
			return false
		}
	}
	return true
}

// CacheDifference is a part that two keys do not share; "" where one of them
// has none of the name.
type CacheDifference struct {
	Name   string `json:"name"`
	Before string `json:"before,omitempty"`
	Now    string `json:"now,omitempty"`
}

// CompareCacheParts is what differs between two lists of parts, by name.
func CompareCacheParts(before, now []CachePart) []CacheDifference {
	values := map[string]*CacheDifference{}
	at := func(name string) *CacheDifference {
		if values[name] == nil {
			values[name] = &CacheDifference{Name: name}
		}
		return values[name]
	}
	for _, part := range before {
		at(part.Name).Before = part.Value
	}
	for _, part := range now {
		at(part.Name).Now = part.Value
	}
	var differences []CacheDifference
	for _, name := range slices.Sorted(maps.Keys(values)) {
		if d := values[name]; d.Before != d.Now {
			differences = append(differences, *d)
		}
	}
	return differences
}
