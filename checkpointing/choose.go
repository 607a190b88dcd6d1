package checkpointing

import (
	"fmt"
	"path"
	"strings"

	"github.com/bmatcuk/doublestar/v4"
)

// choose takes the entries that Only names, with what lies in the directories
// among them and the directories that they lie in.
func (r *restoring) choose() error {
	all := make([]int, len(r.m.Entries))
	for i := range all {
		all[i] = i
	}
	if len(r.opts.Only) == 0 {
		r.chosen = all
		return nil
	}
	for _, pattern := range r.opts.Only {
		if !doublestar.ValidatePattern(pattern) {
			return &Error{Code: CodeInvalid, Op: "restore", What: pattern, Err: doublestar.ErrBadPattern, Hint: "as in ckpt/*.pt or logs/**"}
		}
	}
	wanted := map[string]bool{}
	found := false
	for _, i := range all {
		p := r.m.Entries[i].Path
		if !wanted[path.Dir(p)] && !matches(r.opts.Only, p) {
			continue
		}
		// A directory that is wanted for itself takes all that is in it along.
		wanted[p], found = true, true
	}
	if !found { // which is no damage, for which an older checkpoint would be taken
		return &Error{
			Code: CodeInvalid, Op: "restore", What: strings.Join(r.opts.Only, ", "),
			Err:  fmt.Errorf("no file of the %d in the checkpoint matches", len(all)),
			Hint: "list what is in it first",
		}
	}
	needed := map[string]bool{}
	for p := range wanted {
		for p != "." && !needed[p] {
			needed[p] = true
			p = path.Dir(p)
		}
	}
	for _, i := range all {
		if needed[r.m.Entries[i].Path] {
			r.chosen = append(r.chosen, i)
		}
	}
	return nil
}

func matches(patterns []string, p string) bool {
	for _, pattern := range patterns {
		if match, _ := doublestar.Match(strings.TrimSuffix(pattern, "/"), p); match { // they are valid
			return true
		}
	}
	return false
}
