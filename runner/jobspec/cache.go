package jobspec

import (
	"fmt"
	"io/fs"
	"path/filepath"
	"slices"

	"github.com/hashicorp/hcl/v2"

	"github.com/spotrelay/spotrelay/runner/job"
)

var cacheSchema = &blockSchema{
	name: "cache", single: true,
	description: "Use the outputs and results of the task again, in this run and in later ones, where everything is the same that they depend on. See [caching](caching.md).",
	example: `cache {
  version = "1"
  inputs  = ["features.py", "data/**"]
}`,
	attributes: []attributeSchema{
		{name: "version", kind: kindString, def: `"1"`, description: "Part of the key. Change it when something else has changed that the result depends on.", example: `"2"`},
		{name: "inputs", kind: kindStrings, defText: "needed with a workdir, and not there without one", description: "Patterns, as in `workdir`, of the files of the workdir that the task reads, its program among them. What they hold is part of the key; other files are not. `[]` is none.", example: `["features.py", "data/**"]`},
		{name: "serialize", kind: kindBool, def: "false", description: "While one run computes this, others that want the same wait for it, and go on themselves when it fails or its controller dies.", example: "true"},
	},
}

// cachePattern is a pattern of a cache's inputs, with its place.
type cachePattern struct {
	pattern string
	at      hcl.Range
}

// readCache reads the cache of a task. The block is the job's.
func (l *loader) readCache(c *content, s scope, block *content) *job.Cache {
	if c == nil {
		return nil
	}
	defer l.within(l.block + ", cache")()
	get := func(name string) setting { return l.setting(cacheSchema, name, s, c) }
	cache := &job.Cache{}
	cache.Version, _ = get("version").text()
	cache.Serialize, _ = get("serialize").boolean()
	inputs, workdir := get("inputs"), block.first(workdirSchema)
	switch {
	case workdir != nil && !inputs.given():
		l.report(report{at: c.header, summary: "A cache that names no files",
			detail: "The job has a workdir, so the cache says which of its files the task reads, its program among them: inputs = [\"*.py\", \"data/**\"], or [] for none. Without that a change of them would go unseen."})
	case workdir == nil && inputs.given():
		if list, ok := inputs.list(); ok && len(list) > 0 {
			inputs.invalid(inputs.where, "inputs are files of the workdir, and the job has none; add a workdir block, or remove inputs")
		}
	case inputs.given():
		cache.Paths = l.readPatterns(inputs)
		list, _ := inputs.list()
		for _, item := range list {
			l.cachePatterns = append(l.cachePatterns, cachePattern{item.text, item.at})
		}
	}
	return cache
}

// checkCachePatterns warns of patterns that name no file of the workdir: what
// they were to name would change unseen. The folder is looked through only as
// far as it takes to find a file for each.
func (l *loader) checkCachePatterns(workdir *Workdir) {
	if workdir == nil || len(l.cachePatterns) == 0 || l.list.HasErrors() {
		return
	}
	left := slices.Clone(l.cachePatterns)
	err := filepath.WalkDir(workdir.Root, func(path string, entry fs.DirEntry, err error) error {
		relative, relErr := filepath.Rel(workdir.Root, path)
		if err != nil || relErr != nil {
			return err
		}
		name := filepath.ToSlash(relative)
		switch {
		case !workdir.Keep(name, entry) && entry.IsDir():
			return fs.SkipDir
		case entry.IsDir() || !workdir.Keep(name, entry):
			return nil
		}
		left = slices.DeleteFunc(left, func(p cachePattern) bool { return Covers(p.pattern, name) })
		if len(left) == 0 {
			return fs.SkipAll
		}
		return nil
	})
	if err != nil {
		return // the submission says what is wrong with the folder
	}
	for _, p := range left {
		l.report(report{at: p.at, warning: true, summary: fmt.Sprintf("No file is named by %q", shorten(p.pattern)),
			detail: "No file of the workdir has such a name, so nothing of it is part of the cache's key. Patterns are relative to the root of the workdir, and what the workdir excludes is not there."})
	}
}
