package terraformtest

import (
	"encoding/json"
	"flag"
	"fmt"
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/hashicorp/terraform-config-inspect/tfconfig"
)

var update = flag.Bool("update", false, "write the modules' references anew")

const (
	begin = "<!-- made from the module: go test ./terraform/terraformtest -run TestReadmes -update -->"
	end   = "<!-- the end of what is made -->"
)

// TestReadmes: the modules' READMEs list the variables and outputs as they are.
func TestReadmes(t *testing.T) {
	for _, cloud := range clouds {
		path := filepath.Join(repository(), "terraform", cloud, "README.md")
		text := read(t, "terraform", cloud, "README.md")
		head, rest, found := strings.Cut(text, begin)
		_, tail, closed := strings.Cut(rest, end)
		if !found || !closed {
			t.Fatalf("%s has no place for the reference", path)
		}
		want := head + begin + "\n\n" + reference(t, cloud) + "\n" + end + tail
		if *update {
			if err := os.WriteFile(path, []byte(want), 0o644); err != nil {
				t.Fatal(err)
			}
		} else if text != want {
			t.Errorf("%s is not current: run the command that it names", path)
		}
	}
}

func reference(t testing.TB, cloud string) string {
	t.Helper()
	module, diags := tfconfig.LoadModule(filepath.Join(repository(), "terraform", cloud))
	if diags.HasErrors() {
		t.Fatal(diags)
	}
	cell := func(text string) string {
		return strings.ReplaceAll(strings.Join(strings.Fields(text), " "), "|", `\|`)
	}
	var out strings.Builder
	out.WriteString("## Variables\n\n| variable | type | default | what it is |\n|---|---|---|---|\n")
	for _, name := range slices.Sorted(maps.Keys(module.Variables)) {
		v := module.Variables[name]
		value := "**required**"
		if !v.Required {
			data, err := json.Marshal(v.Default)
			if err != nil {
				t.Fatal(err)
			}
			value = "`" + string(data) + "`"
		}
		fmt.Fprintf(&out, "| `%s` | `%s` | %s | %s |\n", name, cell(v.Type), value, cell(v.Description))
	}
	out.WriteString("\n## Outputs\n\n| output | what it is |\n|---|---|\n")
	for _, name := range slices.Sorted(maps.Keys(module.Outputs)) {
		fmt.Fprintf(&out, "| `%s` | %s |\n", name, cell(module.Outputs[name].Description))
	}
	return out.String()
}
