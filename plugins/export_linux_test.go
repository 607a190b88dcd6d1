package plugins

// Namespaces reports whether a plugin can be left without any network.
func Namespaces() bool { return namespaces() }
