package providertest

import (
	"context"
	"fmt"
	"runtime"
	"slices"
	"sync"
)

// T is what a case needs of a testing.T.
type T interface {
	Helper()
	Name() string
	Context() context.Context // ends before the cleanups run
	Logf(format string, args ...any)
	Errorf(format string, args ...any)
	FailNow()
	Failed() bool
	Skipf(format string, args ...any)
	Cleanup(func())
}

// Runner is a T that runs cases below itself, as *testing.T does.
type Runner[X any] interface {
	T
	Run(name string, f func(X)) bool
}

// node is a T with cases below it, of whatever make.
type node interface {
	T
	run(name string, f func(node)) bool
}

type runnerNode[X Runner[X]] struct {
	T
	runner X
}

func (n runnerNode[X]) run(name string, f func(node)) bool {
	return n.runner.Run(name, func(x X) { f(runnerNode[X]{x, x}) })
}

// Outcome of a case.
type Outcome string

// The outcomes of a case.
const (
	Passed  Outcome = "passed"
	Failed  Outcome = "failed"
	Skipped Outcome = "skipped"
)

// Result is how one case went.
type Result struct {
	Name    string   `json:"name"` // "lifecycle/list"
	Outcome Outcome  `json:"outcome"`
	Log     []string `json:"log,omitempty"` // what it said: errors, and why it was skipped
}

// plainNode is a T without go test.
type plainNode struct {
	name   string
	ctx    context.Context
	report func(Result)

	mu       sync.Mutex
	failed   bool
	skipped  bool
	log      []string
	cleanups []func()
}

// execute runs f to its end, its cleanups included, and reports it.
func (n *plainNode) execute(parent context.Context, f func(node)) {
	ctx, cancel := context.WithCancel(parent)
	n.ctx = ctx
	n.guard(func() { f(n) })
	cancel()
	for {
		n.mu.Lock()
		if len(n.cleanups) == 0 {
			n.mu.Unlock()
			break
		}
		last := len(n.cleanups) - 1
		cleanup := n.cleanups[last]
		n.cleanups = n.cleanups[:last]
		n.mu.Unlock()
		n.guard(cleanup)
	}
	if n.name != "" {
		n.report(n.result())
	}
}

// guard runs f in a goroutine of its own, which FailNow and Skipf may end, and
// makes a panic a failure.
func (n *plainNode) guard(f func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		defer func() {
			if p := recover(); p != nil {
				n.Errorf("panic: %v", p)
			}
		}()
		f()
	}()
	<-done
}

func (n *plainNode) result() Result {
	n.mu.Lock()
	defer n.mu.Unlock()
	result := Result{Name: n.name, Outcome: Passed, Log: slices.Clone(n.log)}
	switch {
	case n.failed:
		result.Outcome = Failed
	case n.skipped:
		result.Outcome = Skipped
	}
	return result
}

func (n *plainNode) run(name string, f func(node)) bool {
	if n.name != "" {
		name = n.name + "/" + name
	}
	below := &plainNode{name: name, report: n.report}
	below.execute(n.ctx, f)
	if below.Failed() {
		n.mu.Lock()
		n.failed = true
		n.mu.Unlock()
	}
	return !below.Failed()
}

func (n *plainNode) Helper() {}

func (n *plainNode) Name() string { return n.name }

func (n *plainNode) Context() context.Context { return n.ctx }

func (n *plainNode) Logf(format string, args ...any) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.log = append(n.log, fmt.Sprintf(format, args...))
}

func (n *plainNode) Errorf(format string, args ...any) {
	n.Logf(format, args...)
	n.mu.Lock()
	defer n.mu.Unlock()
	n.failed = true
}

func (n *plainNode) FailNow() {
	n.mu.Lock()
	n.failed = true
	n.mu.Unlock()
	runtime.Goexit()
}

func (n *plainNode) Failed() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.failed
}

func (n *plainNode) Skipf(format string, args ...any) {
	n.Logf(format, args...)
	n.mu.Lock()
	n.skipped = true
	n.mu.Unlock()
	runtime.Goexit()
}

func (n *plainNode) Cleanup(f func()) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.cleanups = append(n.cleanups, f)
}
