// Command spotrelay-agent runs on an instance: it executes what the controller
// assigned to it, watches for the interruption notice and saves checkpoints.
// Within a task it asks the agent for checkpoints.
package main

// version is set by the build.
var version = "dev"
