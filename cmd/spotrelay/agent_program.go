package main

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
)

// agentPlatforms are those that an agent is looked for beside this program.
var agentPlatforms = []string{"linux-amd64", "linux-arm64", "darwin-amd64", "darwin-arm64"}

// agentPrograms finds the agent programs to send to instances, by "os-arch":
// SPOTRELAY_AGENT for this machine's platform, else spotrelay-agent beside this
// program; and spotrelay-agent-OS-ARCH beside it for others.
func agentPrograms() (map[string]string, error) {
	here := runtime.GOOS + "-" + runtime.GOARCH
	found := map[string]string{}
	dir, err := programFolder()
	if err != nil {
		return nil, err
	}
	for _, platform := range agentPlatforms {
		if path := filepath.Join(dir, "spotrelay-agent-"+platform); isProgram(path) {
			found[platform] = path
		}
	}
	if path := filepath.Join(dir, "spotrelay-agent"); isProgram(path) {
		found[here] = path
	}
	if path := os.Getenv("SPOTRELAY_AGENT"); path != "" {
		if !isProgram(path) {
			return nil, &failure{
				err:  fmt.Errorf("SPOTRELAY_AGENT names %s, which is no executable file", path),
				hint: "build the agent with make build, or unset SPOTRELAY_AGENT",
			}
		}
		found[here] = path
	}
	if len(found) == 0 {
		return nil, &failure{
			err:  fmt.Errorf("the agent program spotrelay-agent is not beside %s", filepath.Join(dir, "spotrelay")),
			hint: "build it with make build, or name it by SPOTRELAY_AGENT",
		}
	}
	return found, nil
}

// programFolder is the folder of this program itself, links followed.
func programFolder() (string, error) {
	path, err := os.Executable()
	if err != nil {
		return "", err
	}
	if target, err := filepath.EvalSymlinks(path); err == nil {
		path = target
	}
	return filepath.Dir(path), nil
}

func isProgram(path string) bool {
	info, err := os.Stat(path)
	if errors.Is(err, fs.ErrNotExist) || err != nil {
		return false
	}
	return info.Mode().IsRegular()
}
