//go:build unix

package agent

import (
	"maps"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/spotrelay/spotrelay/runner/agent/bootstrap"
	"github.com/spotrelay/spotrelay/runner/job"
)

// The variables that a task sees.
const (
	varRun        = "SPOTRELAY_RUN_ID"
	varTask       = "SPOTRELAY_TASK"
	varIndex      = "SPOTRELAY_INDEX"
	varCount      = "SPOTRELAY_COUNT"
	varKey        = "SPOTRELAY_KEY"
	varAttempt    = "SPOTRELAY_ATTEMPT"
	varSeed       = "SPOTRELAY_SEED"
	varCheckpoint = "SPOTRELAY_CHECKPOINT_DIR" // and _ with the name, of a checkpoint that has one
	varResumed    = "SPOTRELAY_RESUMED"
	varOutput     = "SPOTRELAY_OUTPUT_DIR"
	varInput      = "SPOTRELAY_INPUT_DIR_" // and the task's name
	varNotice     = "SPOTRELAY_NOTICE_FILE"
	varSocket     = "SPOTRELAY_SOCKET"
	varResult     = "SPOTRELAY_RESULT_FILE"
)

// passedOn are the agent's own variables that a task gets: what a program
// needs to run at all and to reach the network, and nothing that is the
// agent's (its configuration).
var passedOn = []string{
	"PATH", "HOME", "LANG", "LANGUAGE", "TZ", "USER", "LOGNAME", "SHELL", "TMPDIR", "XDG_CACHE_HOME",
	"SSL_CERT_FILE", "SSL_CERT_DIR",
	"HTTP_PROXY", "HTTPS_PROXY", "NO_PROXY", "http_proxy", "https_proxy", "no_proxy",
}

// passedOnPrefixes are prefixes of such variables.
var passedOnPrefixes = []string{"LC_", "GO"}

const defaultPath = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

// environment is a set of variables.
type environment map[string]string

// baseEnvironment is what every process of a task gets of the agent's own
// environment. bin is added to the end of PATH.
func baseEnvironment(environ []string, bin string) environment {
	env := environment{}
	for _, variable := range environ {
		name, value, ok := strings.Cut(variable, "=")
		if ok && passes(name) {
			env[name] = value
		}
	}
	if env["PATH"] == "" {
		env["PATH"] = defaultPath
	}
	if bin != "" {
		env["PATH"] += string(os.PathListSeparator) + bin
	}
	return env
}

func passes(name string) bool {
	return slices.Contains(passedOn, name) || slices.ContainsFunc(passedOnPrefixes, func(p string) bool {
		return strings.HasPrefix(name, p)
	})
}

// list is the set as a process takes it, sorted.
func (e environment) list() []string {
	variables := make([]string, 0, len(e))
	for _, name := range slices.Sorted(maps.Keys(e)) {
		variables = append(variables, name+"="+e[name])
	}
	return variables
}

// environment of the attempt's command. What the job file sets comes over the
// agent's, and what spotrelay says of the attempt over both.
func (t *attempt) environment() environment {
	env := t.setupEnvironment()
	env["PWD"] = t.work
	env[varSocket] = t.socketPath
	env[varResult] = t.resultFile()
	env[varResumed] = "0"
	if t.job.Restore != nil {
		env[varResumed] = "1"
	}
	if t.transparent == nil {
		for _, s := range t.savers {
			name := varCheckpoint
			if s.spec.Name != "" {
				name += "_" + variableName(s.spec.Name)
			}
			env[name] = s.dir
		}
	}
	if dir := t.outputDir(); dir != "" {
		env[varOutput] = dir
	}
	t.gangEnvironment(env)
	return env
}

// setupEnvironment is what the setup command gets: all but what is only there
// for the command.
func (t *attempt) setupEnvironment() environment {
	env := maps.Clone(t.agent.taskEnvironment)
	for name, value := range t.job.Execution.Env {
		env[name] = t.expand(value)
	}
	env[varNotice] = t.noticeFile
	env[varRun] = t.agent.config.Run
	env[bootstrap.VarInstance] = t.agent.instance
	env[varTask] = t.id.Task
	env[varIndex] = strconv.Itoa(t.id.Index)
	env[varCount] = strconv.Itoa(t.job.Count)
	env[varAttempt] = strconv.Itoa(t.id.Attempt)
	if t.job.Key != "" {
		env[varKey] = t.job.Key
	}
	if t.job.Seed != 0 { // 0: a controller that knows none
		env[varSeed] = strconv.FormatUint(t.job.Seed, 10)
	}
	for _, input := range t.job.Inputs {
		env[varInput+variableName(input.Task)] = t.inputDir(input.Task)
	}
	return env
}

// marker is the variable by which the attempt's processes are found wherever
// they have gone; no other attempt has it.
func (t *attempt) marker() string { return varNotice + "=" + t.noticeFile }

// variableName is a task's or checkpoint's name within the name of a variable.
func variableName(task string) string {
	return strings.ToUpper(strings.ReplaceAll(task, "-", "_"))
}

// expand replaces the placeholders in a text of the job file.
func (t *attempt) expand(text string) string {
	return job.ExpandPlaceholders(text, func(name string) string {
		rest, ok := strings.CutPrefix(name, "input:")
		if !ok {
			return ""
		}
		task, index, ok := strings.Cut(rest, ":")
		if !ok {
			return t.inputDir(task)
		}
		return filepath.Join(t.inputDir(task), index)
	})
}

func (t *attempt) expandAll(texts []string) []string {
	expanded := make([]string, len(texts))
	for i, text := range texts {
		expanded[i] = t.expand(text)
	}
	return expanded
}

// lookPath finds a command as a shell would with the task's own PATH; a name
// with a slash is taken relative to the working directory.
func lookPath(name, path, dir string) (string, error) {
	if strings.Contains(name, "/") {
		return name, executable(absolute(name, dir))
	}
	var denied error
	for _, folder := range filepath.SplitList(path) {
		if folder == "" {
			folder = "."
		}
		candidate := filepath.Join(absolute(folder, dir), name)
		err := executable(candidate)
		if err == nil {
			return candidate, nil
		}
		if os.IsPermission(err) {
			denied = err
		}
	}
	if denied != nil {
		return "", denied
	}
	return "", &os.PathError{Op: "find", Path: name, Err: errNotInPath}
}

func absolute(path, dir string) string {
	if filepath.IsAbs(path) {
		return path
	}
	return filepath.Join(dir, path)
}

func executable(path string) error {
	info, err := os.Stat(path)
	if err != nil {
		return err
	}
	if info.IsDir() || info.Mode()&0o111 == 0 {
		return &os.PathError{Op: "execute", Path: path, Err: os.ErrPermission}
	}
	return nil
}
