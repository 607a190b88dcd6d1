package main

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"github.com/spotrelay/spotrelay/checkpointing/bucket/servertest"
)

// TestMain is also the benchmark's own processes.
func TestMain(m *testing.M) {
	if os.Getenv(childVariable) != "" {
		if err := start(context.Background(), os.Args[1:]); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(1)
		}
		return
	}
	os.Exit(m.Run())
}

func TestWorkloadsAreTheSameEachTimeAndOfTheirSize(t *testing.T) {
	for _, w := range workloads(0.002) {
		one, other := t.TempDir(), t.TempDir()
		for _, dir := range []string{one, other} {
			if err := w.lay(dir); err != nil {
				t.Fatal(err)
			}
			if w.change != nil {
				if err := w.change(dir); err != nil {
					t.Fatal(err)
				}
			}
		}
		if err := same(one, other); err != nil {
			t.Errorf("(%s): %v", w.ID, err)
		}
		var n int64
		_ = filepath.WalkDir(one, func(_ string, e os.DirEntry, _ error) error {
			if info, err := e.Info(); err == nil && !e.IsDir() {
				n += info.Size()
			}
			return nil
		})
		if n != w.Bytes {
			t.Errorf("(%s) has %d bytes, want %d", w.ID, n, w.Bytes)
		}
	}
}

func TestTwoPercentOfTheRegionsChange(t *testing.T) {
	w := workloads(0.1)[3]
	if w.ID != "c" || w.Bytes != 102*mib || w.Changed != 2*mib {
		t.Fatalf("(%s): %d of %d bytes change", w.ID, w.Changed, w.Bytes)
	}
}

func TestReportJudgesByTheMedian(t *testing.T) {
	r := &report{Loads: []loadReport{{ID: "b"}}, Measures: []*measure{
		{Workload: "b", Step: saving, Tool: mine, Samples: []usage{{Seconds: 9}, {Seconds: 1}, {Seconds: 1}}, Traffic: &traffic{Uploads: 16}},
		{Workload: "b", Step: saving, Tool: "restic", Samples: []usage{{Seconds: 5}}},
	}}
	r.judge()
	var out bytes.Buffer
	r.Markdown(&out)
	for _, want := range []string{"| b | save | spotrelay | 3 | 1.00 | 0.20 |", "at most 0.25 | 0.2 | met |", "uploads at most 15 | 16 | not met |"} {
		if !strings.Contains(out.String(), want) {
			t.Errorf("no %q in\n%s", want, out.String())
		}
	}
}

func TestBenchmark(t *testing.T) {
	if _, err := servertest.S3Program(t.Context(), false, t.Logf); err != nil {
		t.Skip("the S3 server has not been built: run `make test-buckets`")
	}
	dir := t.TempDir()
	var out, errs bytes.Buffer
	if err := measureAll(t.Context(), []string{"-scale", "0.002", "-runs", "1", "-peers", "none", "-json", "-dir", dir}, &out, &errs); err != nil {
		t.Fatalf("%v\n%s", err, errs.String())
	}
	var r report
	if err := json.Unmarshal(out.Bytes(), &r); err != nil {
		t.Fatal(err)
	}
	for _, m := range r.Measures {
		if m.Error != "" || len(m.Samples) != 1 {
			t.Errorf("(%s) %s by %s: %d samples, %s", m.Workload, m.Step, m.Tool, len(m.Samples), m.Error)
		}
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) > 0 {
		t.Errorf("left behind: %v, %v", left, err)
	}
}
