//go:build linux

package main

import (
	"context"
	"crypto/sha256"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/spotrelay/spotrelay/providers"
)

var validToken = regexp.MustCompile(`^[A-Za-z0-9-]{1,64}$`)

// Launch implements providers.Provider.
func (p *provider) Launch(ctx context.Context, fleet providers.Fleet, request providers.LaunchRequest) (providers.LaunchResult, error) {
	var none providers.LaunchResult
	c, err := parse("launch", fleet)
	if err != nil {
		return none, err
	}
	offers := slices.DeleteFunc(market(c), func(o providers.Offer) bool {
		return !slices.ContainsFunc(request.Offers, func(asked providers.Offer) bool { return asked.Pool() == o.Pool() })
	})
	switch {
	case !validToken.MatchString(request.Token), request.Count < 1, len(request.Offers) == 0, len(offers) > 1:
		return none, failed(providers.CodeConfiguration, "launch", "the request is wrong: token %q, count %d, %d offers", request.Token, request.Count, len(request.Offers))
	case len(offers) == 0:
		return none, failed(providers.CodeUnsupported, "launch", "there is no such pool")
	}
	frozen, err := json.Marshal(request)
	if err != nil {
		return none, failed(providers.CodeConfiguration, "launch", "%v", err)
	}
	unlock, err := lock(ctx, "launch", c)
	if err != nil {
		return none, err
	}
	defer unlock()
	all, err := records("launch", c)
	if err != nil {
		return none, err
	}
	var result providers.LaunchResult
	living := 0
	for _, r := range all {
		if r.State == providers.StateRunning {
			living++
		}
		if r.Token == request.Token && r.Request != sha256.Sum256(frozen) {
			return none, failed(providers.CodeTokenMismatch, "launch", "the token %s was used with another request", r.Token)
		}
		if r.Token == request.Token {
			result.Instances = append(result.Instances, r.Instance)
		}
	}
	if len(result.Instances) > 0 {
		return result, nil // a repetition
	}
	return p.rent(ctx, c, offers[0], request, sha256.Sum256(frozen), living)
}

// rent starts what there is room for.
func (p *provider) rent(ctx context.Context, c config, offer providers.Offer, request providers.LaunchRequest, digest [sha256.Size]byte, living int) (providers.LaunchResult, error) {
	var result providers.LaunchResult
	if err := checkAgent(c, request.Bootstrap); err != nil {
		return result, err
	}
	fail := func(code providers.Code, format string, args ...any) {
		result.Failures = append(result.Failures, providers.Failure{Pool: offer.Pool(), Code: code, Message: fmt.Sprintf(format, args...)})
	}
	for len(result.Instances) < request.Count {
		if living >= c.Most {
			fail(providers.CodeQuota, "%d machines live, the most there may be", living)
			break
		}
		id := fmt.Sprintf("vm-%x", sha256.Sum256(fmt.Appendf(nil, "%s %d", request.Token, len(result.Instances))))[:15]
		r := record{Token: request.Token, Request: digest, Instance: providers.Instance{
			ID: id, Offer: offer, State: providers.StateRunning, Tags: request.Tags, Launched: time.Now().UTC(),
			Where: filepath.Join(c.Folder, "instances", id),
		}}
		b := boot{
			Kernel: c.Kernel, Modules: c.Modules, Agent: c.Agent, Memory: c.Memory << 20, MaxLife: int64(request.MaxLife),
			UserData: userData{Instance: id, Forward: c.Forward, Environment: map[string]string{}},
		}
		for _, variables := range []map[string]string{request.Bootstrap.Environment, c.Environment} {
			for name, value := range variables {
				b.UserData.Environment[name] = value
			}
		}
		if err := r.start(ctx, c, b); err != nil {
			code := providers.CodeConfiguration
			if ctx.Err() != nil {
				code = providers.CodeUnavailable
			}
			fail(code, "%v", err)
			break
		}
		result.Instances, living = append(result.Instances, r.Instance), living+1
	}
	return result, nil
}

// checkAgent holds the agent that machines boot with to the run's.
func checkAgent(c config, b providers.Bootstrap) error {
	program, ok := b.Agents["linux-amd64"]
	if !ok {
		return nil // the suite's instances need not come up
	}
	file, err := os.Open(c.Agent)
	if err != nil {
		return failed(providers.CodeConfiguration, "launch", "the agent: %v", err)
	}
	defer file.Close()
	hash := sha256.New()
	if _, err := io.Copy(hash, file); err != nil {
		return failed(providers.CodeConfiguration, "launch", "the agent: %v", err)
	}
	if sum := fmt.Sprintf("%x", hash.Sum(nil)); !strings.EqualFold(sum, program.SHA256) {
		return failed(providers.CodeConfiguration, "launch", "the SHA-256 of %s is %s, the run was submitted with %s", c.Agent, sum, program.SHA256)
	}
	return nil
}

// look gives all instances.
func (p *provider) look(ctx context.Context, op string, fleet providers.Fleet) ([]record, error) {
	c, err := parse(op, fleet)
	if err != nil {
		return nil, err
	}
	unlock, err := lock(ctx, op, c)
	if err != nil {
		return nil, err
	}
	defer unlock()
	return records(op, c)
}

// List implements providers.Provider.
func (p *provider) List(ctx context.Context, fleet providers.Fleet, tags map[string]string) ([]providers.Instance, error) {
	all, err := p.look(ctx, "list", fleet)
	if err != nil {
		return nil, err
	}
	var listed []providers.Instance
	for _, r := range all {
		bears := r.ours()
		for key, value := range tags {
			have, there := r.Tags[key]
			bears = bears && there && have == value
		}
		if bears {
			listed = append(listed, r.Instance)
		}
	}
	return listed, nil
}

// Terminate implements providers.Provider.
func (p *provider) Terminate(ctx context.Context, fleet providers.Fleet, ids []string) error {
	all, err := p.look(ctx, "terminate", fleet)
	if err != nil {
		return err
	}
	all = slices.DeleteFunc(all, func(r record) bool { return !slices.Contains(ids, r.ID) })
	for _, r := range all {
		if !r.ours() {
			return failed(providers.CodeNotOurs, "terminate", "%s does not bear the tag %s", r.ID, providers.TagBucket)
		}
	}
	for _, r := range all {
		if r.State == providers.StateTerminated {
			continue
		}
		if err := r.terminate(ctx); err != nil {
			return failed(providers.CodeUnavailable, "terminate", "%s: %v", r.ID, err)
		}
	}
	return nil
}

// Evidence implements providers.Provider.
func (p *provider) Evidence(ctx context.Context, fleet providers.Fleet, ids []string) ([]providers.Evidence, error) {
	all, err := p.look(ctx, "evidence", fleet)
	if err != nil {
		return nil, err
	}
	evidence := make([]providers.Evidence, len(ids))
	for i, id := range ids {
		evidence[i] = providers.Evidence{ID: id, Cause: providers.EndUnknown}
		for _, r := range all {
			if r.ID == id {
				evidence[i] = r.evidence(ctx)
			}
		}
	}
	return evidence, nil
}

func (r *record) evidence(ctx context.Context) providers.Evidence {
	if r.State == providers.StateTerminated {
		return providers.Evidence{ID: r.ID, Cause: r.end.Cause, State: r.State, Message: r.end.Message, At: r.end.At}
	}
	alive := providers.Evidence{ID: r.ID, Cause: providers.EndRunning, State: r.State}
	response, err := r.tell(ctx, http.MethodGet, "notice")
	if err != nil {
		return alive // it is ending; the next look says how
	}
	defer response.Body.Close()
	var noticed bool
	if json.NewDecoder(response.Body).Decode(&noticed) == nil && noticed {
		alive.Cause = providers.EndNoticed
	}
	return alive
}

// find is one instance.
func (p *provider) find(ctx context.Context, op string, fleet providers.Fleet, id string) (record, error) {
	all, err := p.look(ctx, op, fleet)
	if err != nil {
		return record{}, err
	}
	at := slices.IndexFunc(all, func(r record) bool { return r.ID == id })
	if at < 0 {
		return record{}, failed(providers.CodeNotFound, op, "there is no instance %s", id)
	}
	return all[at], nil
}

// mostConsole is what Console gives at most.
const mostConsole = 64 << 10

// Console implements providers.Console: the machine's serial line.
func (p *provider) Console(ctx context.Context, fleet providers.Fleet, id string) (string, error) {
	r, err := p.find(ctx, "console", fleet, id)
	if err != nil {
		return "", err
	}
	data, err := os.ReadFile(filepath.Join(r.dir, fileConsole))
	if err != nil {
		return "", failed(providers.CodeUnavailable, "console", "%v", err)
	}
	return string(data[max(0, len(data)-mostConsole):]), nil
}

// Preempt implements providers.Preempter.
func (p *provider) Preempt(ctx context.Context, fleet providers.Fleet, id string, notice time.Duration) error {
	r, err := p.find(ctx, "preempt", fleet, id)
	switch {
	case err != nil:
		return err
	case !r.ours():
		return failed(providers.CodeNotOurs, "preempt", "%s does not bear the tag %s", id, providers.TagBucket)
	case r.Offer.Capacity != providers.Spot:
		return failed(providers.CodeUnsupported, "preempt", "%s is no spot instance", id)
	case r.State != providers.StateRunning:
		return failed(providers.CodeNotFound, "preempt", "%s has ended", id)
	}
	response, err := r.tell(ctx, http.MethodPost, "preempt?notice="+notice.String())
	if err != nil {
		return failed(providers.CodeUnavailable, "preempt", "%v", err)
	}
	return response.Body.Close()
}
