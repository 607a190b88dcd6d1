package main

import (
	"context"
	"errors"
	"fmt"
	"strings"

	"github.com/spotrelay/spotrelay/providers"
)

// listAll gives the instances on all hosts, leaving out the hosts that are
// down: what ran there is lost. A host that is merely out of reach is an error,
// since a listing must be whole. See README.md, "A machine that is down".
func listAll(ctx context.Context, hosts []*host) ([]found, error) {
	lists := make([][]found, len(hosts))
	positions := map[*host]int{}
	for i, h := range hosts {
		positions[h] = i
	}
	errs := onEach(hosts, func(h *host) error {
		list, err := h.list(ctx)
		lists[positions[h]] = list
		return err
	})
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	var instances []found
	for i, err := range errs {
		if err != nil && !errors.Is(err, errDown) {
			return nil, err
		}
		instances = append(instances, lists[i]...)
	}
	return instances, nil
}

// List implements providers.Provider.
func (p *provider) List(ctx context.Context, fleet providers.Fleet, tags map[string]string) ([]providers.Instance, error) {
	c, err := requireConfig("list", fleet)
	if err != nil {
		return nil, err
	}
	all, err := listAll(ctx, p.of(c))
	if err != nil {
		return nil, callError("list", err)
	}
	var listed []providers.Instance
	for _, instance := range all {
		if instance.ours() && bears(instance.Tags, tags) {
			listed = append(listed, instance.view())
		}
	}
	return listed, nil
}

func bears(have, want map[string]string) bool {
	for key, value := range want {
		if got, there := have[key]; !there || got != value {
			return false
		}
	}
	return true
}

// hostOf is the host of an instance, by its id; nil if it is none of the
// fleet's.
func hostOf(hosts []*host, id string) *host {
	name, _, _ := strings.Cut(id, ".")
	for _, h := range hosts {
		if h.Name == name {
			return h
		}
	}
	return nil
}

// byHost sorts ids to their hosts; those of no host are left out: they are
// gone, with the host that was taken out of the fleet.
func byHost(hosts []*host, ids []string) (order []*host, of map[*host][]string) {
	of = map[*host][]string{}
	for _, id := range ids {
		h := hostOf(hosts, id)
		if h == nil {
			continue
		}
		if of[h] == nil {
			order = append(order, h)
		}
		of[h] = append(of[h], id)
	}
	return order, of
}

// Terminate implements providers.Provider. On a host that is down there is
// nothing left to end; should it come back, List shows what runs there.
func (p *provider) Terminate(ctx context.Context, fleet providers.Fleet, ids []string) error {
	c, err := requireConfig("terminate", fleet)
	if err != nil {
		return err
	}
	if err := ctx.Err(); err != nil {
		return callError("terminate", err)
	}
	hosts, of := byHost(p.of(c), ids)
	instances, err := listAll(ctx, hosts)
	if err != nil {
		return callError("terminate", err)
	}
	known := map[string]found{}
	for _, instance := range instances {
		known[instance.ID] = instance
	}
	for _, id := range ids {
		if instance, there := known[id]; there && !instance.ours() {
			return &providers.Error{Code: providers.CodeNotOurs, Op: "terminate", Message: fmt.Sprintf("%s does not bear the tag %s", id, providers.TagBucket)}
		}
	}
	errs := onEach(hosts, func(h *host) error {
		var there []string
		for _, id := range of[h] {
			if _, ok := known[id]; ok {
				there = append(there, id)
			}
		}
		if len(there) == 0 {
			return nil
		}
		_, err := h.do(ctx, "terminate", there...)
		return err
	})
	for _, err := range errs {
		if err != nil && !errors.Is(err, errDown) {
			return callError("terminate", err)
		}
	}
	return nil
}

// Evidence implements providers.Provider. Of a host that is out of reach
// nothing is known; when it is down, that is the evidence.
func (p *provider) Evidence(ctx context.Context, fleet providers.Fleet, ids []string) ([]providers.Evidence, error) {
	c, err := requireConfig("evidence", fleet)
	if err != nil {
		return nil, err
	}
	all := p.of(c)
	hosts, _ := byHost(all, ids)
	known := map[string]found{}
	lists := make([][]found, len(hosts))
	positions := map[*host]int{}
	for i, h := range hosts {
		positions[h] = i
	}
	errs := onEach(hosts, func(h *host) (err error) {
		lists[positions[h]], err = h.list(ctx)
		return err
	})
	if err := ctx.Err(); err != nil {
		return nil, callError("evidence", err)
	}
	for i, err := range errs {
		if err != nil && !errors.Is(err, errUnreachable) && !errors.Is(err, errDown) {
			return nil, callError("evidence", err)
		}
		for _, instance := range lists[i] {
			known[instance.ID] = instance
		}
	}
	evidence := make([]providers.Evidence, len(ids))
	for i, id := range ids {
		evidence[i] = providers.Evidence{ID: id, Cause: providers.EndUnknown}
		if instance, there := known[id]; there {
			evidence[i].Cause, evidence[i].State, evidence[i].At = instance.cause, instance.state, instance.at
			continue
		}
		h := hostOf(all, id)
		if h == nil {
			continue
		}
		if why := h.isDown(); why != nil {
			evidence[i].Cause, evidence[i].Message = providers.EndHostEvent, why.Error()
		}
	}
	return evidence, nil
}

// statusNoInstance is host.sh's exit status for an instance that is not there.
const statusNoInstance = 3

// Console implements providers.Console: what the agent printed.
func (p *provider) Console(ctx context.Context, fleet providers.Fleet, id string) (string, error) {
	c, err := requireConfig("console", fleet)
	if err != nil {
		return "", err
	}
	gone := &providers.Error{Code: providers.CodeNotFound, Op: "console", Message: "there is no instance " + id}
	h := hostOf(p.of(c), id)
	if h == nil || !validID.MatchString(id) {
		return "", gone
	}
	out, err := h.do(ctx, "console", id)
	var refused *commandError
	if errors.As(err, &refused) && refused.status == statusNoInstance {
		return "", gone
	}
	return out, callError("console", err)
}
