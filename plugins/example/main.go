// Command spotrelay-provider-example is the smallest plugin there is: its main
// serves a provider, here the one in memory.
package main

import (
	"github.com/spotrelay/spotrelay/plugins"
	"github.com/spotrelay/spotrelay/providers/providertest/memory"
)

func main() {
	plugins.Serve(memory.New())
}
