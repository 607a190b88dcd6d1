package bridge

import (
	"reflect"
	"testing"

	pb "google.golang.org/protobuf/proto"

	"github.com/spotrelay/spotrelay/providers"
)

// Whatever bytes a plugin answers with, or is asked with, they end in an error
// of the wire's or in a value that keeps its content over another round trip.

func fuzzMessage[M pb.Message, V any](f *testing.F, seed V, to func(V) M, from func(M) V) {
	data, err := pb.Marshal(to(seed))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(data)
	f.Add([]byte{})
	message := reflect.TypeFor[M]().Elem()
	f.Fuzz(func(t *testing.T, data []byte) {
		read := reflect.New(message).Interface().(M)
		if pb.Unmarshal(data, read) != nil {
			return
		}
		value := from(read)
		wire, err := pb.Marshal(to(value))
		if err != nil {
			t.Fatalf("%+v cannot be sent on: %v", value, err)
		}
		again := reflect.New(message).Interface().(M)
		if err := pb.Unmarshal(wire, again); err != nil {
			t.Fatal(err)
		}
		back, err := pb.Marshal(to(from(again)))
		if err != nil || !pb.Equal(to(from(again)), to(value)) {
			t.Fatalf("%+v came back as %x (%v)", value, back, err)
		}
	})
}

func FuzzDescription(f *testing.F) {
	seed := providers.Description{
		Name: "x", Schema: providers.Schema{Attributes: []providers.Attribute{{Name: "a", Type: "string"}}, Blocks: []providers.Block{{Type: "b"}}},
		Notice: &providers.NoticeProbe{Token: &providers.TokenRequest{URL: "/token"}, Sources: []providers.NoticeSource{{URL: "/x", Absent: []int{404}}}},
	}
	fuzzMessage(f, seed, toDescription, fromDescription)
}

func FuzzLaunch(f *testing.F) {
	seed := providers.LaunchRequest{
		Token: "t", Offers: []providers.Offer{{Zone: "a", Price: 1}}, Count: 2, Tags: map[string]string{"k": "v"},
		Bootstrap: providers.Bootstrap{Agents: map[string]providers.AgentProgram{"linux-amd64": {Key: "k"}}},
	}
	fuzzMessage(f, seed, toLaunch, fromLaunch)
}

func FuzzLaunchResult(f *testing.F) {
	seed := providers.LaunchResult{Instances: []providers.Instance{{ID: "i", State: providers.StatePending}}, Failures: []providers.Failure{{Code: "capacity"}}}
	fuzzMessage(f, seed, toLaunchResult, fromLaunchResult)
}

func FuzzEvidence(f *testing.F) {
	fuzzMessage(f, providers.Evidence{ID: "i", Cause: providers.EndReclaimed, Message: "m"}, toEvidence, fromEvidence)
}

func FuzzFleet(f *testing.F) {
	fuzzMessage(f, providers.Fleet{Name: "f", Config: []byte(`{"a":1}`)}, toFleet, fromFleet)
}

func FuzzFault(f *testing.F) {
	fuzzMessage(f, providers.Fault{Summary: "s", Path: []string{"a"}}, toFault, fromFault)
}

func FuzzCheck(f *testing.F) {
	fuzzMessage(f, providers.Check{Name: "image", Result: providers.CheckFailed, Detail: "d", Advice: "a"}, toCheck, fromCheck)
}
