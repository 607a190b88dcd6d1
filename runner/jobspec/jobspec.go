// Package jobspec reads job files: HCL 2 as Terraform's users know it, into the
// model of runner/job. Everything that is wrong with a file is found in one go
// and told as diagnostics with file, line and column.
//
// The language is declared once, in schema.go: the same tables decode a file,
// fill the defaults in and make docs/job-file.md.
//
// Reading is pure in this sense: the same files and variables give the same
// spec, on any machine at any time. There is no function for the time, for
// chance or for the environment.
package jobspec

import (
	"path/filepath"

	"github.com/spotrelay/spotrelay/providers"
	"github.com/spotrelay/spotrelay/runner/job"
)

// Options says what to read and with which variables.
type Options struct {
	// Files are the job files: a file, a folder (all its *.hcl together) or
	// "-" for Stdin. Several are read as one; together they hold one job.
	Files []string
	// Stdin is what "-" reads.
	Stdin []byte
	// Variables are "name=value", as of -var; they win over all others.
	Variables []string
	// VarFiles hold "name = value" lines; a later file wins over an earlier.
	VarFiles []string
	// Environ is the environment; only SPOTRELAY_VAR_* is looked at.
	Environ []string
	// Describe gives the description of a provider, whose schema the fleets'
	// config is checked against. An error becomes a diagnostic at the fleet
	// that needs it. Nil: configs are taken unchecked.
	Describe func(provider string) (providers.Description, error)
}

// File is a job file that was read without errors.
type File struct {
	// Spec is complete but for what a submission adds: Version, Run, Created,
	// Seed, Workdir, Agent and Source.Version.
	Spec *job.Spec
	// Workdir to send to the instances; nil when the job has none.
	Workdir *Workdir
	// Bucket is the job's bucket URL, "" if the file has none. A path that is
	// no URL is as written, relative to the caller's folder.
	Bucket string
	// Inputs from outside to import, as Spec.Inputs names them.
	Inputs []Input
	// Paths of the files that were read, in order.
	Paths []string

	sources map[string][]byte
	configs map[string]fleetRanges
}

// Load reads a job file. The File is nil when the diagnostics have an error;
// warnings come with a File. It reads only files and may be repeated.
func Load(opts Options) (*File, Diagnostics) {
	l := newLoader(opts)
	file := l.load()
	diagnostics := l.diagnostics()
	if diagnostics.HasErrors() {
		return nil, diagnostics
	}
	return file, diagnostics
}

// Source is the text of a file that was read, by its path as diagnostics name it.
func (f *File) Source(path string) ([]byte, bool) {
	text, ok := f.sources[path]
	return text, ok
}

// folderOf is the folder that paths in a job file are relative to.
func folderOf(path string, isDir bool) string {
	switch {
	case path == "-":
		return "."
	case isDir:
		return filepath.Clean(path)
	}
	return filepath.Dir(path)
}
