package bridge

import (
	"github.com/spotrelay/spotrelay/plugins/proto"
	"github.com/spotrelay/spotrelay/providers"
)

func toLaunch(r providers.LaunchRequest) *proto.Launch {
	return &proto.Launch{
		Token:     r.Token,
		Offers:    each(r.Offers, toOffer),
		Count:     int64(r.Count),
		Need:      toNeed(r.Need),
		Tags:      r.Tags,
		Bootstrap: toBootstrap(r.Bootstrap),
		MaxLife:   toDuration(r.MaxLife),
	}
}

func fromLaunch(r *proto.Launch) providers.LaunchRequest {
	return providers.LaunchRequest{
		Token:     r.GetToken(),
		Offers:    each(r.GetOffers(), fromOffer),
		Count:     int(r.GetCount()),
		Need:      fromNeed(r.GetNeed()),
		Tags:      r.GetTags(),
		Bootstrap: fromBootstrap(r.GetBootstrap()),
		MaxLife:   fromDuration(r.GetMaxLife()),
	}
}

func toBootstrap(b providers.Bootstrap) *proto.Bootstrap {
	return &proto.Bootstrap{
		Bucket:      b.Bucket,
		Run:         b.Run,
		Fleet:       b.Fleet,
		Agents:      eachValue(b.Agents, toAgentProgram),
		Environment: b.Environment,
	}
}

func fromBootstrap(b *proto.Bootstrap) providers.Bootstrap {
	return providers.Bootstrap{
		Bucket:      b.GetBucket(),
		Run:         b.GetRun(),
		Fleet:       b.GetFleet(),
		Agents:      eachValue(b.GetAgents(), fromAgentProgram),
		Environment: b.GetEnvironment(),
	}
}

func toAgentProgram(a providers.AgentProgram) *proto.AgentProgram {
	return &proto.AgentProgram{Key: a.Key, Sha256: a.SHA256}
}

func fromAgentProgram(a *proto.AgentProgram) providers.AgentProgram {
	return providers.AgentProgram{Key: a.GetKey(), SHA256: a.GetSha256()}
}

func toLaunchResult(r providers.LaunchResult) *proto.LaunchResult {
	return &proto.LaunchResult{
		Instances: each(r.Instances, toInstance),
		Failures:  each(r.Failures, toFailure),
	}
}

func fromLaunchResult(r *proto.LaunchResult) providers.LaunchResult {
	return providers.LaunchResult{
		Instances: each(r.GetInstances(), fromInstance),
		Failures:  each(r.GetFailures(), fromFailure),
	}
}

func toFailure(f providers.Failure) *proto.Failure {
	return &proto.Failure{Pool: toPool(f.Pool), Code: string(f.Code), Message: words(f.Message)}
}

func fromFailure(f *proto.Failure) providers.Failure {
	return providers.Failure{
		Pool:    fromPool(f.GetPool()),
		Code:    providers.Code(f.GetCode()),
		Message: f.GetMessage(),
	}
}

func toInstance(i providers.Instance) *proto.Instance {
	return &proto.Instance{
		Id:        i.ID,
		Offer:     toOffer(i.Offer),
		State:     string(i.State),
		Tags:      i.Tags,
		Launched:  toTime(i.Launched),
		Where:     words(i.Where),
		Isolation: words(i.Isolation),
	}
}

func fromInstance(i *proto.Instance) providers.Instance {
	return providers.Instance{
		ID:        i.GetId(),
		Offer:     fromOffer(i.GetOffer()),
		State:     providers.InstanceState(i.GetState()),
		Tags:      i.GetTags(),
		Launched:  fromTime(i.GetLaunched()),
		Where:     i.GetWhere(),
		Isolation: i.GetIsolation(),
	}
}

func toEvidence(e providers.Evidence) *proto.Evidence {
	return &proto.Evidence{
		Id:      e.ID,
		Cause:   string(e.Cause),
		State:   string(e.State),
		Code:    words(e.Code),
		Message: words(e.Message),
		At:      toTime(e.At),
	}
}

func fromEvidence(e *proto.Evidence) providers.Evidence {
	return providers.Evidence{
		ID:      e.GetId(),
		Cause:   providers.EndCause(e.GetCause()),
		State:   providers.InstanceState(e.GetState()),
		Code:    e.GetCode(),
		Message: e.GetMessage(),
		At:      fromTime(e.GetAt()),
	}
}
