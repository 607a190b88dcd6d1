//go:build unix

package agent

import (
	"context"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/spotrelay/spotrelay/checkpointing/bucket"
	"github.com/spotrelay/spotrelay/runner/agent/control"
)

// helperVariable makes the test program be one of the programs below, as the
// command of a task.
const helperVariable = "AGENT_TEST_HELPER"

func TestMain(m *testing.M) {
	if text := os.Getenv(helperVariable); text != "" {
		words := strings.Fields(text)
		program, ok := helpers[words[0]]
		if !ok {
			fmt.Println("no such helper:", text)
			os.Exit(99)
		}
		program(words[1:])
		os.Exit(0)
	}
	code := m.Run()
	printFigures()
	os.Exit(code)
}

var helpers = map[string]func(args []string){
	"exit": func(args []string) { os.Exit(whole(args[0])) },
	"kill": func(args []string) {
		_ = syscall.Kill(os.Getpid(), syscall.Signal(whole(args[0])))
		forever()
	},
	// trap saves its state and exits 75 when it is told to stop, as a good
	// task does.
	"trap": func([]string) {
		stop := catch(syscall.SIGTERM)
		ready()
		<-stop
		told := time.Now()
		write(filepath.Join(os.Getenv(varCheckpoint), "state"), "saved on the signal")
		write(filepath.Join(os.Getenv(varCheckpoint), "told"), told.Format(time.RFC3339Nano))
		if notice, err := os.ReadFile(os.Getenv(varNotice)); err == nil {
			fmt.Printf("notice file: %s\n", notice)
		}
		os.Exit(75)
	},
	// finish exits 0 when it is told to stop.
	"finish": func([]string) {
		stop := catch(syscall.SIGTERM)
		ready()
		<-stop
	},
	// finish-saved exits 75 when it is told to stop.
	"finish-saved": func([]string) {
		stop := catch(syscall.SIGTERM)
		ready()
		<-stop
		os.Exit(75)
	},
	"ignore": func([]string) {
		signal.Ignore(syscall.SIGTERM)
		write(filepath.Join(os.Getenv(varCheckpoint), "state"), "written before")
		ready()
		forever()
	},
	// escape leaves a process in a session of its own behind.
	"escape": func([]string) {
		if os.Getenv("ESCAPED") != "" {
			signal.Ignore(syscall.SIGTERM, syscall.SIGHUP)
			ready()
			forever()
		}
		child := exec.Command(os.Args[0])
		child.Env = append(os.Environ(), "ESCAPED=1")
		child.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
		child.Stdout = os.Stdout // it holds the log open, too
		must(child.Start())
		write("pid", strconv.Itoa(child.Process.Pid))
		until(func() bool { return present("ready") })
	},
	// flood writes so many bytes on one line.
	"flood": func(args []string) {
		block := []byte(strings.Repeat("x", 64<<10))
		for left := whole(args[0]); left > 0; left -= len(block) {
			_, err := os.Stdout.Write(block[:min(left, len(block))])
			must(err)
		}
	},
	"allocate": func(args []string) {
		block := make([]byte, whole(args[0]))
		for i := 0; i < len(block); i += 4096 {
			block[i] = 1
		}
		fmt.Println(len(block))
	},
	"environment": func([]string) {
		for _, variable := range os.Environ() {
			fmt.Println(variable)
		}
		dir, err := os.Getwd()
		must(err)
		fmt.Println("cwd=" + dir)
	},
	"input": func(args []string) {
		data, err := os.ReadFile(args[0])
		must(err)
		fmt.Printf("input: %s\n", data)
	},
	"output":      func([]string) { write(filepath.Join(os.Getenv(varOutput), "result"), "forty-two") },
	"lose-output": func([]string) { must(os.RemoveAll(os.Getenv(varOutput))) },
	// save asks for a checkpoint, spoils the state, and asks for it back.
	"save": func([]string) {
		state := filepath.Join(os.Getenv(varCheckpoint), "state")
		write(state, "worth keeping")
		call(control.Request{Op: control.OpSave})
		write(state, "spoilt")
		call(control.Request{Op: control.OpRestore})
		data, err := os.ReadFile(state)
		must(err)
		fmt.Printf("state: %s\n", data)
		call(control.Request{Op: control.OpStatus, Wait: true})
		os.Exit(3) // a failure: nothing is saved at the end
	},
	// progress writes a state, saves it in the foreground, and waits.
	"progress": func(args []string) {
		write(filepath.Join(os.Getenv(varCheckpoint), "state"), strings.Repeat("s", whole(args[0])))
		call(control.Request{Op: control.OpSave})
		ready()
		forever()
	},
	"resume": func([]string) {
		data, err := os.ReadFile(filepath.Join(os.Getenv(varCheckpoint), "state"))
		must(err)
		fmt.Printf("resumed=%s state: %s\n", os.Getenv(varResumed), data)
	},
	"fill": func([]string) {
		f, err := os.Create("big")
		must(err)
		_, err = io.Copy(f, zeros{})
		fmt.Println(err)
		os.Exit(1)
	},
	"wait": func([]string) {
		ready()
		forever()
	},
	"compute": func([]string) { compute() },
	// agent is the agent itself, to be killed.
	"agent": func(args []string) { helperAgent(args) },
}

type zeros struct{}

func (zeros) Read(p []byte) (int, error) { clear(p); return len(p), nil }

func helperAgent(args []string) {
	b, err := bucket.Open(context.Background(), args[0])
	must(err)
	must(os.Unsetenv(helperVariable))
	if os.Getpid() == 1 {
		must(mountProc())
	}
	o := testOptions(b, args[1])
	o.Config.Slots = 32 // the tests assign all at once
	o.Reap = true
	o.UploadLimit = int64(whole(args[2]))
	a, err := New(o)
	must(err)
	must(a.Run(context.Background()))
}

func whole(text string) int {
	n, err := strconv.Atoi(text)
	must(err)
	return n
}

func must(err error) {
	if err != nil {
		fmt.Println("helper:", err)
		os.Exit(98)
	}
}

func write(path, text string) { must(os.WriteFile(path, []byte(text), 0o644)) }

func present(path string) bool {
	_, err := os.Stat(path)
	return err == nil
}

func ready() { write("ready", "") }

func catch(sig syscall.Signal) <-chan os.Signal {
	caught := make(chan os.Signal, 1)
	signal.Notify(caught, sig)
	return caught
}

// forever waits for a signal that never comes.
func forever() { <-catch(syscall.SIGUSR2) }

func call(request control.Request) {
	answer, err := control.Call(context.Background(), os.Getenv(varSocket), request)
	must(err)
	if !answer.OK {
		must(fmt.Errorf("%s: %s", request.Op, answer.Error))
	}
	if answer.Status != nil {
		fmt.Printf("saves: %d\n", answer.Status.Saves)
	}
}

// until waits for a condition, and is false when it does not come.
func until(condition func() bool) bool {
	tick := time.NewTicker(3 * time.Millisecond)
	defer tick.Stop()
	deadline := time.Now().Add(30 * time.Second)
	for !condition() {
		if time.Now().After(deadline) {
			return false
		}
		<-tick.C
	}
	return true
}
