package gcp

import (
	"flag"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
)

var update = flag.Bool("update", false, "write the reference in docs/gcp.md anew")

const referenceMark = "<!-- made from the schema: go test ./providers/gcp -run TestReference -update -->\n"

// TestReference keeps the reference in docs/gcp.md equal to the schema.
func TestReference(t *testing.T) {
	path := filepath.Join("..", "..", "docs", "gcp.md")
	data, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	before, _, found := strings.Cut(string(data), referenceMark)
	if !found {
		t.Fatalf("%s has no place for the reference", path)
	}
	var s strings.Builder
	s.WriteString(before + referenceMark + "\n| attribute | type | default | what it is | example |\n|---|---|---|---|---|\n")
	for _, a := range schema().Attributes {
		byDefault := ""
		switch {
		case a.Required:
			byDefault = "required"
		case a.Default != nil:
			byDefault = "`" + string(a.Default) + "`"
		}
		fmt.Fprintf(&s, "| `%s` | %s | %s | %s | `%s` |\n", a.Name, a.Type, byDefault, strings.ReplaceAll(a.Description, "|", `\|`), a.Example)
	}
	if *update {
		if err := os.WriteFile(path, []byte(s.String()), 0o644); err != nil {
			t.Fatal(err)
		}
		return
	}
	if s.String() != string(data) {
		t.Errorf("%s is not what the schema says; run go test ./providers/gcp -run TestReference -update", path)
	}
}
