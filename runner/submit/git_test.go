package submit

import (
	"os"
	"os/exec"
	"path/filepath"
	"testing"

	"github.com/spotrelay/spotrelay/runner/job"
)

func TestParseGitStatus(t *testing.T) {
	for _, c := range []struct {
		name, out string
		want      job.Git
	}{
		{"clean", "# branch.oid 0123abc\n# branch.head main\n# branch.upstream origin/main\n# branch.ab +0 -0\n", job.Git{Commit: "0123abc", Branch: "main"}},
		{"before the first commit", "# branch.oid (initial)\n# branch.head main\n? a\n", job.Git{Branch: "main", Dirty: true}},
		{"detached, changed", "# branch.oid 0123abc\n# branch.head (detached)\n1 .M N... 100644 100644 100644 1 1 a\n", job.Git{Commit: "0123abc", Dirty: true}},
	} {
		if got := parseGitStatus([]byte(c.out)); *got != c.want {
			t.Errorf("%s: %+v, not %+v", c.name, *got, c.want)
		}
	}
}

func TestGitOf(t *testing.T) {
	if GitOf(t.Context(), t.TempDir()) != nil {
		t.Error("a folder in no work tree has a git state")
	}
	if _, err := exec.LookPath("git"); err != nil {
		t.Skip("there is no git here; TestParseGitStatus covers what it says")
	}
	dir := t.TempDir()
	git := func(args ...string) {
		t.Helper()
		cmd := exec.Command("git", append([]string{"-c", "user.name=a", "-c", "user.email=a@b", "-c", "commit.gpgsign=false"}, args...)...)
		cmd.Dir = dir
		if out, err := cmd.CombinedOutput(); err != nil {
			t.Fatalf("git %v: %v\n%s", args, err, out)
		}
	}
	git("init", "-q", "-b", "work")
	write(t, dir, map[string]string{"jobs/job.hcl": "job"})
	git("add", ".")
	git("commit", "-q", "-m", "a job")
	folder := filepath.Join(dir, "jobs")
	write(t, dir, map[string]string{"jobs/.spotrelay/bucket.json": "{}"})
	found := GitOf(t.Context(), folder)
	if found == nil || len(found.Commit) < 40 || found.Branch != "work" || found.Dirty {
		t.Fatalf("it is %+v", found)
	}
	if err := os.WriteFile(filepath.Join(dir, "elsewhere"), nil, 0o644); err != nil {
		t.Fatal(err)
	}
	if found = GitOf(t.Context(), folder); found == nil || !found.Dirty {
		t.Errorf("with a new file it is %+v", found)
	}
}
