package bridge_test

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"reflect"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
	"google.golang.org/grpc"
	"google.golang.org/grpc/credentials/insecure"
	"google.golang.org/grpc/test/bufconn"
	"pgregory.net/rapid"

	"github.com/spotrelay/spotrelay/plugins/bridge"
	"github.com/spotrelay/spotrelay/providers"
)

// mirror answers each call with what the test put there, and keeps what it was
// given. Its fields are all that crosses the bridge.
type mirror struct {
	Asked  asked
	Answer answer
	err    error
}

type asked struct {
	Fleet   providers.Fleet
	Need    providers.Need
	Request providers.LaunchRequest
	Tags    map[string]string
	IDs     []string
	ID      string
	Notice  time.Duration
}

type answer struct {
	Description providers.Description
	Faults      []providers.Fault
	Offers      []providers.Offer
	Result      providers.LaunchResult
	Instances   []providers.Instance
	Evidence    []providers.Evidence
	Console     string
	Checks      []providers.Check
}

func (m *mirror) Describe(context.Context) (providers.Description, error) {
	return m.Answer.Description, m.err
}

func (m *mirror) Check(_ context.Context, fleet providers.Fleet) ([]providers.Fault, error) {
	m.Asked.Fleet = fleet
	return m.Answer.Faults, m.err
}

func (m *mirror) Offers(_ context.Context, fleet providers.Fleet, need providers.Need) ([]providers.Offer, error) {
	m.Asked.Fleet, m.Asked.Need = fleet, need
	return m.Answer.Offers, m.err
}

func (m *mirror) Launch(_ context.Context, fleet providers.Fleet, request providers.LaunchRequest) (providers.LaunchResult, error) {
	m.Asked.Fleet, m.Asked.Request = fleet, request
	return m.Answer.Result, m.err
}

func (m *mirror) List(_ context.Context, fleet providers.Fleet, tags map[string]string) ([]providers.Instance, error) {
	m.Asked.Fleet, m.Asked.Tags = fleet, tags
	return m.Answer.Instances, m.err
}

func (m *mirror) Terminate(_ context.Context, fleet providers.Fleet, ids []string) error {
	m.Asked.Fleet, m.Asked.IDs = fleet, ids
	return m.err
}

func (m *mirror) Evidence(_ context.Context, fleet providers.Fleet, ids []string) ([]providers.Evidence, error) {
	m.Asked.Fleet, m.Asked.IDs = fleet, ids
	return m.Answer.Evidence, m.err
}

func (m *mirror) Console(_ context.Context, fleet providers.Fleet, id string) (string, error) {
	m.Asked.Fleet, m.Asked.ID = fleet, id
	return m.Answer.Console, m.err
}

func (m *mirror) Preempt(_ context.Context, fleet providers.Fleet, id string, notice time.Duration) error {
	m.Asked.Fleet, m.Asked.ID, m.Asked.Notice = fleet, id, notice
	return m.err
}

func (m *mirror) Checks(_ context.Context, fleet providers.Fleet) ([]providers.Check, error) {
	m.Asked.Fleet = fleet
	return m.Answer.Checks, m.err
}

// connect puts a provider behind a bridge over a connection in memory.
func connect(t *testing.T, provider providers.Provider) *bridge.Client {
	t.Helper()
	listener := bufconn.Listen(1 << 20)
	server := grpc.NewServer(bridge.ServerOptions()...)
	bridge.Register(server, provider)
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(server.Stop)
	connection, err := grpc.NewClient("passthrough:memory",
		grpc.WithContextDialer(func(ctx context.Context, _ string) (net.Conn, error) { return listener.DialContext(ctx) }),
		grpc.WithTransportCredentials(insecure.NewCredentials()))
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = connection.Close() })
	return bridge.NewClient(connection)
}

// filler puts a value into every field that it can reach.
type filler struct {
	n    int
	draw *rapid.T // nil: distinct values, and every bool true
}

func (f *filler) next() int {
	f.n++
	return f.n
}

func (f *filler) text() string {
	if f.draw != nil {
		return rapid.String().Draw(f.draw, fmt.Sprint("text", f.next()))
	}
	return fmt.Sprint("text", f.next())
}

func (f *filler) number() int64 {
	if f.draw != nil {
		return rapid.Int64Range(-1<<40, 1<<40).Draw(f.draw, fmt.Sprint("number", f.next()))
	}
	return int64(f.next())
}

// fill fails on a kind of value that it does not know, so that no new field is
// passed over in silence.
func (f *filler) fill(v reflect.Value, depth int) {
	switch v.Interface().(type) {
	case json.RawMessage:
		v.SetBytes([]byte(fmt.Sprintf(`{"n":%d}`, f.next())))
		return
	case time.Time:
		v.Set(reflect.ValueOf(time.Unix(f.number(), int64(f.next())).UTC()))
		return
	}
	switch v.Kind() {
	case reflect.String:
		v.SetString(f.text())
	case reflect.Int, reflect.Int64:
		v.SetInt(f.number())
	case reflect.Float64:
		v.SetFloat(float64(f.number()) + 0.5)
	case reflect.Bool:
		v.SetBool(f.draw == nil || rapid.Bool().Draw(f.draw, fmt.Sprint("bool", f.next())))
	case reflect.Pointer:
		v.Set(reflect.New(v.Type().Elem()))
		f.fill(v.Elem(), depth)
	case reflect.Slice:
		if depth > 12 { // schemas nest
			return
		}
		v.Set(reflect.MakeSlice(v.Type(), 2, 2))
		for i := range v.Len() {
			f.fill(v.Index(i), depth+1)
		}
	case reflect.Map:
		v.Set(reflect.MakeMap(v.Type()))
		for range 2 {
			key, value := reflect.New(v.Type().Key()).Elem(), reflect.New(v.Type().Elem()).Elem()
			f.fill(key, depth+1)
			f.fill(value, depth+1)
			v.SetMapIndex(key, value)
		}
	case reflect.Struct:
		for i := range v.NumField() {
			f.fill(v.Field(i), depth+3)
		}
	default:
		panic("fill: a field of type " + v.Type().String())
	}
}

// call makes every call of a provider and gathers what came back.
func call(ctx context.Context, c *bridge.Client, a asked) (answer, error) {
	var got answer
	var errs [10]error
	got.Description, errs[0] = c.Describe(ctx)
	got.Faults, errs[1] = c.Check(ctx, a.Fleet)
	got.Offers, errs[2] = c.Offers(ctx, a.Fleet, a.Need)
	got.Result, errs[3] = c.Launch(ctx, a.Fleet, a.Request)
	got.Instances, errs[4] = c.List(ctx, a.Fleet, a.Tags)
	errs[5] = c.Terminate(ctx, a.Fleet, a.IDs)
	got.Evidence, errs[6] = c.Evidence(ctx, a.Fleet, a.IDs)
	got.Console, errs[7] = c.Console(ctx, a.Fleet, a.ID)
	errs[8] = c.Preempt(ctx, a.Fleet, a.ID, a.Notice)
	got.Checks, errs[9] = c.Checks(ctx, a.Fleet)
	return got, errors.Join(errs[:]...)
}

type fataler interface {
	Fatal(args ...any)
	Fatalf(format string, args ...any)
}

func roundTrip(t fataler, client *bridge.Client, m *mirror, f *filler) {
	var sent asked
	f.fill(reflect.ValueOf(&sent).Elem(), 0)
	f.fill(reflect.ValueOf(&m.Answer).Elem(), 0)
	m.Asked = asked{}
	got, err := call(context.Background(), client, sent)
	if err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(m.Answer, got, cmpopts.EquateEmpty()); diff != "" {
		t.Fatalf("lost on the way back (-sent +received):\n%s", diff)
	}
	if diff := cmp.Diff(sent, m.Asked, cmpopts.EquateEmpty()); diff != "" {
		t.Fatalf("lost on the way there (-sent +received):\n%s", diff)
	}
}

func TestEveryFieldCrosses(t *testing.T) {
	m := &mirror{}
	client := connect(t, m)
	t.Run("distinct", func(t *testing.T) { roundTrip(t, client, m, &filler{}) })
	t.Run("zero", func(t *testing.T) {
		m.Answer, m.Asked = answer{}, asked{}
		got, err := call(t.Context(), client, asked{})
		if err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(answer{}, got); diff != "" {
			t.Errorf("zero values do not stay zero (-sent +received):\n%s", diff)
		}
		if diff := cmp.Diff(asked{}, m.Asked); diff != "" {
			t.Errorf("zero values do not stay zero (-sent +received):\n%s", diff)
		}
	})
	t.Run("random", func(t *testing.T) {
		rapid.Check(t, func(t *rapid.T) { roundTrip(t, client, m, &filler{draw: t}) })
	})
}

func TestErrorsCrossWhole(t *testing.T) {
	m := &mirror{}
	client := connect(t, m)
	codes := []providers.Code{
		providers.CodeCapacity, providers.CodePrice, providers.CodeSubnet, providers.CodeQuota,
		providers.CodeUnsupported, providers.CodeThrottled, providers.CodeUnavailable, providers.CodeDenied,
		providers.CodeConfiguration, providers.CodeTokenMismatch, providers.CodeNotFound, providers.CodeNotOurs,
		"of-a-newer-version",
	}
	for _, code := range codes {
		var sent providers.Error
		(&filler{}).fill(reflect.ValueOf(&sent).Elem(), 0)
		sent.Code = code
		m.err = fmt.Errorf("wrapped: %w", &sent)
		_, err := client.Describe(t.Context())
		var got *providers.Error
		if !errors.As(err, &got) {
			t.Errorf("%s: %v is no *providers.Error", code, err)
			continue
		}
		if diff := cmp.Diff(sent, *got); diff != "" {
			t.Errorf("%s: (-sent +received):\n%s", code, diff)
		}
		if errors.Is(err, bridge.ErrConnection) {
			t.Errorf("%s: the plugin's own answer counts as a lost connection", code)
		}
	}
}

func TestPlainErrorIsUnavailable(t *testing.T) {
	client := connect(t, &mirror{err: errors.New("something odd \xff")})
	err := client.Terminate(t.Context(), providers.Fleet{}, nil)
	var e *providers.Error
	if !errors.As(err, &e) || e.Code != providers.CodeUnavailable || e.Op != "terminate" || e.Message != "something odd \uFFFD" {
		t.Errorf("%+v", e)
	}
}

func TestConsoleIsBytes(t *testing.T) {
	m := &mirror{Answer: answer{Console: "\x00\xff\xfe no UTF-8"}}
	got, err := connect(t, m).Console(t.Context(), providers.Fleet{}, "i")
	if err != nil || got != m.Answer.Console {
		t.Errorf("%q, %v", got, err)
	}
}

// plain has no optional interface.
type plain struct{ providers.Provider }

func TestMissingCapabilityIsUnsupported(t *testing.T) {
	client := connect(t, plain{&mirror{}})
	_, err := client.Console(t.Context(), providers.Fleet{}, "i")
	if providers.CodeOf(err) != providers.CodeUnsupported {
		t.Errorf("Console: %v", err)
	}
	err = client.Preempt(t.Context(), providers.Fleet{}, "i", 0)
	if providers.CodeOf(err) != providers.CodeUnsupported {
		t.Errorf("Preempt: %v", err)
	}
	_, err = client.Checks(t.Context(), providers.Fleet{})
	if providers.CodeOf(err) != providers.CodeUnsupported {
		t.Errorf("Checks: %v", err)
	}
}

// waiting answers List when its context ends.
type waiting struct {
	mirror
	entered chan struct{}
}

func (w *waiting) List(ctx context.Context, _ providers.Fleet, _ map[string]string) ([]providers.Instance, error) {
	w.entered <- struct{}{}
	<-ctx.Done()
	return nil, &providers.Error{Code: providers.CodeThrottled, Op: "list", Message: ctx.Err().Error()}
}

func TestTimeoutReachesThePlugin(t *testing.T) {
	w := &waiting{entered: make(chan struct{}, 1)}
	ctx := bridge.WithTimeout(t.Context(), 10*time.Millisecond)
	_, err := connect(t, w).List(ctx, providers.Fleet{}, nil)
	if providers.CodeOf(err) != providers.CodeThrottled {
		t.Errorf("the plugin's own words at the deadline did not arrive: %v", err)
	}
}

func TestCancellationReachesThePlugin(t *testing.T) {
	w := &waiting{entered: make(chan struct{}, 1)}
	client := connect(t, w)
	ctx, cancel := context.WithCancel(t.Context())
	go func() {
		<-w.entered
		cancel()
	}()
	_, err := client.List(ctx, providers.Fleet{}, nil)
	if !errors.Is(err, context.Canceled) || providers.CodeOf(err) != providers.CodeUnavailable {
		t.Errorf("%v", err)
	}
}
