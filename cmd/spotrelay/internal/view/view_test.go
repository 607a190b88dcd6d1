package view_test

import (
	"strings"
	"testing"
	"time"

	tea "github.com/charmbracelet/bubbletea"
	"github.com/charmbracelet/lipgloss"

	"github.com/spotrelay/spotrelay/cmd/spotrelay/internal/narrate"
	"github.com/spotrelay/spotrelay/cmd/spotrelay/internal/view"
	"github.com/spotrelay/spotrelay/providers"
	"github.com/spotrelay/spotrelay/runner/job"
	"github.com/spotrelay/spotrelay/runner/plan"
)

// running is a run with an array half done and an attempt that has a notice.
func running(t *testing.T) view.Snapshot {
	t.Helper()
	spec := &job.Spec{Run: "01run", Job: "train", Created: time.Now(), Tasks: []job.Task{
		{Name: "shard", Count: 4, Array: true}, {Name: "a-task-with-quite-a-long-name", Count: 1},
	}}
	state := plan.New(spec)
	phases := []plan.IndexPhase{plan.IndexSucceeded, plan.IndexSucceeded, plan.IndexFailed, plan.IndexRunning}
	for i, phase := range phases {
		state.Tasks[0].Indexes[i].Phase = phase
	}
	attempt := job.AttemptID{Task: "shard", Index: 3, Attempt: 2}
	state.Instances = map[string]*plan.Instance{"i-1": {
		ID: "i-1", Offer: providers.Offer{Zone: "local-a", InstanceType: "small", Capacity: providers.Spot, Price: 0.03},
		Attempts: []job.AttemptID{attempt},
	}}
	statuses := map[string]job.Status{"i-1": {
		Notice: &job.Notice{Kind: job.NoticeInterruption, Deadline: time.Now().Add(90 * time.Second)},
		Running: []job.AttemptStatus{{
			AttemptID: attempt, Step: job.StepRunning, Elapsed: job.Duration(12 * time.Second), Saving: true,
			Checkpoint: &job.CheckpointRef{Attempt: 1, Sequence: 7},
		}},
	}}
	snapshot := view.Take(state, 3*time.Second, statuses, 8)
	snapshot.Attempts[0].LastLine = "epoch 4 trained"
	return snapshot
}

func update(t *testing.T, m tea.Model, messages ...tea.Msg) tea.Model {
	t.Helper()
	for _, message := range messages {
		m, _ = m.Update(message)
	}
	return m
}

func TestDrawsWhatRuns(t *testing.T) {
	m := update(t, view.New(running(t), nil), tea.WindowSizeMsg{Width: 140},
		view.Event{At: time.Now(), Line: narrate.Line{Text: "i-1 is ready after 1s"}})
	drawn := m.View()
	for _, want := range []string{
		"train", "01run", "2/4", "1 running, 1 failed", "shard[3] #2", "on i-1", "local-a small spot $0.03/h", "running 12s",
		"checkpoint 1-7", "saving", "interruption in 1m", "epoch 4 trained", "i-1 is ready after 1s", "a-task-with-qui…",
	} {
		if !strings.Contains(drawn, want) {
			t.Errorf("%q is not drawn in\n%s", want, drawn)
		}
	}
}

func TestFitsTheTerminal(t *testing.T) {
	for _, width := range []int{30, 60, 200} {
		m := update(t, view.New(running(t), nil), tea.WindowSizeMsg{Width: width},
			view.Event{Line: narrate.Line{Text: strings.Repeat("a long line ", 40)}})
		for _, line := range strings.Split(m.View(), "\n") {
			if lipgloss.Width(line) >= width {
				t.Errorf("at width %d a line is %d wide: %q", width, lipgloss.Width(line), line)
			}
		}
	}
}

func TestCtrlCAsks(t *testing.T) {
	ctrlC := tea.KeyMsg{Type: tea.KeyCtrlC}
	key := func(r rune) tea.KeyMsg { return tea.KeyMsg{Type: tea.KeyRunes, Runes: []rune{r}} }
	for name, test := range map[string]struct {
		keys   []tea.Msg
		want   []view.Answer
		asking bool
	}{
		"once asks":                    {keys: []tea.Msg{ctrlC}, asking: true},
		"l leaves it":                  {keys: []tea.Msg{ctrlC, key('l')}, want: []view.Answer{view.Leave}},
		"c cancels":                    {keys: []tea.Msg{ctrlC, key('c')}, want: []view.Answer{view.Cancel}},
		"twice leaves at once":         {keys: []tea.Msg{ctrlC, ctrlC}, want: []view.Answer{view.Quit}, asking: true},
		"esc goes on":                  {keys: []tea.Msg{ctrlC, tea.KeyMsg{Type: tea.KeyEscape}}},
		"another key is not an answer": {keys: []tea.Msg{ctrlC, key('x')}, asking: true},
		"letters mean nothing unasked": {keys: []tea.Msg{key('l'), key('c')}},
		"after cancel once is at once": {keys: []tea.Msg{ctrlC, key('c'), ctrlC}, want: []view.Answer{view.Cancel, view.Quit}},
	} {
		t.Run(name, func(t *testing.T) {
			var got []view.Answer
			m := update(t, view.New(running(t), func(a view.Answer) { got = append(got, a) }), test.keys...)
			if len(got) != len(test.want) {
				t.Fatalf("answers %v, want %v", got, test.want)
			}
			for i := range got {
				if got[i] != test.want[i] {
					t.Errorf("answers %v, want %v", got, test.want)
				}
			}
			if asking := strings.Contains(m.View(), "Leave it running (l) or cancel it (c)?"); asking != test.asking {
				t.Errorf("asking is %t, want %t", asking, test.asking)
			}
		})
	}
}

// What a run holds beyond what fits is counted.
func TestTakeBoundsAttempts(t *testing.T) {
	spec := &job.Spec{Run: "r", Job: "j", Tasks: []job.Task{{Name: "a", Count: 3, Array: true}}}
	state := plan.New(spec)
	state.Instances = map[string]*plan.Instance{"i": {ID: "i", Attempts: []job.AttemptID{{Task: "a", Index: 2}, {Task: "a", Index: 0}, {Task: "a", Index: 1}}}}
	snapshot := view.Take(state, 0, nil, 2)
	if len(snapshot.Attempts) != 2 || snapshot.More != 1 || snapshot.Attempts[0].ID.Index != 0 {
		t.Errorf("took %d attempts from %d on, %d more", len(snapshot.Attempts), snapshot.Attempts[0].ID.Index, snapshot.More)
	}
}
