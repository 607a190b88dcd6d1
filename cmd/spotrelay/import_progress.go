package main

import (
	"fmt"
	"time"

	"github.com/spotrelay/spotrelay/checkpointing"
	"github.com/spotrelay/spotrelay/runner/agent/window"
	"github.com/spotrelay/spotrelay/runner/submit"
)

// importLine is the shortest time between two lines of an import.
const importLine = 3 * time.Second

// importProgress tells on the standard error how far imports that take a while
// have come.
func (a *app) importProgress() func(submit.InputProgress) {
	told := time.Now()
	long := map[string]bool{}
	return func(p submit.InputProgress) {
		done := p.BytesDone + p.BytesShared
		switch {
		case p.Unchanged:
			return
		case p.Stage == checkpointing.StageCommitted && long[p.Name]:
			fmt.Fprintf(a.stderr, "input %s: imported, %s in %d files\n", p.Name, window.Bytes(p.BytesTotal), p.Files)
		case time.Since(told) < importLine || p.Stage == checkpointing.StageCommitted:
			return
		case p.Stage == checkpointing.StageFetching:
			fmt.Fprintf(a.stderr, "input %s: fetched %s of %s\n", p.Name, window.Bytes(done), window.Bytes(p.BytesTotal))
		default:
			fmt.Fprintf(a.stderr, "input %s: importing, %s of %s\n", p.Name, window.Bytes(done), window.Bytes(p.BytesTotal))
		}
		told, long[p.Name] = time.Now(), true
	}
}
