//go:build unix

package agent

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/spotrelay/spotrelay/providers"
	"github.com/spotrelay/spotrelay/runner/agent/bootstrap"
	"github.com/spotrelay/spotrelay/runner/job"
)

// mayLeave is whether the agent has a reason to leave and nothing left to run.
// From then on it accepts nothing.
func (a *Agent) mayLeave() (reason string, ok bool) {
	a.mu.Lock()
	defer a.mu.Unlock()
	if len(a.order) > 0 {
		return "", false
	}
	switch {
	case a.stopping, a.orphaned:
		reason = a.reason
	case a.notices.acted && a.notices.shown != nil:
		reason = string(a.notices.shown.Kind) + " notice"
	case a.desired.Leave:
		reason = "the controller said so"
	default:
		return "", false
	}
	a.phase, a.reason = job.PhaseLeaving, reason
	a.changed()
	return reason, true
}

// leave delivers what is to be reported, and ends the instance.
func (a *Agent) leave(reason string) error {
	a.execs.leave()
	ctx, cancel := context.WithTimeout(a.life, a.farewell())
	err := a.report.flush(ctx)
	cancel()
	if err != nil {
		a.log.Error("leaving with a status that could not be written", "reason", reason)
	}
	a.mu.Lock()
	stopping := a.stopping
	a.mu.Unlock()
	a.log.Info("ending the instance", "reason", reason, "means", a.config.Leave.Means)
	if stopping {
		return nil // it is ending already
	}
	return a.end(a.life)
}

// farewell is how long the last status may take.
func (a *Agent) farewell() time.Duration {
	a.mu.Lock()
	defer a.mu.Unlock()
	switch {
	case a.stopping:
		return shutdownWindow
	case a.notices.shown != nil && !a.notices.shown.Deadline.IsZero():
		return max(0, time.Until(a.notices.shown.Deadline)) + beyondDeadline
	}
	return orDefault(a.config.Timing.OrphanGrace, defaultOrphanGrace)
}

// leaveTries is how often a request or a command that should end the instance
// is made; the provider's own timer and the controller come after.
const leaveTries = 8

// end ends the instance as its provider says.
func (a *Agent) end(ctx context.Context) error {
	way := a.config.Leave
	switch way.Means {
	case providers.LeaveExit, providers.LeaveNone:
		return nil
	case providers.LeavePowerOff:
		return a.powerOff(ctx)
	case providers.LeaveRequest:
		return repeat(ctx, func() error { return a.request(ctx, way) })
	case providers.LeaveCommand:
		return repeat(ctx, func() error { return a.command(ctx, way.Command) })
	}
	return fmt.Errorf("the instance cannot end itself: its provider gave the means %q, which this agent does not know", way.Means)
}

func repeat(ctx context.Context, f func() error) error {
	for failures := 1; ; failures++ {
		err := f()
		if err == nil || failures == leaveTries || !sleep(ctx, pauseAfter(failures, 250*time.Millisecond, 10*time.Second)) {
			return err
		}
	}
}

// powerOff asks the system's manager, and the kernel when there is none.
func (a *Agent) powerOff(ctx context.Context) error {
	var failed error
	for _, command := range [][]string{{"systemctl", "poweroff"}, {"poweroff"}, {"shutdown", "-h", "now"}} {
		err := a.command(ctx, command)
		if err == nil {
			return nil
		}
		failed = errors.Join(failed, err)
	}
	if err := powerOffKernel(); err != nil {
		return fmt.Errorf("the machine cannot be powered off: %w", errors.Join(failed, err))
	}
	return nil
}

// command runs a command to its end; it knows SPOTRELAY_INSTANCE, and
// SPOTRELAY_METADATA where the agent does.
func (a *Agent) command(ctx context.Context, argv []string) error {
	if len(argv) == 0 {
		return errors.New("the command that should end the instance is empty")
	}
	env := environment{bootstrap.VarInstance: a.instance, "PATH": a.taskEnvironment["PATH"] + ":" + defaultPath}
	if a.metadata != "" {
		env[bootstrap.VarMetadata] = a.metadata
	}
	path, err := lookPath(argv[0], env["PATH"], a.home)
	if err != nil {
		return err
	}
	log, err := os.OpenFile(filepath.Join(a.home, "leave.log"), os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o644)
	if err != nil {
		return err
	}
	defer log.Close()
	p, err := a.processes.start(command{path: path, argv: argv, dir: a.home, env: env.list(), output: log})
	if err != nil {
		return fmt.Errorf("starting %s: %w", argv[0], err)
	}
	select {
	case <-p.done:
	case <-ctx.Done():
		p.signal(syscall.SIGKILL)
		<-p.done
		return ctx.Err()
	}
	if p.status.ExitStatus() != 0 {
		return fmt.Errorf("%s ended with %s", strings.Join(argv, " "), endText(p.status))
	}
	return nil
}

// request makes the request that ends the instance.
func (a *Agent) request(ctx context.Context, way providers.Leave) error {
	ctx, cancel := context.WithTimeout(ctx, callTimeout)
	defer cancel()
	metadata := a.metadata
	if metadata == "" && a.config.Notice != nil {
		metadata = a.config.Notice.Metadata
	}
	address := strings.ReplaceAll(way.URL, "{metadata}", strings.TrimSuffix(metadata, "/"))
	method := way.Method
	if method == "" {
		method = http.MethodPost
	}
	request, err := http.NewRequestWithContext(ctx, method, address, nil)
	if err != nil {
		return err
	}
	for name, value := range way.Headers {
		request.Header.Set(name, value)
	}
	client := http.Client{Transport: &http.Transport{DialContext: (&net.Dialer{Timeout: 5 * time.Second}).DialContext, DisableKeepAlives: true}}
	response, err := client.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	_, _ = io.CopyN(io.Discard, response.Body, 64<<10)
	if response.StatusCode/100 != 2 {
		return fmt.Errorf("%s %s answered %s", method, address, response.Status)
	}
	return nil
}
