package main

import (
	"fmt"
	"maps"
	"slices"

	"github.com/spotrelay/spotrelay/runner/store"
)

// leaseText says who holds a lease, for people.
func leaseText(lease store.Lease) string {
	if lease.Released {
		return "none"
	}
	who := lease.Holder.Name
	if who == "" {
		who = lease.Holder.Host
	}
	return fmt.Sprintf("%s, process %d", who, lease.Holder.PID)
}

func sortedKeys[V any](m map[string]V) []string { return slices.Sorted(maps.Keys(m)) }
