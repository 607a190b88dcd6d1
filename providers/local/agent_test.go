//go:build linux

package local

import (
	"bufio"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// runTestAgent is the agent of the tests. TEST_DO says what it does.
func runTestAgent() int {
	do, argument, _ := strings.Cut(os.Getenv("TEST_DO"), ":")
	if name, ok := strings.CutPrefix(do, "child-"); ok {
		return runTestChild(name)
	}
	fmt.Println("the agent is up")
	if err := reportSelf(argument); err != nil {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	switch do {
	case "exit":
		return len(argument)
	case "exit-on-notice":
		ctx, cancel := context.WithTimeout(context.Background(), patience)
		defer cancel()
		_ = poll(ctx, func() (bool, error) {
			_, status := readMetadata(os.Getenv(variableMetadata), "spot/instance-action")
			return status == http.StatusOK, nil
		})
		return 0
	case "family":
		err := startFamily()
		if err == nil {
			err = serveSaves("spc") // for scripts that wait for the family
		}
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
	case "save":
		if err := serveSaves(argument); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
	case "memory":
		hog := make([][]byte, 0, 1024)
		for {
			block := make([]byte, 1<<20)
			for i := range block {
				block[i] = 1
			}
			hog = append(hog, block)
			_ = hog
		}
	}
	select {}
}

func reportSelf(argument string) error {
	var r report
	r.Started = time.Now()
	r.PID = os.Getpid()
	r.Environment = os.Environ()
	r.Hostname, _ = os.Hostname()
	entries, _ := os.ReadDir("/tmp")
	for _, entry := range entries {
		r.Tmp = append(r.Tmp, entry.Name())
	}
	interfaces, _ := net.Interfaces()
	for _, i := range interfaces {
		addresses, _ := i.Addrs()
		r.Interfaces = append(r.Interfaces, fmt.Sprint(i.Name, addresses))
	}
	if argument != "" {
		if conn, err := net.DialTimeout("tcp", argument, time.Second); err == nil {
			conn.Close()
			r.HostReached = true
		}
	}
	if os.Getenv("TEST_DO") == "share-memory" {
		if _, err := os.Stat("/dev/shm/spotrelay-test"); err == nil {
			r.Seen = "/dev/shm"
		}
		_ = os.WriteFile("/dev/shm/spotrelay-test", nil, 0o600)
	}
	r.Metadata, _ = readMetadata(os.Getenv(variableMetadata), "instance-id")
	return writeJSON(filepath.Join(os.Getenv("TEST_REPORTS"), "reports", os.Getenv(variableInstance)), r)
}

// readMetadata as EC2's clients do.
func readMetadata(base, path string) (string, int) {
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	put, err := http.NewRequestWithContext(ctx, http.MethodPut, base+tokenPath, nil)
	if err != nil {
		return err.Error(), 0
	}
	put.Header.Set(ttlHeader, "60")
	response, err := http.DefaultClient.Do(put)
	if err != nil {
		return err.Error(), 0
	}
	token, _ := io.ReadAll(response.Body)
	response.Body.Close()
	get, _ := http.NewRequestWithContext(ctx, http.MethodGet, base+metaData+path, nil)
	get.Header.Set(tokenHeader, string(token))
	response, err = http.DefaultClient.Do(get)
	if err != nil {
		return err.Error(), 0
	}
	defer response.Body.Close()
	body, _ := io.ReadAll(response.Body)
	return string(body), response.StatusCode
}

// startFamily starts processes that are hard to get rid of: one in a session
// of its own, one that ignores every signal that can be ignored, and one whose
// parent is gone and whose environment is empty but for what it needs.
func startFamily() error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	for _, name := range []string{"setsid", "stubborn", "parent"} {
		cmd := exec.Command(self)
		cmd.Env = []string{"TEST_DO=child-" + name, "TEST_REPORTS=" + os.Getenv("TEST_REPORTS")}
		cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
		if err := cmd.Start(); err != nil {
			return err
		}
		go func() { _ = cmd.Wait() }()
	}
	ctx, cancel := context.WithTimeout(context.Background(), patience)
	defer cancel()
	return poll(ctx, func() (bool, error) {
		for _, name := range family {
			lock, err := tryLock(filepath.Join(os.Getenv("TEST_REPORTS"), "locks", name))
			if err != nil {
				return false, err
			}
			if lock != nil {
				lock.Close()
				return false, nil
			}
		}
		return true, nil
	})
}

// family are the processes that startFamily leaves, by the locks they hold.
var family = []string{"setsid", "stubborn", "orphan"}

func runTestChild(name string) int {
	if name == "parent" {
		cmd := exec.Command("/proc/self/exe")
		cmd.Args = []string{os.Args[0]}
		cmd.Env = []string{"TEST_DO=child-orphan", "TEST_REPORTS=" + os.Getenv("TEST_REPORTS")}
		cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
		if err := cmd.Start(); err != nil {
			fmt.Fprintln(os.Stderr, err)
			return 1
		}
		return 0
	}
	signal.Ignore(syscall.SIGTERM, syscall.SIGHUP, syscall.SIGINT, syscall.SIGQUIT)
	// The lock says that it lives. Whoever asks holds it for a moment.
	if _, err := waitLock(context.Background(), filepath.Join(os.Getenv("TEST_REPORTS"), "locks", name)); err != nil {
		fmt.Fprintln(os.Stderr, name, err)
		return 1
	}
	select {}
}

// serveSaves serves the agent's socket and tells each watcher the events that
// script lists: s started, p progress, c committed, with a pause (,) until the
// watcher has had time to act.
func serveSaves(script string) error {
	home := os.Getenv(variableHome)
	if err := os.Chdir(home); err != nil {
		return err
	}
	listener, err := net.Listen("unix", agentSocket)
	if err != nil {
		return err
	}
	go func() {
		for {
			conn, err := listener.Accept()
			if err != nil {
				return
			}
			go func() {
				defer conn.Close()
				line, _ := bufio.NewReader(conn).ReadString('\n')
				if strings.TrimSpace(line) != `{"op":"watch"}` {
					fmt.Fprintln(conn, `{"error":"what?"}`)
					return
				}
				tellSaves(conn, script)
			}()
		}
	}()
	return nil
}

func tellSaves(conn net.Conn, script string) {
	tell := json.NewEncoder(conn)
	said, _ := os.OpenFile("said", os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o644)
	for _, c := range script {
		switch c {
		case 's':
			_ = tell.Encode(map[string]any{"event": saveStarted, "sequence": 1})
		case 'p':
			_ = tell.Encode(map[string]any{"event": saveProgress, "bytes_done": 10, "bytes_total": 20})
		case 'f':
			_ = tell.Encode(map[string]any{"event": saveProgress, "bytes_done": 20, "bytes_total": 20})
		case 'c':
			_ = tell.Encode(map[string]any{"event": saveCommitted})
		}
		fmt.Fprintf(said, "%c", c)
	}
	_, _ = io.Copy(io.Discard, conn)
}

// runTestRole is another process that uses the provider: LOCAL_TEST_STATE is
// its state folder, LOCAL_TEST_REQUEST its launch request.
func runTestRole(role string) int {
	p := New(Options{StateDir: os.Getenv("LOCAL_TEST_STATE")})
	ctx := context.Background()
	var request struct {
		Fleet   json.RawMessage
		Request json.RawMessage
	}
	fail := func(err error) int {
		fmt.Fprintln(os.Stderr, err)
		return 1
	}
	if err := readJSON(os.Getenv("LOCAL_TEST_REQUEST"), &request); err != nil {
		return fail(err)
	}
	result, err := launchRaw(ctx, p, request.Fleet, request.Request)
	if err != nil {
		return fail(err)
	}
	_ = json.NewEncoder(os.Stdout).Encode(result)
	if role == "launch-and-stay" {
		select {}
	}
	return 0
}
