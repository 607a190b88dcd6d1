package main

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"

	"github.com/spotrelay/spotrelay/providers"
	"github.com/spotrelay/spotrelay/providers/providertest"
)

// TestConformance holds the provider to the contract over Debian's sshd, and
// over a server in Go, which is there everywhere.
func TestConformance(t *testing.T) {
	for name, host := range map[string]func(*rig){
		"sshd": func(r *rig) { r.sshd(6) },
		"go":   func(r *rig) { r.server(6) },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			r := newRig(t)
			host(r)
			host(r)
			anew := func(providertest.T) providers.Provider { return newProvider() }
			fleet := r.fleet(nil)
			providertest.Run(t, providertest.Options{
				New: anew, Restart: anew, Offline: anew, Fleet: fleet, Bootstrap: r.bootstrap(),
				Page: 7, Parallel: 6, Wait: patience,
				Foreign: func(providertest.T) string {
					request := r.request("somebody-elses", 1)
					request.Tags = map[string]string{"owner": "somebody else"}
					return launch(t, fleet, request)[0].ID
				},
			})
		})
	}
}

func launch(t *testing.T, fleet providers.Fleet, request providers.LaunchRequest) []providers.Instance {
	t.Helper()
	result, err := newProvider().Launch(t.Context(), fleet, request)
	if err != nil {
		t.Fatal(err)
	}
	return result.Instances
}

func causeOf(t *testing.T, fleet providers.Fleet, id string) providers.EndCause {
	t.Helper()
	evidence, err := newProvider().Evidence(t.Context(), fleet, []string{id})
	if err != nil {
		t.Fatal(err)
	}
	return evidence[0].Cause
}

// TestControllersShareHosts: several plugins launch at once, and no slot is
// given to two.
func TestControllersShareHosts(t *testing.T) {
	r := newRig(t)
	r.server(2)
	r.server(1)
	fleet := r.fleet(nil)
	tokens := []string{"a", "b", "c", "d", "e", "f"}
	results, errs := make([]providers.LaunchResult, len(tokens)), make([]error, len(tokens))
	var all sync.WaitGroup
	for i, token := range tokens {
		all.Go(func() { results[i], errs[i] = newProvider().Launch(t.Context(), fleet, r.request(token, 1)) })
	}
	all.Wait()
	if err := errors.Join(errs...); err != nil {
		t.Fatal(err)
	}
	var ids []string
	for i, result := range results {
		for _, instance := range result.Instances {
			ids = append(ids, instance.ID)
		}
		if len(result.Instances) == 0 && result.Failures[0].Code != providers.CodeCapacity {
			t.Errorf("launch %s: %+v", tokens[i], result.Failures)
		}
	}
	slices.Sort(ids)
	if len(slices.Compact(ids)) != 3 {
		t.Errorf("3 slots, and the instances are %q", ids)
	}
}

// TestAgentWorld: the agent gets its environment as it was given, and the
// console shows what it prints.
func TestAgentWorld(t *testing.T) {
	r := newRig(t)
	r.server(1)
	fleet := r.fleet(nil)
	instance := launch(t, fleet, r.request("t", 1))[0]
	want := "agent of " + instance.ID + " in " + filepath.Join(r.hosts[0].Folder, "instances", instance.ID, "home") + `, it's "quoted" $HOME` + "\n"
	waitFor(t, "the agent's greeting", func() bool {
		output, err := newProvider().Console(t.Context(), fleet, instance.ID)
		if err != nil {
			t.Fatal(err)
		}
		return output == want
	})
}

// TestTerminateLeavesNothing: not the processes that moved to a session of their
// own, not the instance's home; what has ended stays known.
func TestTerminateLeavesNothing(t *testing.T) {
	r := newRig(t)
	r.writeAgent("#!/bin/sh\nsetsid sleep 1000 &\nsetsid sh -c 'trap \"\" TERM; sleep 1001' &\nexec sleep 1002\n")
	r.server(1)
	fleet := r.fleet(nil)
	id := launch(t, fleet, r.request("t", 1))[0].ID
	waitFor(t, "three processes", func() bool { return len(processes(t, id)) >= 4 })
	if err := newProvider().Terminate(t.Context(), fleet, []string{id}); err != nil {
		t.Fatal(err)
	}
	if left := processes(t, id); len(left) > 0 {
		t.Errorf("still there: %s", left)
	}
	if _, err := os.Stat(filepath.Join(r.hosts[0].Folder, "instances", id, "home")); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("its home: %v", err)
	}
	if cause := causeOf(t, fleet, id); cause != providers.EndByUs {
		t.Errorf("the cause is %q", cause)
	}
}

// TestLeavingByExit: the end of the agent is the end of the instance, whatever
// it leaves behind.
func TestLeavingByExit(t *testing.T) {
	r := newRig(t)
	r.writeAgent("#!/bin/sh\nsetsid sleep 1000 &\nexit 0\n")
	r.server(1)
	fleet := r.fleet(nil)
	id := launch(t, fleet, r.request("t", 1))[0].ID
	waitFor(t, "the end", func() bool { return causeOf(t, fleet, id) == providers.EndFromInside })
	if left := processes(t, id); len(left) > 0 {
		t.Errorf("still there: %s", left)
	}
	launch(t, fleet, r.request("u", 1)) // the slot is free
}

// TestLeash: an instance that everybody forgot ends by itself.
func TestLeash(t *testing.T) {
	r := newRig(t)
	r.server(1)
	fleet := r.fleet(nil)
	request := r.request("t", 1)
	request.MaxLife = 1 // a nanosecond; a second is the least there is
	id := launch(t, fleet, request)[0].ID
	waitFor(t, "the end", func() bool { return causeOf(t, fleet, id) == providers.EndMaxLife })
}

// TestReboot: the processes of another boot are nobody's.
func TestReboot(t *testing.T) {
	r := newRig(t)
	r.server(1)
	fleet := r.fleet(nil)
	id := launch(t, fleet, r.request("t", 1))[0].ID
	keeper := filepath.Join(r.hosts[0].Folder, "instances", id, "keeper")
	data, err := os.ReadFile(keeper)
	if err != nil {
		t.Fatal(err)
	}
	fields := strings.Fields(string(data))
	if err := os.WriteFile(keeper, []byte(fields[0]+" "+fields[1]+" another-boot\n"), 0o600); err != nil {
		t.Fatal(err)
	}
	if cause := causeOf(t, fleet, id); cause != providers.EndHostEvent {
		t.Errorf("the cause is %q", cause)
	}
}

// TestKeeperKilled: without the process that stays with the agent the instance
// has ended, and the agent is killed.
func TestKeeperKilled(t *testing.T) {
	r := newRig(t)
	r.server(1)
	fleet := r.fleet(nil)
	id := launch(t, fleet, r.request("t", 1))[0].ID
	var pid int
	data, err := os.ReadFile(filepath.Join(r.hosts[0].Folder, "instances", id, "keeper"))
	if err == nil {
		err = json.Unmarshal([]byte(strings.Fields(string(data))[0]), &pid)
	}
	if err != nil {
		t.Fatal(err)
	}
	waitFor(t, "the agent", func() bool { return len(processes(t, id)) > 0 })
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "the end", func() bool { return causeOf(t, fleet, id) == providers.EndFromInside })
	if left := processes(t, id); len(left) > 0 {
		t.Errorf("still there: %s", left)
	}
}

// TestHostDown: a machine out of reach makes a listing an error for a while, and
// then is no longer waited for; when it is back, so is what runs there.
func TestHostDown(t *testing.T) {
	r := newRig(t)
	gone, _ := r.server(1)
	r.server(1)
	fleet := r.fleet(map[string]any{"down_after": "1s"})
	p := newProvider()
	result, err := p.Launch(t.Context(), fleet, r.request("t", 2))
	if err != nil || len(result.Instances) != 2 {
		t.Fatalf("%+v, %v", result, err)
	}
	lost := result.Instances[0].ID
	gone.off()
	list := func() ([]providers.Instance, error) { return p.List(t.Context(), fleet, nil) }
	if _, err := list(); !errors.Is(err, &providers.Error{Code: providers.CodeUnavailable}) {
		t.Errorf("a listing without one of two hosts gives %v", err)
	}
	if err := p.Terminate(t.Context(), fleet, []string{lost}); !errors.Is(err, &providers.Error{Code: providers.CodeUnavailable}) {
		t.Errorf("ending what cannot be reached gives %v", err)
	}
	evidence, err := p.Evidence(t.Context(), fleet, []string{lost})
	if err != nil || evidence[0].Cause != providers.EndUnknown {
		t.Errorf("out of reach for a moment: %+v, %v", evidence, err)
	}
	waitFor(t, "a listing without the host that is down", func() bool {
		listed, err := list()
		return err == nil && len(listed) == 1 && listed[0].ID != lost
	})
	evidence, err = p.Evidence(t.Context(), fleet, []string{lost})
	if err != nil || evidence[0].Cause != providers.EndHostEvent || !strings.Contains(evidence[0].Message, "out of reach since") {
		t.Errorf("down: %+v, %v", evidence, err)
	}
	if err := p.Terminate(t.Context(), fleet, []string{lost}); err != nil {
		t.Errorf("ending what is lost gives %v", err)
	}
	gone.on(t)
	waitFor(t, "the host is back", func() bool {
		listed, err := list()
		return err == nil && len(listed) == 2
	})
}

// TestLaunchWaitsForAnAnswer: a repeated launch must not rent anew while a host
// that might have the first one's instances cannot be asked.
func TestLaunchWaitsForAnAnswer(t *testing.T) {
	r := newRig(t)
	first, _ := r.server(1)
	r.server(1)
	fleet, request := r.fleet(nil), r.request("t", 1)
	rented := launch(t, fleet, request)
	first.off()
	_, err := newProvider().Launch(t.Context(), fleet, request)
	if !errors.Is(err, &providers.Error{Code: providers.CodeUnavailable}) {
		t.Errorf("with the first host away: %v", err)
	}
	first.on(t)
	if again := launch(t, fleet, request); len(again) != 1 || again[0].ID != rented[0].ID {
		t.Errorf("%+v, then %+v", rented, again)
	}
}

// TestHostsAreWhoTheyWere: a host whose key is not the known one is not talked
// to, and neither is one whose key nobody wrote down.
func TestHostsAreWhoTheyWere(t *testing.T) {
	for name, change := range map[string]func(*rig){
		"unknown": func(r *rig) { r.known = nil },
		"changed": func(r *rig) {
			other := newKey(r.t, filepath.Join(r.dir, "other")).PublicKey()
			r.known = nil
			address := r.hosts[0].Address
			r.hosts = nil
			r.add(address, 1, other)
		},
	} {
		t.Run(name, func(t *testing.T) {
			r := newRig(t)
			r.server(1)
			change(r)
			faults, err := newProvider().Check(t.Context(), r.fleet(nil))
			if err != nil || len(faults) != 1 || faults[0].Severity != providers.SeverityError || !strings.Contains(faults[0].Detail, "known_hosts") {
				t.Errorf("%+v, %v", faults, err)
			}
			_, err = newProvider().List(t.Context(), r.fleet(nil), nil)
			if !errors.Is(err, &providers.Error{Code: providers.CodeDenied}) {
				t.Errorf("%v", err)
			}
		})
	}
}

func TestLoginRefused(t *testing.T) {
	r := newRig(t)
	r.server(1)
	newKey(t, filepath.Join(r.dir, "stranger"))
	_, err := newProvider().List(t.Context(), r.fleet(map[string]any{"key": filepath.Join(r.dir, "stranger")}), nil)
	if !errors.Is(err, &providers.Error{Code: providers.CodeDenied}) || !strings.Contains(err.Error(), "authorized_keys") {
		t.Errorf("%v", err)
	}
}

// TestAgentOfTheSSHClient: without a key file the keys of the SSH agent log in.
func TestAgentOfTheSSHClient(t *testing.T) {
	if _, err := exec.LookPath("ssh-agent"); err != nil {
		t.Skip("there is no ssh-agent here: install openssh-client")
	}
	r := newRig(t)
	r.server(1)
	socket := filepath.Join(t.TempDir(), "agent")
	ctx, cancel := context.WithCancel(context.Background())
	command := exec.CommandContext(ctx, "ssh-agent", "-D", "-a", socket)
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cancel(); _ = command.Wait() })
	waitFor(t, "the agent's socket", func() bool { _, err := os.Stat(socket); return err == nil })
	add := exec.Command("ssh-add", r.key)
	add.Env = append(os.Environ(), "SSH_AUTH_SOCK="+socket)
	if out, err := add.CombinedOutput(); err != nil {
		t.Fatalf("%v\n%s", err, out)
	}
	t.Setenv("SSH_AUTH_SOCK", socket)
	if _, err := newProvider().List(t.Context(), r.fleet(map[string]any{"key": ""}), nil); err != nil {
		t.Error(err)
	}
	t.Setenv("SSH_AUTH_SOCK", "")
	_, err := newProvider().List(t.Context(), r.fleet(map[string]any{"key": ""}), nil)
	if !errors.Is(err, &providers.Error{Code: providers.CodeConfiguration}) {
		t.Errorf("without any key: %v", err)
	}
}

func TestAgentIsVerified(t *testing.T) {
	r := newRig(t)
	r.server(1)
	request := r.request("t", 1)
	for platform, program := range request.Bootstrap.Agents {
		program.SHA256 = strings.Repeat("0", 64)
		request.Bootstrap.Agents[platform] = program
	}
	_, err := newProvider().Launch(t.Context(), r.fleet(nil), request)
	if !errors.Is(err, &providers.Error{Code: providers.CodeConfiguration}) || !strings.Contains(err.Error(), "SHA-256") {
		t.Errorf("%v", err)
	}
	request = r.request("u", 1)
	request.Bootstrap.Bucket = "s3://acme/x"
	_, err = newProvider().Launch(t.Context(), r.fleet(nil), request)
	if !errors.Is(err, &providers.Error{Code: providers.CodeConfiguration}) || !strings.Contains(err.Error(), "agents") {
		t.Errorf("%v", err)
	}
}
