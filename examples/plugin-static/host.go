package main

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/spotrelay/spotrelay/providers"
)

// record is what an instance's folder says of it, written before it is there.
type record struct {
	ID       string            `json:"id"`
	Token    string            `json:"token"`
	Request  string            `json:"request"` // the launch request's SHA-256
	Offer    providers.Offer   `json:"offer"`
	Tags     map[string]string `json:"tags"`
	Launched time.Time         `json:"launched"`
}

func (r record) ours() bool { return r.Tags[providers.TagBucket] != "" }

// found is an instance as its host shows it.
type found struct {
	record

	host  *host
	state providers.InstanceState
	cause providers.EndCause
	at    time.Time // of its end
}

func (f found) view() providers.Instance {
	return providers.Instance{
		ID: f.ID, Offer: f.Offer, State: f.state, Tags: f.Tags, Launched: f.Launched,
		Where:     fmt.Sprintf("ssh://%s@%s/%s/instances/%s", f.host.User, f.host.Address, f.host.Folder, f.ID),
		Isolation: "a process tree on a machine that others may use",
	}
}

// facts is what a host is.
type facts struct {
	cpus     float64
	memory   int64
	arch, os string
}

// host is a machine as this process knows it. Only the host itself remembers
// anything that a restart would lose; since when it is out of reach begins anew.
type host struct {
	hostConfig

	link      *link
	downAfter time.Duration

	mu     sync.Mutex
	facts  *facts
	away   time.Time // since when it is out of reach; zero: it is not
	asked  time.Time // when it was last asked while it was away
	reason error
}

// errDown marks a host that has been out of reach for so long that what ran
// there counts as lost.
var errDown = errors.New("the host is down")

// retryDown is how often a host that is down is asked whether it is back, at
// most.
const retryDown = 10 * time.Second

// do runs an operation on the host and keeps count of how long it has been out
// of reach. Errors: errDown, and those of link.run.
func (h *host) do(ctx context.Context, op string, args ...string) (string, error) {
	if err := h.resting(); err != nil {
		return "", err
	}
	out, err := h.link.run(ctx, nil, op, args...)
	return out, h.reached(err)
}

// resting is the answer for a host that is down and was asked a moment ago.
func (h *host) resting() error {
	h.mu.Lock()
	defer h.mu.Unlock()
	now := time.Now()
	if h.away.IsZero() || now.Sub(h.away) < h.downAfter || now.Sub(h.asked) >= min(retryDown, h.downAfter) {
		h.asked = now
		return nil
	}
	return h.down()
}

// reached notes how an operation went.
func (h *host) reached(err error) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if !errors.Is(err, errUnreachable) {
		if err == nil {
			h.away = time.Time{}
		}
		return err
	}
	h.reason = err
	now := time.Now()
	if h.away.IsZero() {
		h.away = now
	}
	if now.Sub(h.away) < h.downAfter {
		return err
	}
	return h.down()
}

func (h *host) down() error {
	return fmt.Errorf("%w, out of reach since %s: %w", errDown, h.away.Format(time.RFC3339), h.reason)
}

// isDown reports whether the host counts as lost, without asking it.
func (h *host) isDown() (why error) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.away.IsZero() || time.Since(h.away) < h.downAfter {
		return nil
	}
	return h.down()
}

// learn asks what the host is, once.
func (h *host) learn(ctx context.Context) (facts, error) {
	h.mu.Lock()
	known := h.facts
	h.mu.Unlock()
	if known != nil {
		return *known, nil
	}
	out, err := h.do(ctx, "facts")
	if err != nil {
		return facts{}, err
	}
	learnt, err := parseFacts(out)
	if err != nil {
		return facts{}, fmt.Errorf("host %s: %w", h.Name, err)
	}
	h.mu.Lock()
	h.facts = &learnt
	h.mu.Unlock()
	return learnt, nil
}

var archs = map[string]string{"x86_64": "amd64", "aarch64": "arm64"}

func parseFacts(text string) (facts, error) {
	said := map[string]string{}
	for line := range strings.Lines(text) {
		name, value, _ := strings.Cut(strings.TrimSpace(line), " ")
		said[name] = value
	}
	cpus, err1 := strconv.ParseFloat(said["cpus"], 64)
	kilobytes, err2 := strconv.ParseInt(said["memory"], 10, 64)
	arch, known := archs[said["arch"]]
	if err := errors.Join(err1, err2); err != nil || !known || said["os"] != "Linux" || !(cpus > 0) || kilobytes <= 0 {
		return facts{}, fmt.Errorf("what it says of itself is not understood, it must be Linux on amd64 or arm64: %q", text)
	}
	return facts{cpus: cpus, memory: kilobytes << 10, arch: arch, os: "linux"}, nil
}

// list gives all instances that the host remembers.
func (h *host) list(ctx context.Context) ([]found, error) {
	out, err := h.do(ctx, "list")
	if err != nil {
		return nil, err
	}
	return h.parse(out)
}

// parse reads the lines that host.sh prints of instances.
func (h *host) parse(out string) ([]found, error) {
	var instances []found
	for line := range strings.Lines(out) {
		f := found{host: h}
		fields := strings.Fields(line)
		if len(fields) != 5 {
			return nil, fmt.Errorf("host %s: a line is not understood: %q", h.Name, line)
		}
		data, err := base64.StdEncoding.DecodeString(fields[4])
		if err == nil {
			err = json.Unmarshal(data, &f.record)
		}
		if err != nil || f.ID != fields[0] {
			return nil, fmt.Errorf("host %s: the record of %s in %s is damaged: %w", h.Name, fields[0], h.Folder, err)
		}
		seconds, err := strconv.ParseInt(fields[3], 10, 64)
		if err != nil {
			return nil, fmt.Errorf("host %s: a line is not understood: %q", h.Name, line)
		}
		f.state, f.cause = providers.InstanceState(fields[1]), providers.EndCause(fields[2])
		if seconds > 0 {
			f.at = time.Unix(seconds, 0).UTC()
		}
		instances = append(instances, f)
	}
	return instances, nil
}
