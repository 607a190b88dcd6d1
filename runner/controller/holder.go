package controller

import (
	"os"
	"os/user"

	"github.com/spotrelay/spotrelay/runner/store"
)

// self is this process as a holder.
func self(name string) store.Holder {
	host, _ := os.Hostname() // for people
	if name == "" {
		if u, err := user.Current(); err == nil {
			name = u.Username + "@" + host
		}
	}
	h := store.Holder{Host: host, PID: os.Getpid(), Name: name, Boot: bootID(), Namespace: processNamespace()}
	h.Start, _ = processStart(h.PID)
	return h
}

// dead reports whether a holder is provably dead: it lived under this very boot
// of this host, among the same process ids, and its process is gone or another
// one has its number. Whatever is unknown proves nothing.
func dead(holder, observer store.Holder) bool {
	if holder.Boot == "" || holder.Boot != observer.Boot {
		return false
	}
	if holder.Namespace == "" || holder.Namespace != observer.Namespace || holder.Start == "" {
		return false
	}
	start, known := processStart(holder.PID)
	return known && start != holder.Start
}
