//go:build linux || darwin

package local

import (
	"context"
	"crypto/rand"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"syscall"
	"time"

	"github.com/spotrelay/spotrelay/providers"
)

// launch is what a token stands for: tokens/<token>. It is written before the
// first instance is made, so that a launch that was cut off can be gone on
// with.
type launch struct {
	Digest   string              `json:"digest"` // of the frozen request
	Created  time.Time           `json:"created"`
	Records  []record            `json:"records,omitempty"`
	Failures []providers.Failure `json:"failures,omitempty"`
	Complete bool                `json:"complete"` // nothing more will be made
	// Fails is said by the first call, which rents nevertheless.
	Fails bool `json:"fails,omitempty"`
}

// Launch implements providers.Provider.
func (p *Provider) Launch(ctx context.Context, fleet providers.Fleet, request providers.LaunchRequest) (providers.LaunchResult, error) {
	const op = "launch"
	var none providers.LaunchResult
	err := p.ready(ctx, op)
	if err == nil {
		err = p.checkRequest(request)
	}
	if err != nil {
		return none, err
	}
	c, err := requireConfig(op, fleet)
	if err != nil {
		return none, err
	}
	digest, err := digestOf(request)
	if err != nil {
		return none, wrap(op, err)
	}
	folder := p.state.fleet(fleet.Name)
	for _, dir := range []string{folder.tokens(), folder.runs(), folder.instances()} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return none, wrap(op, err)
		}
	}
	lock, err := waitLock(ctx, folder.lockFile())
	if err != nil {
		return none, wrap(op, err)
	}
	defer lock.Close()
	p.sweep(folder)

	token := filepath.Join(folder.tokens(), safeName(request.Token))
	var l launch
	err = readJSON(token, &l)
	switch {
	case err == nil && l.Digest != digest:
		return none, fault(op, providers.CodeTokenMismatch, "the token "+request.Token+" was used with another request", "make one token per launch and repeat its request unchanged")
	case err == nil && l.Complete:
		return p.launched(folder, l), nil
	case err != nil && errors.Is(err, fs.ErrPermission):
		return none, wrap(op, err)
	case err != nil:
		// None, or one that a power cut has emptied, whose instances are gone.
		if l, err = p.decide(folder, c, request, digest); err != nil {
			return none, wrap(op, err)
		}
		if err := writeJSON(token, l); err != nil {
			return none, wrap(op, err)
		}
	}
	if err := p.make(folder, &l); err != nil {
		return none, wrap(op, err)
	}
	fails := l.Fails
	l.Complete = true
	if err := writeJSON(token, l); err != nil {
		return none, wrap(op, err)
	}
	if fails {
		return none, fault(op, providers.CodeUnavailable, "the answer was lost, as a capacity_error block says", "a listing shows what was rented")
	}
	return p.launched(folder, l), nil
}

var tokenForm = regexp.MustCompile(`^[0-9A-Za-z-]{1,64}$`)

// checkRequest refuses what no repetition could make right.
func (p *Provider) checkRequest(request providers.LaunchRequest) error {
	wrong := func(message, hint string) error {
		return fault("launch", providers.CodeConfiguration, message, hint)
	}
	switch {
	case p.self && !staged.Load():
		return wrong("this program cannot be an instance's supervisor", "call local.IsStage and local.RunStage first thing in main, or set Options.Exe")
	case !tokenForm.MatchString(request.Token):
		return wrong(fmt.Sprintf("%q is no launch token", request.Token), "a token has 1 to 64 letters, digits and hyphens")
	case request.Count < 1:
		return wrong(fmt.Sprintf("%d instances cannot be launched", request.Count), "ask for one at least")
	case len(request.Offers) == 0:
		return wrong("the request has no offers", "take them from Offers")
	}
	for _, offer := range request.Offers {
		if offer.Capacity != request.Offers[0].Capacity {
			return wrong("the offers are of different capacity types", "make a launch for each")
		}
	}
	if _, ok := request.Bootstrap.Agents[platform()]; !ok {
		return wrong("the bootstrap names no agent for "+platform(), "put one into the bucket and name it under "+platform())
	}
	return nil
}

func digestOf(request providers.LaunchRequest) (string, error) {
	data, err := json.Marshal(request)
	sum := sha256.Sum256(data)
	return hex.EncodeToString(sum[:]), err
}

// launched is the answer for a launch that is complete.
func (p *Provider) launched(folder fleetFolder, l launch) providers.LaunchResult {
	result := providers.LaunchResult{Failures: l.Failures}
	for _, rec := range l.Records {
		instance, _, err := p.look(folder.instance(rec.Instance.ID))
		if err != nil { // removed since
			instance = rec.Instance
			instance.State = providers.StateTerminated
		}
		result.Instances = append(result.Instances, instance)
	}
	return result
}

// make rents what the launch has decided on and has not made yet. The caller
// holds the fleet's lock.
func (p *Provider) make(folder fleetFolder, l *launch) error {
	for _, rec := range l.Records {
		at := folder.instance(rec.Instance.ID)
		if _, err := os.Stat(string(at)); err == nil {
			continue // made by the call that was cut off
		}
		if err := p.makeInstance(folder, at, rec); err != nil {
			return err
		}
	}
	return nil
}

// makeInstance gives an instance its folder and starts its supervisor. The
// lock in the folder is taken before the folder has its name, and handed to
// the supervisor: there is no moment at which the instance could be seen and
// nobody answered for it, except when this process dies in between; then it is
// seen as ended.
func (p *Provider) makeInstance(folder fleetFolder, at instanceFolder, rec record) error {
	draft, err := os.MkdirTemp(folder.instances(), ".new-")
	if err != nil {
		return err
	}
	defer os.RemoveAll(draft) // gone when it has its name
	lock, err := tryLock(instanceFolder(draft).lockFile())
	if err != nil {
		return err
	}
	defer lock.Close()
	if err := writeJSON(instanceFolder(draft).recordFile(), rec); err != nil {
		return err
	}
	if err := os.Rename(draft, string(at)); err != nil {
		return err
	}
	console, err := os.OpenFile(at.console(), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		return err
	}
	defer console.Close()
	cmd := &exec.Cmd{
		Path: p.exe, Args: []string{supervisorStage, string(at)},
		Dir: "/", Env: append([]string{}, rec.Environment...), // for the bucket's credentials
		Stdout: console, Stderr: console, ExtraFiles: []*os.File{lock.File},
		SysProcAttr: &syscall.SysProcAttr{Setsid: true},
	}
	if err := cmd.Start(); err != nil {
		writeEnd(at, verdict{providers.EndHostEvent, codeCutOff, "its supervisor could not be started: " + err.Error()})
		return err
	}
	go func() { _ = cmd.Wait() }()
	return nil
}

// newID is an instance's id: 65 random bits, good as a host name.
func newID() string { return "i-" + strings.ToLower(rand.Text()[:13]) }
