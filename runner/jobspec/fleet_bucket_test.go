package jobspec

import (
	"os"
	"path/filepath"
	"testing"
)

// A fleet file's bucket is for a job that names none; the first fleet's goes
// before the others'.
func TestBucketOfFleetFile(t *testing.T) {
	dir := t.TempDir()
	write := func(name, text string) string {
		path := filepath.Join(dir, name)
		if err := os.WriteFile(path, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		return path
	}
	write("a.json", `{"version": 1, "provider": "test", "config": {"region": "r"}}`)
	write("b.json", `{"version": 1, "provider": "test", "bucket": "s3://b/x", "config": {"region": "r"}}`)
	write("c.json", `{"version": 1, "provider": "test", "bucket": "s3://c/x", "config": {"region": "r"}}`)
	write("d.json", `{"version": 1, "provider": "test", "bucket": ["s3://c/x"], "config": {"region": "r"}}`)
	job := func(name, inside, fleets string) string {
		return write(name, "job \"j\" {\n"+inside+"\n  task \"t\" { command = [\"x\"] }\n}\n"+fleets)
	}
	const a, b, c, d = "fleet \"a\" { from = \"a.json\" }\n", "fleet \"b\" { from = \"b.json\" }\n", "fleet \"c\" { from = \"c.json\" }\n", "fleet \"d\" { from = \"d.json\" }\n"
	for _, x := range []struct{ name, inside, fleets, want string }{
		{"none.hcl", "", a, ""},
		{"one.hcl", "", a + b, "s3://b/x"},
		{"first.hcl", "", c + b, "s3://c/x"},
		{"order.hcl", `fleets = ["a", "b", "c"]`, c + b + a, "s3://b/x"},
		{"unused.hcl", `fleets = ["a"]`, a + b, ""},
		{"own.hcl", `bucket = "s3://own"`, b, "s3://own"},
	} {
		file, diagnostics := Load(Options{Files: []string{job(x.name, x.inside, x.fleets)}, Describe: describeTest})
		if diagnostics.HasErrors() {
			t.Errorf("%s: %s", x.name, places(diagnostics))
		} else if file.Bucket != x.want {
			t.Errorf("%s: the bucket is %q, not %q", x.name, file.Bucket, x.want)
		}
	}
	if _, diagnostics := Load(Options{Files: []string{job("wrong.hcl", "", d)}, Describe: describeTest}); !diagnostics.HasErrors() {
		t.Error("a bucket that is a list was taken")
	}
}
