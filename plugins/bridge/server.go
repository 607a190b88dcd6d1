package bridge

import (
	"context"

	"google.golang.org/grpc"

	"github.com/spotrelay/spotrelay/plugins/proto"
	"github.com/spotrelay/spotrelay/providers"
)

// Register offers a provider on a gRPC server made with ServerOptions. The
// optional interfaces providers.Console, Preempter and Checker are offered when
// it implements them.
func Register(registrar grpc.ServiceRegistrar, provider providers.Provider) {
	proto.RegisterProviderServer(registrar, &server{provider: provider})
}

type server struct {
	proto.UnimplementedProviderServer
	provider providers.Provider
}

func (s *server) Describe(ctx context.Context, _ *proto.DescribeRequest) (*proto.DescribeResponse, error) {
	description, err := s.provider.Describe(ctx)
	if err != nil {
		return nil, toStatus("describe", err)
	}
	return &proto.DescribeResponse{Description: toDescription(description)}, nil
}

func (s *server) Check(ctx context.Context, request *proto.CheckRequest) (*proto.CheckResponse, error) {
	faults, err := s.provider.Check(ctx, fromFleet(request.GetFleet()))
	if err != nil {
		return nil, toStatus("check", err)
	}
	return &proto.CheckResponse{Faults: each(faults, toFault)}, nil
}

func (s *server) Offers(ctx context.Context, request *proto.OffersRequest) (*proto.OffersResponse, error) {
	offers, err := s.provider.Offers(ctx, fromFleet(request.GetFleet()), fromNeed(request.GetNeed()))
	if err != nil {
		return nil, toStatus("offers", err)
	}
	return &proto.OffersResponse{Offers: each(offers, toOffer)}, nil
}

func (s *server) Launch(ctx context.Context, request *proto.LaunchRequest) (*proto.LaunchResponse, error) {
	result, err := s.provider.Launch(ctx, fromFleet(request.GetFleet()), fromLaunch(request.GetLaunch()))
	if err != nil {
		return nil, toStatus("launch", err)
	}
	return &proto.LaunchResponse{Result: toLaunchResult(result)}, nil
}

func (s *server) List(ctx context.Context, request *proto.ListRequest) (*proto.ListResponse, error) {
	instances, err := s.provider.List(ctx, fromFleet(request.GetFleet()), request.GetTags())
	if err != nil {
		return nil, toStatus("list", err)
	}
	return &proto.ListResponse{Instances: each(instances, toInstance)}, nil
}

func (s *server) Terminate(ctx context.Context, request *proto.TerminateRequest) (*proto.TerminateResponse, error) {
	if err := s.provider.Terminate(ctx, fromFleet(request.GetFleet()), request.GetIds()); err != nil {
		return nil, toStatus("terminate", err)
	}
	return &proto.TerminateResponse{}, nil
}

func (s *server) Evidence(ctx context.Context, request *proto.EvidenceRequest) (*proto.EvidenceResponse, error) {
	evidence, err := s.provider.Evidence(ctx, fromFleet(request.GetFleet()), request.GetIds())
	if err != nil {
		return nil, toStatus("evidence", err)
	}
	return &proto.EvidenceResponse{Evidence: each(evidence, toEvidence)}, nil
}

func (s *server) Console(ctx context.Context, request *proto.ConsoleRequest) (*proto.ConsoleResponse, error) {
	console, ok := s.provider.(providers.Console)
	if !ok {
		return nil, toStatus("console", unsupported("console", providers.CapabilityConsole))
	}
	output, err := console.Console(ctx, fromFleet(request.GetFleet()), request.GetId())
	if err != nil {
		return nil, toStatus("console", err)
	}
	return &proto.ConsoleResponse{Output: []byte(output)}, nil
}

func (s *server) Preempt(ctx context.Context, request *proto.PreemptRequest) (*proto.PreemptResponse, error) {
	preempter, ok := s.provider.(providers.Preempter)
	if !ok {
		return nil, toStatus("preempt", unsupported("preempt", providers.CapabilityPreempt))
	}
	notice := fromDuration(request.GetNotice())
	if err := preempter.Preempt(ctx, fromFleet(request.GetFleet()), request.GetId(), notice); err != nil {
		return nil, toStatus("preempt", err)
	}
	return &proto.PreemptResponse{}, nil
}

func (s *server) Checks(ctx context.Context, request *proto.ChecksRequest) (*proto.ChecksResponse, error) {
	checker, ok := s.provider.(providers.Checker)
	if !ok {
		return nil, toStatus("checks", unsupported("checks", providers.CapabilityChecks))
	}
	checks, err := checker.Checks(ctx, fromFleet(request.GetFleet()))
	if err != nil {
		return nil, toStatus("checks", err)
	}
	return &proto.ChecksResponse{Checks: each(checks, toCheck)}, nil
}
