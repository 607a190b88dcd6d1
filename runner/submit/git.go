package submit

import (
	"bytes"
	"context"
	"os"
	"os/exec"
	"strings"
	"time"

	"github.com/spotrelay/spotrelay/runner/job"
)

// gitLimit bounds the look at a work tree: a submission does not wait for it.
const gitLimit = 10 * time.Second

// GitOf is the state of the git work tree that a folder lies in; nil when it is
// in none, there is no git, or it takes longer than ten seconds. Folders that
// are buckets by default are no change.
func GitOf(ctx context.Context, folder string) *job.Git {
	ctx, cancel := context.WithTimeout(ctx, gitLimit)
	defer cancel()
	cmd := exec.CommandContext(ctx, "git", "-c", "core.fsmonitor=false", "status", "--porcelain=v2", "--branch",
		"--untracked-files=normal", "--ignore-submodules=none", "--", ":/", ":(exclude,top,glob)**/.spotrelay/**")
	cmd.Dir = folder
	cmd.Env = append(os.Environ(), "GIT_OPTIONAL_LOCKS=0", "LC_ALL=C")
	cmd.WaitDelay = time.Second
	out, err := cmd.Output()
	if err != nil {
		return nil
	}
	return parseGitStatus(out)
}

// parseGitStatus reads the porcelain format, version 2 (git-status(1)): headers
// begin with #, every other line is a change.
func parseGitStatus(out []byte) *job.Git {
	git := &job.Git{}
	for line := range bytes.Lines(out) {
		text := strings.TrimRight(string(line), "\r\n")
		if oid, ok := strings.CutPrefix(text, "# branch.oid "); ok {
			if oid != "(initial)" {
				git.Commit = oid
			}
			continue
		}
		if head, ok := strings.CutPrefix(text, "# branch.head "); ok {
			if head != "(detached)" {
				git.Branch = head
			}
			continue
		}
		if text != "" && !strings.HasPrefix(text, "#") {
			git.Dirty = true
		}
	}
	return git
}
