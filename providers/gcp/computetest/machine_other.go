//go:build !linux

package computetest

// machine is the processes of an instance, on Linux alone.
type machine struct{ folder string }

func (s *Server) power(in *instance) {
	s.failed("computetest: instances run as processes on Linux alone")
}

func (m *machine) console() string { return "" }

func (m *machine) softOff() {}

func (m *machine) kill() {}

// Processes are the pids of an instance's processes.
func (s *Server) Processes(uint64) []int { return nil }
