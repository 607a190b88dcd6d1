// Command spotrelay-provider-folder is a provider plugin of spotrelay.
package main

import "github.com/spotrelay/spotrelay/plugins"

func main() { plugins.Serve(&provider{}) }
