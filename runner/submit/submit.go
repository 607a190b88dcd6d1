// Package submit makes a run of a job: it sends what the run needs into the
// bucket and writes its specification last, so that a submission that stops
// half-way leaves nothing that anybody would control, only objects to collect.
package submit

import (
	"context"
	"crypto/rand"
	"encoding/binary"
	"fmt"
	"io"
	"io/fs"
	"maps"
	"slices"
	"time"

	"github.com/spotrelay/spotrelay/checkpointing"
	"github.com/spotrelay/spotrelay/checkpointing/bucket"
	"github.com/spotrelay/spotrelay/providers"
	"github.com/spotrelay/spotrelay/runner/job"
	"github.com/spotrelay/spotrelay/runner/store"
)

// Workdir is the folder that every attempt starts in.
type Workdir struct {
	Root string
	// Keep says which entries are sent, by slash path below Root, as
	// checkpointing.SaveOptions has it; nil sends all. What belongs to version
	// control and to spotrelay itself is never sent.
	Keep func(path string, entry fs.DirEntry) bool
	// Covers reports whether a pattern of a task's cache names the file at a
	// slash path below Root; nil where no task has such patterns.
	Covers func(pattern, path string) bool
}

// Providers gives providers by name; nil where none may be asked.
type Providers interface {
	Provider(ctx context.Context, name string) (providers.Provider, error)
}

// Options says what to submit, and where to.
type Options struct {
	Bucket bucket.Bucket
	// Spec is the job as its file declares it; what a submission adds is
	// filled into a copy: Version, Run, Created, Seed, Workdir, Agent,
	// Source.Version, and the timing that the file left open.
	Spec    *job.Spec
	Workdir *Workdir // nil: none
	// Inputs says where Spec.Inputs are.
	Inputs []Input
	// InputProgress of the import of inputs; may be nil.
	InputProgress func(InputProgress)
	// Agents are the paths of the agent programs by "os-arch"; at least one.
	Agents map[string]string
	// Version of spotrelay and of the agents.
	Version string
	// Folder of the job file, whose git state is recorded; "" records none.
	Folder string
	// Providers are asked for the timing that they suggest; nil asks nobody.
	Providers Providers
	// Progress of the workdir's upload; may be nil.
	Progress func(checkpointing.Progress)
	// Skipped is told what of the workdir cannot be sent, "path: reason": links
	// that lead out of it, sockets, FIFOs and devices; may be nil.
	Skipped func(entries []string)
	// Now and Entropy make the run's id; zero are the clock and the system's
	// random source.
	Now     time.Time
	Entropy io.Reader
}

// Submit makes a run and returns its id. The bucket is probed at its first use.
// Errors: *Error for what is wrong with the call or the files, else those of
// the bucket and of checkpointing. Repeating it makes another run.
func Submit(ctx context.Context, opts Options) (string, error) {
	if err := check(opts); err != nil {
		return "", err
	}
	if _, err := bucket.Identify(ctx, opts.Bucket); err != nil {
		return "", err
	}
	spec, err := begin(opts)
	if err != nil {
		return "", err
	}
	if err := fillTiming(ctx, opts, &spec.Timing); err != nil {
		return "", err
	}
	if opts.Folder != "" {
		spec.Source.Git = GitOf(ctx, opts.Folder)
	}
	if spec.Source.Providers, err = providerVersions(ctx, opts); err != nil {
		return "", err
	}
	if spec.Agent, err = publishAgents(ctx, opts); err != nil {
		return "", err
	}
	if opts.Workdir != nil {
		if spec.Workdir, err = sendWorkdir(ctx, opts, spec.Run); err != nil {
			return "", err
		}
	}
	if err := importInputs(ctx, opts, spec); err != nil {
		return "", err
	}
	if err := digestCacheFiles(ctx, opts, spec); err != nil {
		return "", err
	}
	if err := store.MarkLive(ctx, opts.Bucket, spec.Run); err != nil {
		return "", err
	}
	return spec.Run, store.WriteSpec(ctx, opts.Bucket, spec)
}

func check(opts Options) error {
	switch {
	case opts.Spec == nil || len(opts.Spec.Tasks) == 0:
		return &Error{Op: "submit", What: "the job", Err: fmt.Errorf("it has no task"), Hint: "add a task block"}
	case len(opts.Spec.Fleets) == 0:
		return &Error{Op: "submit", What: "the job", Err: fmt.Errorf("it has no fleet"), Hint: "add a fleet block, or leave fleets out to run here"}
	case len(opts.Agents) == 0:
		return &Error{Op: "submit", What: "the agent", Err: fmt.Errorf("no program is given for any platform"), Hint: "build it with make build"}
	}
	return nil
}

// begin is a copy of the specification with the run's identity.
func begin(opts Options) (*job.Spec, error) {
	now, entropy := opts.Now, opts.Entropy
	if now.IsZero() {
		now = time.Now()
	}
	if entropy == nil {
		entropy = rand.Reader
	}
	spec := *opts.Spec
	var err error
	if spec.Run, err = job.NewRunID(now, entropy); err != nil {
		return nil, fmt.Errorf("making the run's id: %w", err)
	}
	var seed [8]byte
	if _, err := io.ReadFull(entropy, seed[:]); err != nil {
		return nil, fmt.Errorf("making the run's seed: %w", err)
	}
	spec.Seed = binary.LittleEndian.Uint64(seed[:])
	spec.Version, spec.Created = job.SpecVersion, now.UTC()
	spec.Source.Version = opts.Version
	return &spec, nil
}

// Timing of a run whose job file and providers say nothing.
const (
	defaultHeartbeat   = 10 * time.Second
	defaultSilence     = time.Minute
	defaultBootTimeout = 10 * time.Minute
	defaultIdleTimeout = 30 * time.Second
	defaultOrphanGrace = 30 * time.Minute
	defaultLease       = 15 * time.Second
)

// fillTiming fills in what the job file left open: the longest that a provider
// of the fleets suggests, the bucket's own poll, and defaults.
func fillTiming(ctx context.Context, opts Options, timing *job.Timing) error {
	var boot, idle time.Duration
	if opts.Providers != nil && (timing.BootTimeout == 0 || timing.IdleTimeout == 0) {
		names := map[string]bool{}
		for _, fleet := range opts.Spec.Fleets {
			names[fleet.Provider] = true
		}
		for _, name := range slices.Sorted(maps.Keys(names)) {
			provider, err := opts.Providers.Provider(ctx, name)
			if err != nil {
				return err
			}
			description, err := provider.Describe(ctx)
			if err != nil {
				return err
			}
			boot, idle = max(boot, description.BootTimeout), max(idle, description.IdleTimeout)
		}
	}
	fill(&timing.BootTimeout, boot, defaultBootTimeout)
	fill(&timing.IdleTimeout, idle, defaultIdleTimeout)
	fill(&timing.Poll, opts.Bucket.Describe().Poll, time.Second)
	fill(&timing.Heartbeat, defaultHeartbeat)
	fill(&timing.Silence, max(defaultSilence, 3*timing.Heartbeat.D()))
	fill(&timing.OrphanGrace, defaultOrphanGrace)
	fill(&timing.Lease, defaultLease)
	return nil
}

// providerVersions are the versions of the plugins that the fleets need.
func providerVersions(ctx context.Context, opts Options) (map[string]string, error) {
	if opts.Providers == nil {
		return nil, nil
	}
	versions := map[string]string{}
	for _, fleet := range opts.Spec.Fleets {
		if _, known := versions[fleet.Provider]; known {
			continue
		}
		provider, err := opts.Providers.Provider(ctx, fleet.Provider)
		if err != nil {
			return nil, err
		}
		description, err := provider.Describe(ctx)
		if err != nil {
			return nil, err
		}
		versions[fleet.Provider] = description.Version
	}
	return versions, nil
}

// fill gives a duration that is open the first value that is not.
func fill(open *job.Duration, values ...time.Duration) {
	for _, value := range values {
		if *open == 0 {
			*open = job.Duration(value)
		}
	}
}

// Error is what is wrong with a submission itself.
type Error struct {
	Op   string // "submit"
	What string // the file or part in question
	Hint string // what to do; may be empty
	Err  error
}

func (e *Error) Error() string {
	text := fmt.Sprintf("%s: %s: %v", e.Op, e.What, e.Err)
	if e.Hint != "" {
		text += " (" + e.Hint + ")"
	}
	return text
}

func (e *Error) Unwrap() error { return e.Err }
