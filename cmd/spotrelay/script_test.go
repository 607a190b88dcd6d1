package main

import (
	"bufio"
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/rogpeppe/go-internal/testscript"
)

// TestScript runs the command line as users type it. Beside testscript's own
// commands there are:
//
//	exits CODE PROGRAM ARG...      run it, and want that exit code
//	eventually PROGRAM ARG...      run it again and again until it exits 0
//	field FILE PATH WANT           FILE's last line is JSON with WANT at PATH (a.0.b); - is stdout
//	jsonlines FILE                 every line of FILE is a JSON object
//
// and the condition root: who runs the tests may read and write everything.
func TestScript(t *testing.T) {
	if testing.Short() {
		t.Skip("starts real processes")
	}
	testscript.Run(t, testscript.Params{
		Dir: "testdata/script",
		Setup: func(env *testscript.Env) error {
			for _, variable := range placeVariables(env.WorkDir) {
				name, value, _ := strings.Cut(variable, "=")
				env.Setenv(name, value)
			}
			env.Setenv("REPOSITORY", repository())
			env.Defer(func() {
				if left := waitForNone(env.WorkDir, 20*time.Second); len(left) > 0 {
					endProcesses(env.WorkDir)
					t.Errorf("processes are left behind:\n%s", strings.Join(left, "\n"))
				}
			})
			return nil
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits": exits, "eventually": eventually, "field": field, "jsonlines": jsonlines,
		},
		Condition: func(condition string) (bool, error) {
			if condition == "root" {
				return os.Geteuid() == 0, nil
			}
			return false, fmt.Errorf("unknown condition %q", condition)
		},
		ContinueOnError: true,
	})
}

func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE PROGRAM ARG...")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	code := runIn(ts, args[1:])
	if code != want {
		ts.Fatalf("exit code %d, not %d", code, want)
	}
}

func runIn(ts *testscript.TestScript, args []string) int {
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	defer cancel()
	program := args[0]
	if program == "spotrelay" {
		program = filepath.Join(built, program)
	}
	cmd := exec.CommandContext(ctx, program, args[1:]...)
	cmd.Dir = ts.MkAbs(".")
	cmd.Env = os.Environ()
	for _, variable := range placeVariables(ts.Getenv("WORK")) {
		name, _, _ := strings.Cut(variable, "=")
		cmd.Env = append(cmd.Env, name+"="+ts.Getenv(name))
	}
	for _, name := range []string{"SPOTRELAY_PLUGIN_PATH", "SPOTRELAY_VAR_greeting"} {
		if value := ts.Getenv(name); value != "" {
			cmd.Env = append(cmd.Env, name+"="+value)
		}
	}
	cmd.Stdout, cmd.Stderr = ts.Stdout(), ts.Stderr()
	var exit *exec.ExitError
	if err := cmd.Run(); err != nil && !errors.As(err, &exit) {
		ts.Fatalf("%v", err)
	}
	return cmd.ProcessState.ExitCode()
}

func eventually(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) == 0 {
		ts.Fatalf("usage: eventually PROGRAM ARG...")
	}
	deadline := time.After(30 * time.Second)
	ticker := time.NewTicker(100 * time.Millisecond)
	defer ticker.Stop()
	for {
		if ts.Exec(args[0], args[1:]...) == nil {
			return
		}
		select {
		case <-ticker.C:
		case <-deadline:
			ts.Fatalf("%s did not succeed in time", strings.Join(args, " "))
		}
	}
}

func jsonlines(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) != 1 {
		ts.Fatalf("usage: jsonlines FILE")
	}
	lines := bufio.NewScanner(strings.NewReader(ts.ReadFile(args[0])))
	lines.Buffer(nil, 4<<20)
	count := 0
	for lines.Scan() {
		var object map[string]any
		if err := json.Unmarshal(lines.Bytes(), &object); err != nil {
			ts.Fatalf("not a JSON object: %s", lines.Text())
		}
		count++
	}
	ts.Check(lines.Err())
	if count == 0 {
		ts.Fatalf("there is no line")
	}
}

func field(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 3 {
		ts.Fatalf("usage: field FILE PATH WANT")
	}
	lines := bytes.Split(bytes.TrimSpace([]byte(ts.ReadFile(args[0]))), []byte("\n"))
	var value any
	if err := json.Unmarshal(lines[len(lines)-1], &value); err != nil {
		ts.Fatalf("not JSON: %s", lines[len(lines)-1])
	}
	for _, step := range strings.Split(args[1], ".") {
		switch at := value.(type) {
		case map[string]any:
			value = at[step]
		case []any:
			i, err := strconv.Atoi(step)
			if err != nil || i >= len(at) {
				ts.Fatalf("%s: no element %s of %d", args[1], step, len(at))
			}
			value = at[i]
		default:
			ts.Fatalf("%s: nothing at %s", args[1], step)
		}
	}
	if got := fmt.Sprint(value); (got == args[2]) == neg {
		ts.Fatalf("%s is %q, want %q (negated: %t)", args[1], got, args[2], neg)
	}
}
