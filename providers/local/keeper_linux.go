package local

import (
	"fmt"
	"os"
	"os/exec"
	"syscall"

	"golang.org/x/sys/unix"
)

// keep is the init stage where namespaces are refused. It does not become the
// agent but stays as its parent and as the subreaper of whatever the agent
// starts, so that nothing is out of sight, and ends all of it when the agent
// ends or the supervisor is gone. It returns the exit code, or an error before
// the agent has started.
func keep(plan bootPlan) (int, error) {
	if err := unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0); err != nil {
		return 0, fmt.Errorf("become the subreaper: %w", err)
	}
	cmd := &exec.Cmd{
		Path: plan.Agent, Args: []string{plan.Agent}, Dir: plan.Dir, Env: plan.Environment,
		Stdout: os.Stdout, Stderr: os.Stderr,
		SysProcAttr: &syscall.SysProcAttr{Setsid: true, Pdeathsig: syscall.SIGKILL},
	}
	if err := cmd.Start(); err != nil {
		return 0, fmt.Errorf("start the agent %s: %w", plan.Agent, err)
	}
	_ = unix.Sendmsg(initSocket, []byte{messageReady}, nil, nil, unix.MSG_NOSIGNAL)
	ended, alone := make(chan struct{}), make(chan struct{})
	go func() {
		_ = cmd.Wait()
		close(ended)
	}()
	go func() {
		awaitClose(initSocket)
		close(alone)
	}()
	select {
	case <-ended:
	case <-alone:
		_ = cmd.Process.Kill()
		<-ended
	}
	_ = population{roots: []int{os.Getpid()}, mark: markOf(plan.ID)}.kill()
	status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus)
	if ok && status.Signaled() {
		// End as the agent did, so that the supervisor sees how.
		_ = syscall.Kill(os.Getpid(), status.Signal())
	}
	return cmd.ProcessState.ExitCode(), nil
}

// awaitClose returns when the other end of a socket is closed.
func awaitClose(socket int) {
	buffer := make([]byte, 16)
	for {
		n, err := unix.Read(socket, buffer)
		if err == unix.EINTR {
			continue
		}
		if n <= 0 || err != nil {
			return
		}
	}
}
