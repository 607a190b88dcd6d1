//go:build linux

package terraformtest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/zclconf/go-cty/cty"

	"github.com/spotrelay/spotrelay/providers/aws/ec2test"
	"github.com/spotrelay/spotrelay/providers/gcp/computetest"
)

// patience bounds a hang; nothing takes that long.
const patience = 5 * time.Minute

var builtIn string

func TestMain(m *testing.M) {
	code := m.Run()
	if builtIn != "" {
		_ = os.RemoveAll(builtIn) // a temporary folder
	}
	os.Exit(code)
}

// programs are spotrelay and spotrelay-agent, built once.
var programs = sync.OnceValues(func() (string, error) {
	dir, err := os.MkdirTemp("", "terraformtest-")
	if err != nil {
		return "", err
	}
	builtIn = dir
	build := exec.Command("go", "build", "-trimpath", "-tags", "disable_grpc_modules", "-ldflags", "-s -w", "-o", dir, "./cmd/spotrelay", "./cmd/spotrelay-agent")
	build.Dir, build.Env = repository(), append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		return "", fmt.Errorf("building the programs under test: %w\n%s", err, out)
	}
	return dir, nil
})

// user is somebody with a folder, the programs, a bucket and a fleet file.
type user struct {
	t   *testing.T
	dir string
	env []string
}

// newUser makes one in a folder, with the environment that the cloud asks for.
func newUser(t *testing.T, dir string, env ...string) *user {
	t.Helper()
	built, err := programs()
	if err != nil {
		t.Fatal(err)
	}
	for _, folder := range []string{"bucket", "home"} {
		if err := os.MkdirAll(filepath.Join(dir, folder), 0o755); err != nil {
			t.Fatal(err)
		}
	}
	home := filepath.Join(dir, "home")
	return &user{t: t, dir: dir, env: append(append(os.Environ(), env...),
		"PATH="+built+string(os.PathListSeparator)+os.Getenv("PATH"),
		"HOME="+home, "XDG_STATE_HOME=", "XDG_CONFIG_HOME=", "XDG_DATA_HOME=", "XDG_CACHE_HOME="+filepath.Join(home, "cache"),
		"SPOTRELAY_BUCKET=file://"+filepath.ToSlash(filepath.Join(dir, "bucket")), "SPOTRELAY_AGENT=", "SPOTRELAY_LOG=", "NO_COLOR=1")}
}

func (u *user) write(name, text string) {
	u.t.Helper()
	if err := os.WriteFile(filepath.Join(u.dir, name), []byte(text), 0o600); err != nil {
		u.t.Fatal(err)
	}
}

// spotrelay runs the program to its end, which must be a good one, and gives
// what it printed.
func (u *user) spotrelay(args ...string) string {
	u.t.Helper()
	built, err := programs()
	if err != nil {
		u.t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	cmd := exec.CommandContext(ctx, filepath.Join(built, "spotrelay"), args...)
	cmd.Dir, cmd.Env = u.dir, u.env
	var stdout, stderr bytes.Buffer
	cmd.Stdout, cmd.Stderr = &stdout, &stderr
	err = cmd.Run()
	var exit *exec.ExitError
	if err != nil && !errors.As(err, &exit) {
		u.t.Fatal(err)
	}
	if err != nil {
		u.t.Fatalf("spotrelay %s: %v\n%s\n%s", strings.Join(args, " "), err, &stdout, &stderr)
	}
	return stdout.String()
}

// smallJob is two tasks, the second of which reads what the first has put out.
const smallJob = `
job "small" {
  task "part" {
    count   = 2
    command = ["sh", "-c", "echo part $SPOTRELAY_INDEX > $SPOTRELAY_OUTPUT_DIR/part"]

    output {
      path = "out"
    }
  }

  task "whole" {
    depends_on = [task.part]
    command    = ["sh", "-c", "find $SPOTRELAY_INPUT_DIR_PART -type f | sort | xargs cat > $SPOTRELAY_OUTPUT_DIR/whole"]

    output {
      path = "out"
    }
  }
}

fleet "made" {
  from = "fleet.json"
}
`

// checkRun has the job validated, run and looked at.
func (u *user) checkRun(fleet string) {
	u.t.Helper()
	u.write("fleet.json", fleet)
	u.write("job.hcl", smallJob)
	u.spotrelay("validate", "job.hcl")
	u.t.Log(u.spotrelay("fleet", "check", "fleet.json", "--launch"))
	u.spotrelay("run", "job.hcl")
	u.spotrelay("outputs", "last", "whole", "--to", "fetched")
	found := ""
	_ = filepath.Walk(filepath.Join(u.dir, "fetched"), func(path string, info os.FileInfo, err error) error {
		if err == nil && info.Name() == "whole" && info.Mode().IsRegular() {
			text, _ := os.ReadFile(path)
			found = string(text)
		}
		return nil
	})
	if found != "part 0\npart 1\n" {
		u.t.Errorf("the run's output is %q", found)
	}
	u.spotrelay("audit")
}

// TestRunByFleetFile: what the modules write is all that a run needs to rent, to
// finish, and to leave nothing behind.
func TestRunByFleetFile(t *testing.T) {
	if testing.Short() {
		t.Skip("starts real processes")
	}
	t.Run("aws", func(t *testing.T) {
		if err := ec2test.MachinesWork(); err != nil {
			t.Skipf("NO RUN ON REAL INSTANCES HERE: %v. TestConformanceByFleetFile has the provider with the same fleet file", err)
		}
		dir := t.TempDir()
		s := ec2test.Start(t, ec2test.Options{Machines: &ec2test.Machines{Dir: filepath.Join(dir, "instances"), Share: []string{filepath.Join(dir, "bucket")}}})
		u := newUser(t, dir, s.Environment()...)
		if err := os.MkdirAll(filepath.Join(dir, "instances"), 0o755); err != nil {
			t.Fatal(err)
		}
		e := onEC2(t, s, map[string]cty.Value{"instance_types": cty.TupleVal([]cty.Value{cty.StringVal("m5.large"), cty.StringVal("c5.large")})})
		u.checkRun(fleetText(t, e, "fleet_file"))
		if live := s.Live(); len(live) > 0 {
			t.Errorf("instances are left: %q", live)
		}
		checkMarks(t, s)
		t.Logf("%d instances, %d calls", len(s.Instances()), len(s.Calls("")))
	})
	t.Run("gcp", func(t *testing.T) {
		dir := t.TempDir()
		s := computetest.Start(t, computetest.Options{Machines: filepath.Join(dir, "m"), Anonymous: true, Environment: []string{"SPOTRELAY_BUCKET="}})
		u := newUser(t, dir, "CLOUDSDK_API_ENDPOINT_OVERRIDES_COMPUTE="+s.URL, "CLOUDSDK_API_ENDPOINT_OVERRIDES_CLOUDBILLING="+s.URL)
		e := onCompute(t, map[string]cty.Value{"machine_types": cty.TupleVal([]cty.Value{cty.StringVal("n2-standard-2")})})
		s.Permit(roles(t, e, "look", "rent", "network", "act")...)
		u.checkRun(fleetText(t, e, "fleet_file"))
		for _, in := range s.Instances() {
			if !in.Gone {
				t.Errorf("the instance %s is left", in.Name)
			}
		}
		t.Logf("%d instances, %d calls", len(s.Instances()), len(s.Calls()))
	})
}

// TestExamples: the example's job passes `spotrelay validate` with the fleet
// file that the example makes.
func TestExamples(t *testing.T) {
	if testing.Short() {
		t.Skip("starts real processes")
	}
	for _, cloud := range clouds {
		t.Run(cloud, func(t *testing.T) {
			var u *user
			var e *evaluation
			if given := exampleSettings(t, cloud); cloud == "aws" {
				s := ec2test.Start(t, ec2test.Options{})
				u, e = newUser(t, t.TempDir(), s.Environment()...), onEC2(t, s, given)
				if region := e.mocks["data.aws_region"]["region"].AsString(); region != "us-east-1" {
					t.Fatalf("the mocks are of %s", region)
				}
			} else {
				s := computetest.Start(t, computetest.Options{Anonymous: true})
				u = newUser(t, t.TempDir(), "CLOUDSDK_API_ENDPOINT_OVERRIDES_COMPUTE="+s.URL, "CLOUDSDK_API_ENDPOINT_OVERRIDES_CLOUDBILLING="+s.URL)
				e = onCompute(t, given)
			}
			path, err := e.named("local", "fleet_file")
			if err != nil {
				t.Fatal(err)
			}
			u.write(filepath.Base(path.AsString()), fleetText(t, e, "fleet_file"))
			u.write("job.hcl", read(t, "examples", cloud, "job.hcl"))
			t.Log(u.spotrelay("validate", "job.hcl"))
		})
	}
}

// exampleSettings are the arguments of the example's module block that stand
// for themselves; its project and region are the fakes'.
func exampleSettings(t *testing.T, cloud string) map[string]cty.Value {
	t.Helper()
	for _, block := range parseFile(t, filepath.Join(repository(), "examples", cloud, "main.tf")).Blocks {
		if block.Type != "module" {
			continue
		}
		given := map[string]cty.Value{}
		for name, attribute := range block.Body.Attributes {
			if name == "source" || len(attribute.Expr.Variables()) > 0 {
				continue
			}
			value, diags := attribute.Expr.Value(nil)
			if diags.HasErrors() {
				t.Fatal(diags)
			}
			given[name] = value
		}
		return given
	}
	t.Fatalf("examples/%s has no module block", cloud)
	return nil
}
