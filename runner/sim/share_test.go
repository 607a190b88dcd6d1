package sim

import (
	"runtime"
	"strings"
)

// share is how many of the bytes that are in use, as of the last collection of
// garbage, the controller allocated: what it holds, and not what the bucket,
// the cloud and the agents do that live in the same process here. It is by
// samples, one for each half MiB allocated.
func share() (controller int64) {
	records := make([]runtime.MemProfileRecord, 4096)
	for {
		n, ok := runtime.MemProfile(records, false)
		if ok {
			records = records[:n]
			break
		}
		records = make([]runtime.MemProfileRecord, 2*n)
	}
	for i := range records {
		if ofController(records[i].Stack()) {
			controller += records[i].InUseBytes()
		}
	}
	return controller
}

// ofController reports whether the stack of an allocation is the controller's,
// and not what it had the bucket or the cloud do.
func ofController(stack []uintptr) (is bool) {
	frames := runtime.CallersFrames(stack)
	for {
		frame, more := frames.Next()
		switch {
		case strings.Contains(frame.Function, "/buckettest/memory."), strings.Contains(frame.Function, "/sim.(*cloud)"),
			strings.Contains(frame.Function, "/sim.(*World)"), strings.Contains(frame.Function, "/sim.(*worker)"):
			return false
		case strings.Contains(frame.Function, "/runner/controller."), strings.Contains(frame.Function, "/runner/plan."),
			strings.Contains(frame.Function, "/runner/store."):
			is = true
		}
		if !more {
			return is
		}
	}
}
