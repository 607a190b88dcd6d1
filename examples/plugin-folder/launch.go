package main

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"syscall"
	"time"

	"github.com/spotrelay/spotrelay/providers"
)

// record is what the cloud knows of an instance: FOLDER/ID/record.json.
type record struct {
	providers.Instance

	Token   string             `json:"token"`
	Request [sha256.Size]byte  `json:"request"`
	PID     int                `json:"pid"`
	Cause   providers.EndCause `json:"cause,omitempty"` // of its end
}

var validToken = regexp.MustCompile(`^[A-Za-z0-9-]{1,64}$`)

// Launch rents up to request.Count instances in any of request.Offers.
func (p *provider) Launch(ctx context.Context, fleet providers.Fleet, request providers.LaunchRequest) (providers.LaunchResult, error) {
	var result providers.LaunchResult
	c, err := parse("launch", fleet)
	if err != nil {
		return result, err
	}
	offers := slices.DeleteFunc(market(c), func(o providers.Offer) bool {
		return !slices.ContainsFunc(request.Offers, func(asked providers.Offer) bool { return asked.Pool() == o.Pool() })
	})
	switch {
	case !validToken.MatchString(request.Token), request.Count < 1, len(request.Offers) == 0, len(offers) > 1:
		return result, failed(providers.CodeConfiguration, "launch", "the request is wrong: %+v", request)
	case len(offers) == 0:
		return result, failed(providers.CodeUnsupported, "launch", "there is no such pool")
	}
	unlock, err := p.lock(ctx, "launch", c)
	if err != nil {
		return result, err
	}
	defer unlock()
	frozen, err := json.Marshal(request)
	if err != nil {
		return result, failed(providers.CodeConfiguration, "launch", "%v", err)
	}
	all, err := p.records("launch", c)
	if err != nil {
		return result, err
	}
	living := 0
	for _, r := range all {
		if r.State == providers.StateRunning {
			living++
		}
		if r.Token == request.Token {
			if r.Request != sha256.Sum256(frozen) {
				return providers.LaunchResult{}, failed(providers.CodeTokenMismatch, "launch", "the token %s was used with another request", r.Token)
			}
			result.Instances = append(result.Instances, r.Instance)
		}
	}
	if len(result.Instances) > 0 {
		return result, nil // a repetition
	}
	for len(result.Instances) < request.Count && living < c.Most {
		r := record{Token: request.Token, Request: sha256.Sum256(frozen), Instance: providers.Instance{
			ID: fmt.Sprintf("%s-%d", request.Token, len(result.Instances)), Offer: offers[0],
			State: providers.StateRunning, Tags: request.Tags, Launched: time.Now(),
			Isolation: "a process on this machine",
		}}
		if err := p.start(c, &r, request.Bootstrap); err != nil {
			result.Failures = append(result.Failures, providers.Failure{Pool: offers[0].Pool(), Code: providers.CodeUnavailable, Message: err.Error()})
			return result, nil
		}
		result.Instances, living = append(result.Instances, r.Instance), living+1
	}
	if len(result.Instances) < request.Count {
		result.Failures = []providers.Failure{{Pool: offers[0].Pool(), Code: providers.CodeQuota, Message: fmt.Sprintf("%d instances live, the most there may be", living)}}
	}
	return result, nil
}

// start makes an instance: its record first, so that it is never there without
// its tags, and then the agent's process.
func (p *provider) start(c config, r *record, b providers.Bootstrap) error {
	home := filepath.Join(c.Folder, r.ID)
	if err := os.MkdirAll(home, 0o755); err != nil {
		return err
	}
	if err := r.write(c); err != nil {
		return err
	}
	program, ok := b.Agents[runtimePlatform]
	if !ok {
		return nil // the suite's instances need not come up
	}
	data, err := os.ReadFile(filepath.Join(strings.TrimPrefix(b.Bucket, "file://"), program.Key))
	if err != nil {
		return err
	}
	if sum := fmt.Sprintf("%x", sha256.Sum256(data)); sum != program.SHA256 {
		return fmt.Errorf("the agent's SHA-256 is %s, not %s", sum, program.SHA256)
	}
	agent := filepath.Join(home, "agent")
	if err := os.WriteFile(agent, data, 0o755); err != nil {
		return err
	}
	command := exec.Command(agent)
	command.Dir, command.SysProcAttr = home, &syscall.SysProcAttr{Setsid: true}
	command.Env = append(os.Environ(), "SPOTRELAY_INSTANCE="+r.ID, "SPOTRELAY_HOME="+home)
	for name, value := range b.Environment {
		command.Env = append(command.Env, name+"="+value)
	}
	if err := command.Start(); err != nil {
		return err
	}
	go func() { _ = command.Wait() }() // no zombie is left
	r.PID = command.Process.Pid
	return r.write(c)
}
