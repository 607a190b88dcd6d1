//go:build unix

package agent

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"syscall"
)

// criu is CRIU's program on this instance, https://criu.org. It dumps a tree of
// processes into files and makes it anew from them.
type criu struct {
	path      string
	processes *processes
	work      string // a folder for its logs
	environ   []string
}

// findCRIU finds the program where the task would.
func findCRIU(searchPath string) (string, error) {
	if runtime.GOOS != "linux" {
		return "", fmt.Errorf("checkpoint method criu works on Linux only, this instance runs %s: give the task a checkpoint path that it writes itself", runtime.GOOS)
	}
	path, err := lookPath("criu", searchPath, "/")
	if err != nil {
		return "", errors.New("checkpoint method criu needs CRIU, and there is none in PATH on this instance: " +
			"take an image that has it, or install it by the task's setup (apt-get install criu, dnf install criu), " +
			"or give the task a checkpoint path that it writes itself")
	}
	return path, nil
}

// check is whether it works with this kernel and these powers.
func (c *criu) check(ctx context.Context) error {
	if err := c.run(ctx, "check", nil); err != nil {
		return fmt.Errorf("checkpoint method criu cannot work on this instance: %w; it needs root's powers and a CRIU as new as the kernel (try criu check there): "+
			"take another image, or give the task a checkpoint path that it writes itself", err)
	}
	return nil
}

// shared are the options of dump and restore alike: cgroups are the agent's
// business, connections are closed since the instance is another one, and
// locks are nobody else's.
var shared = []string{"--manage-cgroups=ignore", "--tcp-close", "--file-locks", "-v2"}

// dump writes the processes below pid into images, which exists, and leaves
// them stopped.
func (c *criu) dump(ctx context.Context, pid int, images string) error {
	return c.run(ctx, "dump", nil, append([]string{
		"--tree", strconv.Itoa(pid), "--images-dir", images, "--leave-stopped", "--ghost-limit", "1073741824",
	}, shared...)...)
}

// restore makes the processes anew, as children of this one. What they wrote
// to under the name output goes to the file. The first one's pid is told.
func (c *criu) restore(ctx context.Context, images, output string, to *os.File, cg *cgroup) (pid int, err error) {
	pidFile := filepath.Join(c.work, "pid")
	if err := os.Remove(pidFile); err != nil && !os.IsNotExist(err) {
		return 0, err
	}
	err = c.run(ctx, "restore", &inherited{file: to, cgroup: cg}, append([]string{
		"--images-dir", images, "--restore-detached", "--restore-sibling", "--pidfile", pidFile,
		"--inherit-fd", fmt.Sprintf("fd[%d]:%s", firstInherited, output),
	}, shared...)...)
	if err != nil {
		return 0, err
	}
	data, err := os.ReadFile(pidFile)
	if err != nil {
		return 0, err
	}
	return strconv.Atoi(strings.TrimSpace(string(data)))
}

// inherited is what the restored processes get of the one that restores them.
type inherited struct {
	file   *os.File
	cgroup *cgroup
}

// firstInherited is the number that the first of command.files has.
const firstInherited = 3

// run runs CRIU to its end. An error has what it said.
func (c *criu) run(ctx context.Context, action string, pass *inherited, args ...string) error {
	if err := os.MkdirAll(c.work, 0o755); err != nil {
		return err
	}
	log := filepath.Join(c.work, action+".log")
	output, err := os.Create(filepath.Join(c.work, action+".out"))
	if err != nil {
		return err
	}
	defer output.Close()
	argv := []string{c.path, action}
	if len(args) > 0 {
		argv = append(append(argv, "--work-dir", c.work, "--log-file", log), args...)
	}
	cmd := command{path: c.path, argv: argv, dir: c.work, env: c.environ, output: output}
	if pass != nil {
		cmd.files, cmd.cgroup = []*os.File{pass.file}, pass.cgroup
	}
	process, err := c.processes.start(cmd)
	if err != nil {
		return fmt.Errorf("criu could not be started: %w", err)
	}
	select {
	case <-process.done:
	case <-ctx.Done():
		process.signal(syscall.SIGKILL)
		<-process.done
	}
	if ctx.Err() != nil {
		return ctx.Err()
	}
	if process.status.ExitStatus() == 0 {
		return nil
	}
	said := complaints(log, output.Name())
	if said == "" {
		said = "it said nothing"
	}
	return fmt.Errorf("criu %s ended with %s: %s", action, endText(process.status), said)
}

// complaints are the first lines that CRIU calls errors, without the place in
// its source and without one that is always there.
func complaints(files ...string) string {
	const most = 3
	var found []string
	for _, name := range files {
		file, err := os.Open(name)
		if err != nil {
			continue
		}
		lines := bufio.NewScanner(file)
		for lines.Scan() && len(found) < most {
			_, text, isError := strings.Cut(lines.Text(), "Error (")
			_, said, ok := strings.Cut(text, "): ")
			if isError && ok && !strings.Contains(said, "RLIMIT_NOFILE") {
				found = append(found, said)
			}
		}
		file.Close()
	}
	return strings.Join(found, "; ")
}
