// Command benchcheckpoint measures how long it takes to save directories into
// an S3 bucket and to restore them, beside the programs that a user would take
// instead, on the same server over TLS. `make bench-checkpoint` runs it.
package main

import (
	"context"
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/signal"
	"path/filepath"
	"runtime"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/spotrelay/spotrelay/checkpointing/bucket/servertest"
)

func main() {
	ctx, stop := signal.NotifyContext(context.Background(), os.Interrupt, syscall.SIGTERM)
	err := start(ctx, os.Args[1:])
	stop()
	if err != nil && !errors.Is(err, flag.ErrHelp) {
		fmt.Fprintln(os.Stderr, "benchcheckpoint:", err)
		os.Exit(1)
	}
}

// start is the benchmark, or one of its processes.
func start(ctx context.Context, args []string) error {
	switch role := os.Getenv(childVariable); {
	case role == "":
		return measureAll(ctx, args, os.Stdout, os.Stderr)
	case (role == "open" || role == "save" || role == "restore") && len(args) == 2:
		return serveOnce(ctx, role, args[0], args[1])
	case role == "proxy" && len(args) == 4:
		return serveProxy(ctx, args[0], args[1], args[2], args[3], os.Stdin, os.Stdout)
	case role == "own" && len(args) == 1:
		return serveEngine(ctx, args[0], os.Stdin, os.Stdout)
	default:
		return serveLimit(ctx, role, args)
	}
}

type options struct {
	scale           float64
	runs            int
	dir, serverDir  string
	only, tools     string
	json, count     bool
	patience        time.Duration
	chosen          []workload
	peers           []*peer
	left, toolNames []string
}

func readOptions(ctx context.Context, args []string, errs io.Writer) (options, error) {
	o := options{}
	flags := flag.NewFlagSet("benchcheckpoint", flag.ContinueOnError)
	flags.SetOutput(errs)
	flags.Float64Var(&o.scale, "scale", 1, "`factor` on the sizes; 0.1 for a quick look")
	flags.IntVar(&o.runs, "runs", 3, "timed `runs`, of which the median is taken")
	flags.StringVar(&o.dir, "dir", "", "`folder` for what is saved and restored (default: /dev/shm, or that of temporary files)")
	flags.StringVar(&o.serverDir, "server-dir", "", "`folder` for the server's objects (default: as -dir)")
	flags.StringVar(&o.only, "workloads", "", "`ids` of the workloads, with commas (default: all)")
	flags.StringVar(&o.tools, "peers", "", "`names` of the peers, with commas, or none (default: all on PATH)")
	flags.BoolVar(&o.json, "json", false, "write JSON in place of the tables")
	flags.BoolVar(&o.count, "count", true, "count requests and bytes in one more run")
	flags.DurationVar(&o.patience, "patience", 30*time.Second, "a peer whose runs of a workload have taken so `long` makes no more")
	if err := flags.Parse(args); err != nil {
		return o, err
	}
	if o.scale <= 0 || o.runs < 1 || flags.NArg() > 0 {
		return o, errors.New("-scale must be above 0 and -runs at least 1, and there are no arguments")
	}
	if o.dir == "" {
		o.dir = "/dev/shm"
		if _, err := os.Stat(o.dir); err != nil {
			o.dir = os.TempDir()
		}
	}
	if o.serverDir == "" {
		o.serverDir = o.dir
	}
	known := workloads(o.scale)
	for _, w := range known {
		if o.only == "" || slices.Contains(strings.Split(o.only, ","), w.ID) {
			o.chosen = append(o.chosen, w)
		}
	}
	if len(o.chosen) == 0 {
		return o, fmt.Errorf("-workloads %s: the workloads are a, b, b+30ms, c, d, e, f", o.only)
	}
	o.peers, o.left = installed(ctx)
	if o.tools != "" {
		o.peers = slices.DeleteFunc(o.peers, func(p *peer) bool { return !slices.Contains(strings.Split(o.tools, ","), p.name) })
	}
	for _, p := range o.peers {
		o.toolNames = append(o.toolNames, p.name+" ("+p.version+")")
	}
	return o, nil
}

// room says whether the folders have room for the largest of the workloads:
// the directory, its copy, and all that a store may keep of it.
func (o options) room() error {
	var work, stored int64
	for _, w := range o.chosen {
		work, stored = max(work, 2*w.Bytes), max(stored, w.Stored)
	}
	needs := map[string]int64{o.dir: work}
	if device(o.dir) == device(o.serverDir) {
		needs[o.dir] += stored
	} else {
		needs[o.serverDir] = stored
	}
	for dir, need := range needs {
		need += need/20 + 64*mib
		there, err := free(dir)
		if err != nil {
			return fmt.Errorf("look for room in %s: %w", dir, err)
		}
		if there < need {
			return fmt.Errorf("%s has room for %s and the workloads take %s: give a smaller -scale, fewer -workloads, or another -dir or -server-dir",
				dir, size(there), size(need))
		}
	}
	return nil
}

// measureAll is the whole benchmark.
func measureAll(ctx context.Context, args []string, out, errs io.Writer) (err error) {
	o, err := readOptions(ctx, args, errs)
	if err != nil {
		return err
	}
	if err := o.room(); err != nil {
		return err
	}
	logf := func(format string, args ...any) { fmt.Fprintf(errs, format+"\n", args...) }
	program, err := servertest.S3Program(ctx, true, logf)
	if err != nil {
		return err
	}
	r, err := o.measure(ctx, program, logf)
	if r == nil {
		return err
	}
	// An interrupted benchmark tells what it has.
	r.judge()
	if o.json {
		encoder := json.NewEncoder(out)
		encoder.SetIndent("", "  ")
		err = errors.Join(err, encoder.Encode(r))
	} else {
		r.Markdown(out)
	}
	for _, m := range r.Measures {
		if m.Tool == mine && m.Error != "" {
			err = errors.Join(err, fmt.Errorf("(%s): %s", m.Workload, m.Error))
		}
	}
	return err
}

// measure runs the workloads on a server of its own; its folders are gone
// afterwards.
func (o options) measure(ctx context.Context, program string, logf func(string, ...any)) (r *report, err error) {
	r = &report{Scale: o.scale, Runs: o.runs, CPUs: runtime.NumCPU(), Load: loadAverage(), Tools: append([]string{mine}, o.toolNames...), Left: o.left}
	dir, err := os.MkdirTemp(o.dir, "benchcheckpoint-")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(dir)) }()
	serverDir, err := os.MkdirTemp(o.serverDir, "benchcheckpoint-server-")
	if err != nil {
		return nil, err
	}
	defer func() { err = errors.Join(err, os.RemoveAll(serverDir)) }()
	server, err := startServer(ctx, program, serverDir)
	if err != nil {
		return nil, err
	}
	defer server.Stop()
	ctx, stopWatching := server.watch(ctx)
	defer stopWatching(nil)
	counting, err := startCounter(ctx, server)
	if err != nil {
		return nil, err
	}
	defer counting.Stop()
	if r.Start, err = medianStart(ctx, server, dir); err != nil {
		return nil, err
	}
	b := &bench{dir: dir, server: server, proxy: counting, runs: o.runs, count: o.count, patience: o.patience, logf: logf, found: map[[3]string]*measure{}}
	for _, w := range o.chosen {
		r.Loads = append(r.Loads, loadReport{ID: w.ID, Title: w.Title, Bytes: w.Bytes, Changed: w.Changed})
		tools := []tool{ours{}}
		if w.change != nil { // otherwise it has nothing to remember
			tools = append(tools, agent{})
		}
		for _, p := range o.peers {
			tools = append(tools, p)
		}
		if w.Changed > 0 {
			tools = append(tools, limit{bare, w})
		}
		if w.Delay == 0 {
			tools = append(tools, limit{copying, w})
		}
		err := b.Run(ctx, w, tools)
		r.Measures = b.order
		if err != nil {
			return r, err
		}
	}
	return r, nil
}

// medianStart is what a process of ours takes that does nothing.
func medianStart(ctx context.Context, s *server, dir string) (usage, error) {
	at := site{Endpoint: s.Endpoint, CAFile: s.Authority.CAFile, Home: dir, Repo: "start"}
	m := &measure{}
	for range 5 {
		u, err := runChild(ctx, at, "open", at.address(), "")
		if err != nil {
			return u, err
		}
		m.Samples = append(m.Samples, u)
	}
	u, _ := m.median()
	return u, nil
}

// loadAverage is that of the last minute, where the system tells it.
func loadAverage() string {
	all, err := os.ReadFile(filepath.FromSlash("/proc/loadavg"))
	if err != nil {
		return ""
	}
	first, _, _ := strings.Cut(string(all), " ")
	return first
}
