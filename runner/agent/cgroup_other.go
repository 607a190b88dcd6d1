//go:build unix && !linux

package agent

import "github.com/spotrelay/spotrelay/runner/job"

// cgroups: there are none here.
type cgroups struct{}

type cgroup struct{}

func findCgroups(string) *cgroups { return &cgroups{} }

func (*cgroups) limits() bool                          { return false }
func (*cgroups) remove()                               {}
func (*cgroups) create(string, int64) (*cgroup, error) { return nil, nil }
func (*cgroups) lend(int64) (*cgroup, error)           { return nil, nil }
func (*cgroup) empty() bool                            { return false }
func (*cgroup) inside(f func()) error                  { f(); return nil }
func (*cgroup) grown() int64                           { return 0 }
func (*cgroup) usage() job.Usage                       { return job.Usage{} }
func (*cgroup) pids() []int                            { return nil }
func (*cgroup) kill()                                  {}
func (*cgroup) remove()                                {}
