package main

import (
	"context"
	"crypto/sha256"
	"encoding/base64"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"maps"
	"net/url"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"time"

	"github.com/spotrelay/spotrelay/providers"
)

var validToken = regexp.MustCompile(`^[A-Za-z0-9-]{1,64}$`)

// validID is an instance id that Launch makes.
var validID = regexp.MustCompile(`^[a-z0-9-]+\.[0-9a-f]{16}\.[0-9]+$`)

// Launch implements providers.Provider. The hosts remember tokens: an instance's
// record has that of its launch, so a repetition finds what the first call
// rented, whoever makes it. A host that cannot be asked might have some too,
// so the call fails until the host answers or is down.
func (p *provider) Launch(ctx context.Context, fleet providers.Fleet, request providers.LaunchRequest) (providers.LaunchResult, error) {
	c, err := requireConfig("launch", fleet)
	if err == nil {
		err = checkRequest(request)
	}
	if err != nil {
		return providers.LaunchResult{}, err
	}
	frozen, err := json.Marshal(request)
	if err != nil {
		return providers.LaunchResult{}, &providers.Error{Code: providers.CodeConfiguration, Op: "launch", Message: err.Error()}
	}
	l := launching{LaunchRequest: request, config: c, hosts: p.of(c), digest: sha256Hex(frozen)}
	former, err := l.former(ctx)
	if err != nil || former != nil {
		return l.result(former, nil), callError("launch", err)
	}
	var rented []found
	var failures []providers.Failure
	for _, offer := range request.Offers {
		if len(rented) == request.Count {
			break
		}
		here, err := l.rent(ctx, offer, request.Count-len(rented))
		rented = append(rented, here...)
		switch {
		case ctx.Err() != nil:
			return providers.LaunchResult{}, callError("launch", ctx.Err())
		case len(rented) == 0 && codeOf(err).Final():
			return providers.LaunchResult{}, callError("launch", err)
		case err != nil:
			failures = append(failures, providers.Failure{Pool: offer.Pool(), Code: codeOf(err), Message: err.Error()})
		case len(rented) < request.Count:
			failures = append(failures, providers.Failure{Pool: offer.Pool(), Code: providers.CodeCapacity, Message: "its slots are taken"})
		}
	}
	return l.result(rented, failures), nil
}

func checkRequest(request providers.LaunchRequest) error {
	wrong := func(format string, args ...any) error {
		return &providers.Error{Code: providers.CodeConfiguration, Op: "launch", Message: fmt.Sprintf(format, args...)}
	}
	switch {
	case !validToken.MatchString(request.Token):
		return wrong("the token %q is not 1 to 64 letters, digits and '-'", request.Token)
	case request.Count < 1:
		return wrong("count is %d", request.Count)
	case len(request.Offers) == 0:
		return wrong("there are no offers to launch in")
	}
	for _, offer := range request.Offers {
		if offer.Capacity != request.Offers[0].Capacity {
			return wrong("the offers are of different capacity types")
		}
	}
	for name, value := range request.Bootstrap.Environment {
		if strings.ContainsAny(name+value, "\n\x00") || strings.Contains(name, "=") {
			return wrong("the variable %q of the agent's environment holds a line break", name)
		}
	}
	return nil
}

// codeOf an error in one pool. A host that cannot be used now is like a pool
// with no capacity: the next one may do.
func codeOf(err error) providers.Code {
	if err == nil {
		return ""
	}
	var e *providers.Error
	if errors.As(err, &e) {
		return e.Code
	}
	return providers.CodeCapacity
}

// launching is one call of Launch.
type launching struct {
	providers.LaunchRequest

	config config
	hosts  []*host
	digest string
}

func (l launching) result(instances []found, failures []providers.Failure) providers.LaunchResult {
	result := providers.LaunchResult{Failures: failures}
	for _, instance := range instances {
		result.Instances = append(result.Instances, instance.view())
	}
	return result
}

// former are the instances that a former call with the token rented; nil if
// there was none.
func (l launching) former(ctx context.Context) ([]found, error) {
	var former []found
	instances, err := listAll(ctx, l.hosts)
	if err != nil {
		return nil, err
	}
	for _, instance := range instances {
		if instance.Token != l.Token {
			continue
		}
		if instance.Request != l.digest {
			return nil, &providers.Error{
				Code: providers.CodeTokenMismatch, Op: "launch",
				Message: fmt.Sprintf("the token %q was used with another request, for %s", l.Token, instance.ID),
			}
		}
		former = append(former, instance)
	}
	return former, nil
}

// rent takes up to count slots of the offer's host.
func (l launching) rent(ctx context.Context, offer providers.Offer, count int) ([]found, error) {
	at := slices.IndexFunc(l.hosts, func(h *host) bool { return h.Name == offer.InstanceType && h.Zone == offer.Zone })
	if at < 0 {
		return nil, &providers.Error{Code: providers.CodeUnsupported, Op: "launch", Message: fmt.Sprintf("there is no host %q in zone %q", offer.InstanceType, offer.Zone)}
	}
	h := l.hosts[at]
	is, err := h.learn(ctx)
	if err != nil {
		return nil, err
	}
	program, ok := l.Bootstrap.Agents[is.os+"-"+is.arch]
	if !ok {
		return nil, &providers.Error{Code: providers.CodeConfiguration, Op: "launch", Message: fmt.Sprintf("there is no agent for %s-%s, which host %s is", is.os, is.arch, h.Name)}
	}
	if err := l.bring(ctx, h, is, program); err != nil {
		return nil, err
	}
	args := []string{fmt.Sprint(h.Slots), strings.ToLower(program.SHA256), fmt.Sprint(int64((l.MaxLife + time.Second - 1) / time.Second)), l.environment()}
	for i := range min(count, h.Slots) {
		r := record{
			ID:    fmt.Sprintf("%s.%s.%d", h.Name, sha256Hex([]byte(l.Token))[:16], i),
			Token: l.Token, Request: l.digest, Offer: offer, Tags: l.Tags, Launched: time.Now().UTC(),
		}
		data, err := json.Marshal(r)
		if err != nil {
			return nil, err
		}
		args = append(args, r.ID, base64.StdEncoding.EncodeToString(data))
	}
	out, err := h.do(ctx, "launch", args...)
	if err != nil {
		return nil, err
	}
	return h.parse(out)
}

// environment of the agent as host.sh reads it.
func (l launching) environment() string {
	var lines strings.Builder
	for _, name := range slices.Sorted(maps.Keys(l.Bootstrap.Environment)) {
		fmt.Fprintf(&lines, "%s=%s\n", name, l.Bootstrap.Environment[name])
	}
	return base64.StdEncoding.EncodeToString([]byte(lines.String()))
}

// bring sees to it that the agent's program is on the host; the host checks
// its SHA-256.
func (l launching) bring(ctx context.Context, h *host, is facts, program providers.AgentProgram) error {
	if digest, err := hex.DecodeString(program.SHA256); err != nil || len(digest) != sha256.Size {
		return &providers.Error{Code: providers.CodeConfiguration, Op: "launch", Message: fmt.Sprintf("%q is no SHA-256", program.SHA256)}
	}
	sum := strings.ToLower(program.SHA256)
	out, err := h.do(ctx, "has-agent", sum)
	if err != nil || strings.TrimSpace(out) == "yes" {
		return err
	}
	path, err := l.agentFile(is.os+"-"+is.arch, program)
	if err != nil {
		return err
	}
	file, err := os.Open(path)
	if err != nil {
		return &providers.Error{Code: providers.CodeConfiguration, Op: "launch", Message: fmt.Sprintf("the agent's program: %v", err)}
	}
	defer file.Close()
	_, err = h.link.run(ctx, file, "put-agent", sum)
	var refused *commandError
	if errors.As(err, &refused) {
		return &providers.Error{Code: providers.CodeConfiguration, Op: "launch", Message: refused.Error(), Hint: path + " must be the agent that this run was submitted with"}
	}
	return h.reached(err)
}

// agentFile is where the program is on this machine: as the fleet says, or in
// a bucket that is a folder.
func (l launching) agentFile(platform string, program providers.AgentProgram) (string, error) {
	if path := l.config.Agents[platform]; path != "" {
		return expandHome(path), nil
	}
	folder := l.Bootstrap.Bucket
	if strings.Contains(folder, "://") {
		u, err := url.Parse(folder)
		if err != nil || u.Scheme != "file" {
			return "", &providers.Error{
				Code: providers.CodeConfiguration, Op: "launch",
				Message: fmt.Sprintf("the bucket %s is no folder, and agents names no program for %s", folder, platform),
				Hint:    fmt.Sprintf("set agents = {%q = \"...\"} to the spotrelay-agent that is installed beside spotrelay", platform),
			}
		}
		folder = u.Path
	}
	return filepath.Join(folder, filepath.FromSlash(program.Key)), nil
}

func sha256Hex(data []byte) string {
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:])
}
