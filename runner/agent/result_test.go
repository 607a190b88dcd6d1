//go:build unix

package agent

import (
	"maps"
	"strings"
	"testing"
)

// What a task writes to its result file comes with the report of its success;
// what is no result fails the attempt with a sentence, and commits nothing.
func TestResultFile(t *testing.T) {
	t.Parallel()
	for _, test := range []struct {
		name   string
		script string
		want   map[string]string
		fault  string
	}{
		{name: "lines", script: `echo loss=0.5 >> "$SPOTRELAY_RESULT_FILE"; echo "text=a = b" >> "$SPOTRELAY_RESULT_FILE"`,
			want: map[string]string{"loss": "0.5", "text": "a = b"}},
		{name: "none", script: "true"},
		{name: "empty", script: `: > "$SPOTRELAY_RESULT_FILE"`},
		{name: "no line", script: `echo "loss: 0.5" > "$SPOTRELAY_RESULT_FILE"`,
			fault: `the file SPOTRELAY_RESULT_FILE is of no use: line 1 is not KEY=VALUE: "loss: 0.5"`},
		{name: "too much", script: `echo "a=$(head -c 70000 /dev/zero | tr '\0' x)" > "$SPOTRELAY_RESULT_FILE"`, fault: "it has more than 65536 bytes"},
		{name: "a folder", script: `mkdir "$SPOTRELAY_RESULT_FILE"`, fault: "it is no regular file"},
		{name: "a pipe", script: `mkfifo "$SPOTRELAY_RESULT_FILE"`, fault: "it is no regular file"},
		{name: "a link to a file", script: `echo a=1 > it; ln -s "$PWD/it" "$SPOTRELAY_RESULT_FILE"`, want: map[string]string{"a": "1"}},
	} {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			a := helper("", withCommand("sh", "-c", test.script+"; echo x > out/file"), withOutput)
			r.assign(a)
			end := r.end(a.AttemptID)
			if !maps.Equal(end.Result, test.want) || end.ExitCode != 0 || end.Committed != (test.fault == "") {
				t.Errorf("got %q, committed %t: %+v", end.Result, end.Committed, end)
			}
			if (end.Output == nil) != (test.fault != "") || !strings.Contains(end.OutputError, test.fault) || test.fault == "" && end.OutputError != "" {
				t.Errorf("the output is %v, its fault %q", end.Output, end.OutputError)
			}
			if test.fault != "" && !strings.Contains(r.log(a.AttemptID), test.fault) {
				t.Errorf("the log does not say it: %s", r.log(a.AttemptID))
			}
		})
	}
}

// A failed attempt has no result, and the next does not find the one before's.
func TestResultOfAFailure(t *testing.T) {
	t.Parallel()
	r := newRig(t)
	first := helper("", withCommand("sh", "-c", `echo a=1 > "$SPOTRELAY_RESULT_FILE"; exit 1`))
	second := helper("", withCommand("sh", "-c", `test ! -e "$SPOTRELAY_RESULT_FILE"`))
	second.Attempt = 2
	r.assign(first)
	if end := r.end(first.AttemptID); end.Result != nil || end.Committed {
		t.Errorf("end: %+v", end)
	}
	r.assign(second)
	if end := r.end(second.AttemptID); !end.Committed {
		t.Errorf("end: %+v", end)
	}
}
