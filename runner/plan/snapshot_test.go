package plan

import (
	"testing"

	"github.com/spotrelay/spotrelay/runner/job"
)

// TestLoadDamaged: a snapshot whose records are not what their names say is
// refused, so that the journal is folded instead.
func TestLoadDamaged(t *testing.T) {
	spec := &job.Spec{Run: "r"}
	for _, snapshot := range []string{
		`{"tasks":[],"instances":{"i-1":null}}`, `{"tasks":[],"instances":{"i-1":{"id":"i-2"}}}`,
		`{"tasks":[],"launches":{"t-1":null}}`, `{"tasks":[],"launches":{"t-1":{"token":"t-2"}}}`,
		`{"tasks":[{}]}`, `[`,
	} {
		if _, err := Load(spec, []byte(snapshot)); err == nil {
			t.Errorf("%s was taken", snapshot)
		}
	}
	if _, err := Load(spec, []byte(`{"tasks":[],"instances":{"i-1":{"id":"i-1"}},"launches":{"t-1":{"token":"t-1"}}}`)); err != nil {
		t.Error(err)
	}
}
