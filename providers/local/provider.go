//go:build linux || darwin

package local

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"runtime"
	"sync"
	"syscall"
	"time"

	"github.com/spotrelay/spotrelay/providers"
)

// Provider implements providers.Provider, providers.Console and
// providers.Preempter. Any number of processes may use one state folder.
type Provider struct {
	state stateFolder
	exe   string
	self  bool  // exe is this process's own program
	fault error // why there is no state folder or program

	patience time.Duration // with a supervisor

	mu    sync.Mutex
	ended map[instanceFolder]ending // what can no longer change
	swept map[fleetFolder]time.Time
}

// New makes the provider. It touches nothing; what is wrong with the options
// is the error of the calls that need them.
func New(options Options) *Provider {
	p := &Provider{exe: options.Exe, patience: controlPatience, ended: map[instanceFolder]ending{}, swept: map[fleetFolder]time.Time{}}
	dir, err := options.StateDir, error(nil)
	if dir == "" {
		dir, err = defaultStateDir()
	}
	if err == nil {
		dir, err = filepath.Abs(dir)
	}
	if p.exe == "" && err == nil {
		p.exe, err = ownProgram()
		p.self = true
	}
	p.state, p.fault = stateFolder(dir), err
	return p
}

// ownProgram is this process's program, also when its file was replaced since.
func ownProgram() (string, error) {
	if runtime.GOOS == "linux" {
		return "/proc/self/exe", nil
	}
	return os.Executable()
}

// Check implements providers.Provider.
func (p *Provider) Check(ctx context.Context, fleet providers.Fleet) ([]providers.Fault, error) {
	if err := ctx.Err(); err != nil {
		return nil, wrap("check", err)
	}
	c, faults := readConfig(fleet.Config)
	if len(faults) == 0 {
		faults = isolationFaults(c)
	}
	return faults, nil
}

// Console implements providers.Console.
func (p *Provider) Console(ctx context.Context, fleet providers.Fleet, id string) (string, error) {
	folder, err := p.folder(ctx, "console", fleet, id)
	if err != nil {
		return "", err
	}
	text, err := readTail(folder.console(), consoleTail)
	return text, wrap("console", err)
}

// ready says why a call cannot be served at all.
func (p *Provider) ready(ctx context.Context, op string) error {
	if err := ctx.Err(); err != nil {
		return wrap(op, err)
	}
	return wrap(op, p.fault)
}

// folder of an instance; CodeNotFound when there is none.
func (p *Provider) folder(ctx context.Context, op string, fleet providers.Fleet, id string) (instanceFolder, error) {
	if err := p.ready(ctx, op); err != nil {
		return "", err
	}
	folder := p.state.fleet(fleet.Name).instance(id)
	if _, err := os.Stat(folder.recordFile()); err != nil {
		if errors.Is(err, fs.ErrNotExist) {
			return "", fault(op, providers.CodeNotFound, "fleet "+fleet.Name+" has no instance "+id, "it may have ended more than an hour ago")
		}
		return "", wrap(op, err)
	}
	return folder, nil
}

// wrap makes any error a provider's.
func wrap(op string, err error) error {
	if err == nil {
		return nil
	}
	var known *providers.Error
	if errors.As(err, &known) {
		return known
	}
	code, hint := providers.CodeUnavailable, ""
	switch {
	case errors.Is(err, fs.ErrPermission), errors.Is(err, syscall.EROFS), errors.Is(err, syscall.ENOTDIR):
		code, hint = providers.CodeDenied, "the local provider keeps its instances in $SPOTRELAY_LOCAL_DIR or ~/.local/state/spotrelay/local, which must be a folder that this user may write to"
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		hint = "free some room on the disk that holds $SPOTRELAY_LOCAL_DIR or ~/.local/state/spotrelay/local; it is tried again"
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, context.Canceled):
		hint = "the call's time was over; it may be repeated"
	}
	return fault(op, code, err.Error(), hint)
}
