package controller

import (
	"context"
	"maps"

	"github.com/spotrelay/spotrelay/checkpointing/bucket"
	"github.com/spotrelay/spotrelay/providers"
	"github.com/spotrelay/spotrelay/runner/agent/bootstrap"
	"github.com/spotrelay/spotrelay/runner/job"
	"github.com/spotrelay/spotrelay/runner/plan"
	"github.com/spotrelay/spotrelay/runner/store"
)

// launcher makes launch calls out of journalled intents.
type launcher struct {
	b        bucket.Bucket
	spec     *job.Spec
	bucketID string
	clock    *clock
	origin   store.Position // where the tenure began: it knows the gaps before
}

// launch calls the provider once. A token that is near the end of the
// provider's window for it is not used again.
func (l *launcher) launch(ctx context.Context, f *fleet, action *plan.ActionLaunch) plan.LaunchAnswer {
	answer := plan.LaunchAnswer{Token: action.Token}
	if f == nil {
		answer.Err = noFleet("launch", action.Fleet)
		return answer
	}
	p, description, err := f.provider(ctx)
	if err != nil {
		answer.Err = asError("launch", err)
		return answer
	}
	// A tenth of the window is left for the call itself and for clocks that
	// differ.
	window, age := description.TokenWindow, l.origin.Age(action.Opened, l.clock.now())
	if age > window-window/10 {
		answer.Expired = true
		return answer
	}
	request, err := l.request(action.LaunchOpened, description)
	if err != nil {
		answer.Err = &providers.Error{Code: providers.CodeConfiguration, Op: "launch", Message: err.Error()}
		return answer
	}
	ctx, cancel := context.WithTimeout(ctx, min(launchLimit, window-age))
	defer cancel()
	answer.Result, err = p.Launch(ctx, f.is(), request)
	answer.Err = asError("launch", err)
	return answer
}

// request is the same for the same intent, whoever makes it and whenever.
func (l *launcher) request(opened plan.LaunchOpened, description providers.Description) (providers.LaunchRequest, error) {
	url := l.b.Describe().URL
	config, err := bootstrap.Config{
		Version: job.SpecVersion, Bucket: url, Run: l.spec.Run, Fleet: opened.Fleet, Slots: opened.Slots,
		Timing: l.spec.Timing, Notice: description.Notice, Leave: description.Leave,
	}.Encode()
	if err != nil {
		return providers.LaunchRequest{}, err
	}
	agents := make(map[string]providers.AgentProgram, len(l.spec.Agent))
	for platform, program := range l.spec.Agent {
		agents[platform] = providers.AgentProgram{Key: program.Key, SHA256: program.SHA256}
	}
	tags := maps.Clone(opened.Labels)
	if tags == nil {
		tags = map[string]string{}
	}
	tags[providers.TagBucket] = l.bucketID
	tags[providers.TagRun] = l.spec.Run
	tags[providers.TagFleet] = opened.Fleet
	tags[providers.TagIntent] = opened.Token
	return providers.LaunchRequest{
		Token: opened.Token, Offers: opened.Offers, Count: opened.Count, Need: opened.Need, Tags: tags,
		MaxLife: plan.MaxLife(l.spec, opened.Group),
		Bootstrap: providers.Bootstrap{
			Bucket: url, Run: l.spec.Run, Fleet: opened.Fleet, Agents: agents,
			Environment: map[string]string{bootstrap.VarConfig: config},
		},
	}, nil
}
