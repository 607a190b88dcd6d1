package main

import (
	"fmt"
	"runtime"

	"github.com/spf13/cobra"

	"github.com/spotrelay/spotrelay/runner/job"
)

func (a *app) versionCommand() *cobra.Command {
	return &cobra.Command{
		Use:     "version",
		Short:   "Print the version",
		Example: `  spotrelay version --json`,
		Args:    exact(),
		RunE: func(*cobra.Command, []string) error {
			if a.json {
				return a.printJSON(versionJSON{jsonVersion, version, job.SpecVersion, runtime.Version(), runtime.GOOS + "-" + runtime.GOARCH})
			}
			_, err := fmt.Fprintln(a.stdout, versionText())
			return err
		},
	}
}

func versionText() string {
	return fmt.Sprintf("spotrelay %s (%s, %s-%s, documents of version %d)",
		version, runtime.Version(), runtime.GOOS, runtime.GOARCH, job.SpecVersion)
}

type versionJSON struct {
	Version   int    `json:"version"`
	Spotrelay string `json:"spotrelay"`
	Documents int    `json:"documents"` // version of the bucket's documents
	Go        string `json:"go"`
	Platform  string `json:"platform"`
}
