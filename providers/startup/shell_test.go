package startup_test

import (
	"bytes"
	"flag"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"pgregory.net/rapid"

	"github.com/spotrelay/spotrelay/providers"
	"github.com/spotrelay/spotrelay/providers/startup"
)

// TestEveryValueArrives: whatever an environment can hold reaches the agent
// unharmed, by every shell, also a text that looks like the script's own.
func TestEveryValueArrives(t *testing.T) {
	// Each check runs a whole script; rapid's usual hundred would take a minute.
	if checks := flag.Lookup("rapid.checks"); checks.Value.String() == checks.DefValue {
		if err := flag.Set("rapid.checks", "20"); err != nil {
			t.Fatal(err)
		}
		defer flag.Set("rapid.checks", checks.DefValue)
	}
	bucket := folderBucketOf(t, "pre", listing)
	for _, shell := range shells(t) {
		t.Run(filepath.Base(shell), func(t *testing.T) {
			rapid.Check(t, func(r *rapid.T) {
				name := rapid.StringMatching(`V_[A-Za-z0-9_]{0,6}`)
				value := rapid.OneOf(
					rapid.Map(rapid.SliceOf(rapid.ByteRange(1, 255)), func(b []byte) string { return string(b) }),
					rapid.StringOf(rapid.SampledFrom([]rune("'\"\\$`\n #;&|(){}*?~!%é\t="))),
					rapid.SampledFrom([]string{"'; exit 3; '", "$(exit 3)", "EOF", "\n\n", "'", "\\", "-n", "home", "#!/bin/sh"}),
				)
				environment := rapid.MapOfN(name, value, 1, 12).Draw(r, "environment")
				for _, own := range []string{"home", "instance", "boot_timeout", "masked"} {
					if rapid.Bool().Draw(r, own) {
						environment[own] = value.Draw(r, own+"'s value")
					}
				}
				b := bootstrapOf(bucket)
				setAgent(&b, listing)
				b.Environment = environment
				id := rapid.StringMatching(`[^\x00\n{}]{1,12}`).Draw(r, "id")
				m := newVM(t)
				m.shell = shell
				if code := m.run(script(t, b, startup.Options{Instance: id})); code != 0 {
					r.Fatalf("the script ended with %d:\n%s", code, m.output.String())
				}
				text, err := os.ReadFile(filepath.Join(m.home, "seen"))
				if err != nil {
					r.Fatal(err)
				}
				seen := map[string]string{}
				for _, entry := range strings.Split(string(text), "\x00") {
					name, value, _ := strings.Cut(entry, "=")
					seen[name] = value
				}
				environment["SPOTRELAY_INSTANCE"] = id
				for _, name := range slices.Sorted(maps.Keys(environment)) {
					if seen[name] != environment[name] {
						r.Errorf("%s arrived as %q, want %q", name, seen[name], environment[name])
					}
				}
			})
		})
	}
}

// listing is an agent that writes its environment with NULs between.
const listing = "#!/bin/sh\nenv -0 >\"$SPOTRELAY_HOME/seen\"\n"

func setAgent(b *providers.Bootstrap, text string) {
	for platform, program := range b.Agents {
		program.SHA256 = sum(text)
		b.Agents[platform] = program
	}
}

// TestNotEveryName: what a shell would not hand on is refused, by name.
func TestNotEveryName(t *testing.T) {
	for name, value := range map[string]string{"IFS": "x", "BASH_ENV": "/x", "UID": "0", "a b": "", "": "", "a=b": "", "1a": "", "OK": "a\x00b"} {
		b := bootstrapOf("/bucket")
		b.Environment = map[string]string{name: value}
		if _, err := startup.Script(b, startup.Options{Leave: providers.Leave{Means: providers.LeaveExit}}); err == nil || !strings.Contains(err.Error(), name) {
			t.Errorf("the variable %q gives %v", name, err)
		}
	}
}

// scripts are one of each kind.
func scripts(t *testing.T) map[string][]byte {
	all := map[string][]byte{}
	request := providers.Leave{Means: providers.LeaveRequest, URL: "{metadata}/x", Headers: map[string]string{"A": `"b\c"`}}
	all["s3"] = script(t, bootstrapOf("s3://acme/p"), startup.Options{Metadata: startup.MetadataEC2, Leave: request})
	all["gs"] = script(t, bootstrapOf("gs://acme"), startup.Options{Metadata: startup.MetadataGCE})
	all["file"] = script(t, bootstrapOf("/acme"), startup.Options{Instance: "i", Leave: providers.Leave{Means: providers.LeaveCommand, Command: []string{"a", "it's"}}})
	return all
}

// TestSyntax asks the shells, and shellcheck where it is installed.
func TestSyntax(t *testing.T) {
	for name, text := range scripts(t) {
		inner := regexp.MustCompile(`(?s)leave_script='(.*?)'\nwatch_script`).FindSubmatch(text)
		if inner == nil {
			t.Fatal("the script that leaves was not found")
		}
		leave := bytes.ReplaceAll(inner[1], []byte(`'\''`), []byte("'"))
		for part, text := range map[string][]byte{"": text, " leaving": leave} {
			for _, shell := range shells(t) {
				command := exec.Command(shell, "-n")
				command.Stdin = bytes.NewReader(text)
				if out, err := command.CombinedOutput(); err != nil {
					t.Errorf("%s%s: %s -n: %v\n%s", name, part, shell, err, out)
				}
			}
			check, err := exec.LookPath("shellcheck")
			if err != nil {
				t.Log("shellcheck is not installed: the shells alone were asked")
				continue
			}
			command := exec.Command(check, "-s", "sh", "-S", "warning", "-")
			command.Stdin = bytes.NewReader(text)
			if out, err := command.CombinedOutput(); err != nil {
				t.Errorf("%s%s: %v\n%s", name, part, err, out)
			}
		}
	}
}

// TestRefused: what cannot work is refused before anything is rented.
func TestRefused(t *testing.T) {
	ok := startup.Options{Instance: "i", Leave: providers.Leave{Means: providers.LeaveExit}}
	for text, change := range map[string]func(*providers.Bootstrap, *startup.Options){
		"how the instance ends itself": func(_ *providers.Bootstrap, o *startup.Options) { o.Leave.Means = "" },
		"no absolute path":             func(_ *providers.Bootstrap, o *startup.Options) { o.Home = "home" },
		"absolute path":                func(b *providers.Bootstrap, _ *startup.Options) { b.Bucket = "folder" },
		"s3://, gs:// and file://":     func(b *providers.Bootstrap, _ *startup.Options) { b.Bucket = "az://x" },
		"no region":                    func(b *providers.Bootstrap, _ *startup.Options) { b.Bucket = "s3://x" },
		"service account":              func(b *providers.Bootstrap, _ *startup.Options) { b.Bucket = "gs://x" },
		"no agent program":             func(b *providers.Bootstrap, _ *startup.Options) { b.Agents = nil },
		"SHA-256": func(b *providers.Bootstrap, _ *startup.Options) {
			setAgent(b, "")
			b.Agents[here()] = providers.AgentProgram{Key: "a", SHA256: "ab"}
		},
		"metadata service of kind": func(_ *providers.Bootstrap, o *startup.Options) { o.Metadata = "azure" },
		"is a pattern":             func(_ *providers.Bootstrap, o *startup.Options) { o.Instance = "{id}" },
		"may not be negative":      func(_ *providers.Bootstrap, o *startup.Options) { o.MaxLife = -1 },
		"by \"magic\"":             func(_ *providers.Bootstrap, o *startup.Options) { o.Leave.Means = "magic" },
		"command that should end":  func(_ *providers.Bootstrap, o *startup.Options) { o.Leave.Means = providers.LeaveCommand },
		"request that should end":  func(_ *providers.Bootstrap, o *startup.Options) { o.Leave.Means = providers.LeaveRequest },
	} {
		b, o := bootstrapOf("/bucket"), ok
		change(&b, &o)
		if _, err := startup.Script(b, o); err == nil || !strings.Contains(err.Error(), text) {
			t.Errorf("got %v, want %q", err, text)
		}
	}
}
