// Command spotrelay-provider-static rents from a static list of machines, over
// SSH: for people with machines of their own. What it does on a host is one
// program for sh, host.sh; a host needs sshd, a POSIX shell, coreutils and
// util-linux.
package main

import "github.com/spotrelay/spotrelay/plugins"

func main() { plugins.Serve(newProvider()) }
