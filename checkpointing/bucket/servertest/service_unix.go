//go:build unix

package servertest

import (
	"sync"
	"syscall"
	"testing"
)

// Service is an S3 server whose process a test kills, freezes and starts again,
// at one address and with one disk.
type Service struct {
	*Server
	t      *testing.T
	launch launch
	port   string

	mu      sync.Mutex
	process *process
}

// StartService starts an S3 server with an empty bucket below root, and gives
// this process the credentials for it and no others.
func StartService(t *testing.T, root string) *Service {
	t.Helper()
	s := &Service{t: t, launch: launchS3(t, nil, root)}
	s.process, s.port = startProcess(t, s.launch)
	t.Cleanup(s.Kill)
	giveCredentials(t, nil)
	s.Server = &Server{Endpoint: "http://" + hostport(s.port), store: "s3"}
	return s
}

// Kill ends the process by SIGKILL, frozen or not.
func (s *Service) Kill() {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.process.stop()
}

// Restart starts the server that was killed again, and returns when it answers.
func (s *Service) Restart() {
	s.t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	s.process = &process{command: s.launch.command(s.port), done: make(chan struct{})}
	err := s.process.start()
	if err == nil {
		err = s.process.wait(s.t.Context(), hostport(s.port), s.launch.probe)
	}
	if err != nil {
		s.t.Fatalf("the server did not start again: %v\n%s", err, s.process.output.String())
	}
}

// Freeze stops the process: connections stay, are taken by the kernel even, and
// nothing answers.
func (s *Service) Freeze() { s.signal(syscall.SIGSTOP) }

// Thaw lets a frozen process go on.
func (s *Service) Thaw() { s.signal(syscall.SIGCONT) }

func (s *Service) signal(signal syscall.Signal) {
	s.t.Helper()
	s.mu.Lock()
	defer s.mu.Unlock()
	if err := s.process.command.Process.Signal(signal); err != nil {
		s.t.Fatalf("%v: %v", signal, err)
	}
}
