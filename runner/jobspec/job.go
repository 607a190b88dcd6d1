package jobspec

import (
	"fmt"
	"math"
	"path/filepath"
	"strings"
	"time"

	"github.com/bmatcuk/doublestar/v4"
	"github.com/zclconf/go-cty/cty"

	"github.com/spotrelay/spotrelay/providers"
	"github.com/spotrelay/spotrelay/runner/job"
)

// readJob reads the job block, and all that it needs, into a file.
func (l *loader) readJob(block *content) *File {
	l.jobHeader = block.header
	defer l.within(block.title())()
	l.checkName("job", block.label, block.labelRange)
	s := scope{ctx: l.ctx}
	file := &File{Paths: l.paths, sources: l.sources, configs: l.configs}
	spec := &job.Spec{Version: job.SpecVersion, Job: block.label}
	file.Spec = spec
	file.Bucket = l.readBucket(l.setting(jobSchema, "bucket", s, block))
	spec.MaxInstances, _ = l.setting(jobSchema, "max_instances", s, block).whole(0, math.MaxInt32)
	l.readJobLimits(spec, s, block)
	base := jobDefaults{env: l.readJobEnv(block), labels: l.readLabels(l.setting(jobSchema, "labels", s, block), nil)}
	if st := l.setting(jobSchema, "fleets", s, block); st.given() {
		base.fleets = l.readFleetNames(st, nil)
	}
	if base.fleets == nil {
		base.fleets = l.defaultFleets()
	}
	spec.Labels = base.labels
	l.declareInputs(block)
	l.readTasks(spec, block, base)
	spec.Inputs, file.Inputs = l.readInputs()
	inOrder := l.fleetsInOrder(spec, base.fleets)
	spec.Fleets = l.readFleets(inOrder)
	if file.Bucket == "" {
		file.Bucket = l.fleetsBucket(inOrder)
	}
	for _, task := range spec.Tasks {
		l.checkCapabilities(l.tasks[task.Name], task, block)
	}
	spec.Timing = l.readTiming(block.first(timingSchema))
	file.Workdir = l.readWorkdir(block.first(workdirSchema))
	l.checkCachePatterns(file.Workdir)
	spec.Source = job.Source{File: strings.Join(l.opts.Files, " "), Text: l.sourceTexts(), Variables: l.variableTexts(), Environment: l.environmentNames()}
	return file
}

// readTasks reads the tasks in the order of their dependencies.
func (l *loader) readTasks(spec *job.Spec, block *content, base jobDefaults) {
	l.declareTasks(block)
	tasks := map[string]job.Task{}
	for _, t := range l.taskOrder {
		tasks[t.name] = l.readTask(t, block, base)
	}
	l.checkFinally(tasks)
	for _, t := range l.sortTasks() {
		task := tasks[t.name]
		if len(t.inputs) > 0 {
			task.Inputs = keysOf(t.inputs)
		}
		for _, edge := range t.edges {
			task.DependsOn = append(task.DependsOn, edge.to)
			if !edge.whole {
				task.Parts = append(task.Parts, edge.to)
			}
		}
		spec.Tasks = append(spec.Tasks, task)
	}
}

// fleetsInOrder are the job's fleets and then others that tasks name.
func (l *loader) fleetsInOrder(spec *job.Spec, first []string) []string {
	var order []string
	seen := map[string]bool{}
	add := func(names []string) {
		for _, name := range names {
			if !seen[name] {
				seen[name] = true
				order = append(order, name)
			}
		}
	}
	add(first)
	for _, task := range spec.Tasks {
		add(task.Fleets)
	}
	return order
}

func (l *loader) readBucket(st setting) string {
	text, ok := st.text()
	if ok && strings.TrimSpace(text) == "" {
		st.invalid(st.where, "a bucket is a URL or a folder; leave it out for the folder .spotrelay here")
	}
	return text
}

// readTiming reads the timing block over the providers' wishes and the
// defaults.
func (l *loader) readTiming(c *content) job.Timing {
	defer l.within("timing")()
	get := func(name string) setting { return l.setting(timingSchema, name, scope{ctx: l.ctx}, c) }
	period := func(name string) job.Duration {
		duration, ok := get(name).duration()
		if st := get(name); ok && duration < 10*time.Millisecond {
			st.invalid(st.where, "%q is at least 10ms", name)
		}
		return job.Duration(duration)
	}
	wish := func(name string, usual time.Duration, of func(*providers.Description) time.Duration) job.Duration {
		if st := get(name); st.given() {
			return period(name)
		}
		return job.Duration(l.suggestedTiming(usual, of))
	}
	timing := job.Timing{
		Heartbeat: period("heartbeat"), Silence: period("silence"), OrphanGrace: period("orphan_grace"), Lease: period("lease"),
		BootTimeout: wish("boot_timeout", 10*time.Minute, func(d *providers.Description) time.Duration { return d.BootTimeout }),
		IdleTimeout: wish("idle_timeout", time.Minute, func(d *providers.Description) time.Duration { return d.IdleTimeout }),
	}
	poll, _ := get("poll").duration()
	timing.Poll = job.Duration(poll)
	if timing.Silence > 0 && timing.Heartbeat > 0 && timing.Silence < 2*timing.Heartbeat {
		st := get("silence")
		if !st.given() {
			st = get("heartbeat")
		}
		st.invalid(st.where, "silence (%s) is at least twice the heartbeat (%s), else healthy agents are taken for lost", formatDuration(timing.Silence.D()), formatDuration(timing.Heartbeat.D()))
	}
	return timing
}

// readWorkdir reads which files are sent.
func (l *loader) readWorkdir(c *content) *Workdir {
	if c == nil {
		return nil
	}
	defer l.within("workdir")()
	get := func(name string) setting { return l.setting(workdirSchema, name, scope{ctx: l.ctx}, c) }
	workdir := &Workdir{Root: l.folder}
	root := get("root")
	if text, ok := root.text(); ok {
		switch {
		case text == "":
			root.invalid(root.where, "root is a folder, such as \"..\"")
		case filepath.IsAbs(text):
			workdir.Root = filepath.Clean(text)
		default:
			workdir.Root = filepath.Join(l.folder, filepath.FromSlash(text))
		}
	}
	workdir.Include = l.readPatterns(get("include"))
	workdir.Exclude = l.readPatterns(get("exclude"))
	if include := get("include"); include.given() && len(workdir.Include) == 0 {
		include.invalid(include.where, "without a pattern nothing would be sent; leave the workdir block out for that")
	}
	return workdir
}

func (l *loader) readPatterns(st setting) []string {
	list, _ := st.list()
	for _, item := range list {
		switch pattern := cleanPattern(item.text); {
		case pattern == "" || !doublestar.ValidatePattern(pattern):
			st.invalid(item.at, "%q is no pattern; * matches within a name and ** over folders", shorten(item.text))
		case strings.HasPrefix(pattern, "/") || pattern == ".." || strings.HasPrefix(pattern, "../") || strings.Contains(pattern, "/../"):
			st.invalid(item.at, "a pattern is relative to the root of the workdir and stays below it; %q does not. Another root is set by root", shorten(item.text))
		}
	}
	return textsOf(list)
}

// sourceTexts are the job files, one after the other.
func (l *loader) sourceTexts() string {
	if len(l.paths) == 1 {
		return string(l.sources[l.paths[0]])
	}
	var text strings.Builder
	for _, path := range l.paths {
		fmt.Fprintf(&text, "# file %s\n%s\n", path, l.sources[path])
	}
	return text.String()
}

// jobValue is what job is in expressions.
func jobValue(block *content) cty.Value {
	return cty.ObjectVal(map[string]cty.Value{"name": cty.StringVal(block.label)})
}
