//go:build !linux && !darwin

package local

import (
	"context"
	"runtime"
	"time"

	"github.com/spotrelay/spotrelay/providers"
)

// Provider implements providers.Provider. On this system it describes itself
// and says that it rents nothing here.
type Provider struct{}

// New makes the provider.
func New(Options) *Provider { return &Provider{} }

// IsStage is false: there are no instances on this system.
func IsStage() bool { return false }

// RunStage returns the exit code of a wrong call.
func RunStage() int { return 2 }

const (
	unsupported = "the local provider needs Linux or macOS; this is " + runtime.GOOS
	instead     = "use a fleet of a cloud, or run spotrelay in WSL"
)

func refuse(op string) error {
	return fault(op, providers.CodeConfiguration, unsupported, instead)
}

// Check implements providers.Provider: the system is the fault.
func (p *Provider) Check(_ context.Context, fleet providers.Fleet) ([]providers.Fault, error) {
	_, faults := readConfig(fleet.Config)
	return append(faults, providers.Fault{Severity: providers.SeverityError, Summary: unsupported, Detail: instead}), nil
}

// Offers implements providers.Provider.
func (p *Provider) Offers(context.Context, providers.Fleet, providers.Need) ([]providers.Offer, error) {
	return nil, refuse("offers")
}

// Launch implements providers.Provider.
func (p *Provider) Launch(context.Context, providers.Fleet, providers.LaunchRequest) (providers.LaunchResult, error) {
	return providers.LaunchResult{}, refuse("launch")
}

// List implements providers.Provider.
func (p *Provider) List(context.Context, providers.Fleet, map[string]string) ([]providers.Instance, error) {
	return nil, refuse("list")
}

// Terminate implements providers.Provider.
func (p *Provider) Terminate(context.Context, providers.Fleet, []string) error {
	return refuse("terminate")
}

// Evidence implements providers.Provider.
func (p *Provider) Evidence(context.Context, providers.Fleet, []string) ([]providers.Evidence, error) {
	return nil, refuse("evidence")
}

// Console implements providers.Console.
func (p *Provider) Console(context.Context, providers.Fleet, string) (string, error) {
	return "", refuse("console")
}

// Preempt implements providers.Preempter.
func (p *Provider) Preempt(context.Context, providers.Fleet, string, time.Duration) error {
	return refuse("preempt")
}
