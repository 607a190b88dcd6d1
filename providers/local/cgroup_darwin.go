package local

// cgroups is empty: this system has none.
type cgroups []string

func (c cgroups) kill() error { return nil }
