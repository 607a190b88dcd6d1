package plugins_test

import (
	"go/ast"
	"go/parser"
	"go/token"
	"os"
	"path/filepath"
	"regexp"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/spotrelay/spotrelay/plugins"
	"github.com/spotrelay/spotrelay/providers"
)

// azureNotice is the example in docs/plugins.md.
func azureNotice() providers.NoticeProbe {
	return providers.NoticeProbe{
		Metadata: "http://169.254.169.254",
		Sources: []providers.NoticeSource{{
			Name:     "scheduledevents/preempt",
			Kind:     "interruption",
			URL:      "{metadata}/metadata/scheduledevents?api-version=2020-07-01",
			Headers:  map[string]string{"Metadata": "true"},
			Interval: time.Second,
			Match: providers.NoticeMatch{
				Array: true, ArrayPath: "Events",
				When: "EventType", In: []string{"Preempt", "Terminate"},
				Action: "EventType", Deadline: "NotBefore", DeadlineLayout: time.RFC1123,
				Lead: 30 * time.Second,
			},
		}},
	}
}

// ec2Notice and gceNotice are the page's other examples.
func ec2Notice() providers.NoticeProbe {
	return providers.NoticeProbe{
		Metadata: "http://169.254.169.254",
		Token: &providers.TokenRequest{
			Method: "PUT", URL: "{metadata}/latest/api/token",
			Headers: map[string]string{"X-aws-ec2-metadata-token-ttl-seconds": "21600"},
			Header:  "X-aws-ec2-metadata-token", Life: 6 * time.Hour,
		},
		Sources: []providers.NoticeSource{{
			Name: "spot/instance-action", Kind: "interruption",
			URL:      "{metadata}/latest/meta-data/spot/instance-action",
			Interval: 2 * time.Second, Absent: []int{404},
			Match: providers.NoticeMatch{Action: "action", Deadline: "time", Lead: 2 * time.Minute},
		}},
	}
}

func gceNotice() providers.NoticeProbe {
	return providers.NoticeProbe{
		Metadata: "http://metadata.google.internal/computeMetadata/v1",
		Sources: []providers.NoticeSource{{
			Name: "instance/preempted", Kind: "interruption",
			URL:     "{metadata}/instance/preempted",
			Headers: map[string]string{"Metadata-Flavor": "Google"},
			Hang:    true, HangQuery: "?wait_for_change=true&last_etag={etag}",
			Interval: time.Second, // after an error; 503 happens
			Match:    providers.NoticeMatch{Text: []string{"TRUE"}, Lead: 30 * time.Second},
		}},
	}
}

func ExampleServe() {
	var provider providers.Provider // yours
	plugins.Serve(provider)
}

func page(t *testing.T) string {
	t.Helper()
	data, err := os.ReadFile("../docs/plugins.md")
	if err != nil {
		t.Fatal(err)
	}
	return string(data)
}

// TestCodeInTheDocsIsReal: each block of Go on the page is part of a file that
// compiles.
func TestCodeInTheDocsIsReal(t *testing.T) {
	for _, probe := range []providers.NoticeProbe{ec2Notice(), gceNotice(), azureNotice()} {
		if len(probe.Sources) != 1 {
			t.Errorf("%+v", probe)
		}
	}
	var sources strings.Builder
	for _, pattern := range []string{"docs_test.go", "example/*.go", "../examples/plugin-folder/*.go", "../providers/*.go", "../providers/providertest/memory/*.go"} {
		files, err := filepath.Glob(pattern)
		if err != nil || len(files) == 0 {
			t.Fatalf("%s: %v", pattern, err)
		}
		for _, file := range files {
			data, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			sources.Write(data)
		}
	}
	blocks := regexp.MustCompile("(?s)```go\n(.*?)```").FindAllStringSubmatch(page(t), -1)
	if len(blocks) < 5 {
		t.Errorf("only %d blocks of Go", len(blocks))
	}
	for _, block := range blocks {
		if !strings.Contains(sources.String(), block[1]) {
			t.Errorf("in no file:\n%s", block[1])
		}
	}
}

// TestDocsNameEveryValue: codes, causes, means and capabilities of the contract
// are all explained.
func TestDocsNameEveryValue(t *testing.T) {
	text := page(t)
	named := 0
	for _, file := range []string{"error.go", "instance.go", "notice_probe.go", "provider.go"} {
		parsed, err := parser.ParseFile(token.NewFileSet(), filepath.Join("../providers", file), nil, 0)
		if err != nil {
			t.Fatal(err)
		}
		ast.Inspect(parsed, func(n ast.Node) bool {
			spec, ok := n.(*ast.ValueSpec)
			if !ok || len(spec.Values) != 1 {
				return true
			}
			kind, _ := spec.Type.(*ast.Ident)
			value, _ := spec.Values[0].(*ast.BasicLit)
			if kind == nil || value == nil {
				return true
			}
			switch kind.Name {
			case "Code", "EndCause", "LeaveMeans", "Capability":
				word, err := strconv.Unquote(value.Value)
				if err != nil {
					t.Fatal(err)
				}
				if named++; !strings.Contains(text, "`"+word+"`") {
					t.Errorf("docs/plugins.md does not name the %s %q", kind.Name, word)
				}
			}
			return true
		})
	}
	if named < 30 {
		t.Errorf("only %d values found in the contract", named)
	}
}
