// Command extract writes the extracts of package discovery anew, from the
// discovery documents in the module google.golang.org/api.
package main

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/spotrelay/spotrelay/providers/gcp/computetest/discovery"
)

func main() {
	if err := run(); err != nil {
		fmt.Fprintln(os.Stderr, "extract:", err)
		os.Exit(1)
	}
}

func run() error {
	out, err := exec.Command("go", "list", "-m", "-f", "{{.Dir}}", "google.golang.org/api").Output()
	if err != nil {
		return fmt.Errorf("asking for the folder of google.golang.org/api: %w", err)
	}
	module := strings.TrimSpace(string(out))
	for _, e := range []struct {
		from    string
		to      string
		methods []string
	}{
		{"compute/v1/compute-api.json", "compute.json", discovery.ComputeMethods},
		{"cloudbilling/v1/cloudbilling-api.json", "cloudbilling.json", discovery.BillingMethods},
	} {
		document, err := os.ReadFile(filepath.Join(module, filepath.FromSlash(e.from)))
		if err != nil {
			return err
		}
		extract, err := discovery.Extract(document, e.methods)
		if err != nil {
			return err
		}
		if err := os.WriteFile(e.to, extract, 0o644); err != nil {
			return err
		}
	}
	return nil
}
