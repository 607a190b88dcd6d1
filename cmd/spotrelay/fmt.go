package main

import (
	"bytes"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"

	"github.com/spf13/cobra"

	"github.com/spotrelay/spotrelay/runner/jobspec"
)

type fmtFlags struct{ check, write, diff bool }

func (a *app) fmtCommand() *cobra.Command {
	var flags fmtFlags
	cmd := &cobra.Command{
		Use:   "fmt [FILE...]",
		Short: "Lay job files out in the canonical way",
		Long: `Lays job files out in the canonical way and names those that changed. Without
FILE it is all *.hcl in this folder; - is the standard input, whose text goes to
the standard output.`,
		Example: `  spotrelay fmt
  spotrelay fmt -check -diff job.hcl
  spotrelay fmt - < job.hcl`,
		ValidArgsFunction: completeJobFile,
		RunE: func(_ *cobra.Command, args []string) error {
			return a.format(args, flags)
		},
	}
	cmd.Flags().BoolVar(&flags.check, "check", false, "write nothing; exit 1 when a file is not formatted")
	cmd.Flags().BoolVar(&flags.write, "write", true, "write the files anew")
	cmd.Flags().BoolVar(&flags.diff, "diff", false, "show what changes")
	return cmd
}

// fmtJSON is what fmt --json prints.
type fmtJSON struct {
	Version int      `json:"version"`
	Changed []string `json:"changed"` // or that would change, with -check
}

func (a *app) format(paths []string, flags fmtFlags) error {
	if len(paths) == 1 && paths[0] == "-" {
		return a.formatStdin(flags)
	}
	files, err := jobFiles(paths)
	if err != nil {
		return err
	}
	changed := []string{}
	for _, path := range files {
		did, err := a.formatFile(path, flags)
		if err != nil {
			return err
		}
		if did {
			changed = append(changed, path)
		}
	}
	if a.json {
		if err := a.printJSON(fmtJSON{jsonVersion, changed}); err != nil {
			return err
		}
	} else {
		for _, path := range changed {
			fmt.Fprintln(a.stdout, path)
		}
	}
	if flags.check && len(changed) > 0 {
		return &exitError{code: exitFailed}
	}
	return nil
}

func (a *app) formatStdin(flags fmtFlags) error {
	text, err := io.ReadAll(a.stdin)
	if err != nil {
		return err
	}
	if err := a.parseable("<stdin>", text); err != nil {
		return err
	}
	formatted := jobspec.Format(text)
	if !flags.check {
		_, err = a.stdout.Write(formatted)
		return err
	}
	if !bytes.Equal(text, formatted) {
		return &exitError{code: exitFailed}
	}
	return nil
}

// jobFiles are the files meant: those named, those in the folders named, those
// here.
func jobFiles(paths []string) ([]string, error) {
	if len(paths) == 0 {
		paths = []string{"."}
	}
	var files []string
	for _, path := range paths {
		info, err := os.Stat(path)
		if err != nil {
			return nil, wrongCall("", "%w", err)
		}
		if !info.IsDir() {
			files = append(files, path)
			continue
		}
		found, err := filepath.Glob(filepath.Join(path, "*.hcl"))
		if err != nil {
			return nil, err
		}
		files = append(files, found...)
	}
	return files, nil
}

// formatFile reports whether the file changed, or would have.
func (a *app) formatFile(path string, flags fmtFlags) (bool, error) {
	text, err := os.ReadFile(path)
	if err != nil {
		return false, err
	}
	if err := a.parseable(path, text); err != nil {
		return false, err
	}
	formatted := jobspec.Format(text)
	if bytes.Equal(text, formatted) {
		return false, nil
	}
	if flags.diff && !a.json {
		if err := a.printDiff(path, formatted); err != nil {
			return true, err
		}
	}
	if flags.check || !flags.write {
		return true, nil
	}
	info, err := os.Stat(path)
	if err != nil {
		return true, err
	}
	return true, os.WriteFile(path, formatted, info.Mode().Perm())
}

// parseable prints what is wrong with the syntax of a job file. One with faults
// is left as it is: what is a block and what belongs to it cannot be told.
func (a *app) parseable(name string, text []byte) error {
	diagnostics := jobspec.Syntax(name, text)
	if err := a.printDiagnostics(diagnostics); err != nil {
		return err
	}
	if diagnostics.HasErrors() {
		return &exitError{code: exitUsage}
	}
	return nil
}

// printDiff shows a change as diff -u does, which it asks to.
func (a *app) printDiff(path string, formatted []byte) error {
	cmd := exec.Command("diff", "-u", "--label", path, "--label", path+" (formatted)", path, "-")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = bytes.NewReader(formatted), a.stdout, a.stderr
	err := cmd.Run()
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.ExitCode() == 1 {
		return nil // they differ, as was known
	}
	if errors.Is(err, exec.ErrNotFound) {
		return &failure{err: err, hint: "-diff needs the program diff"}
	}
	return err
}
