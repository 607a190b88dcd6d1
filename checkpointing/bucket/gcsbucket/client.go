package gcsbucket

import (
	"context"
	"errors"
	"net/http"
	"time"

	"cloud.google.com/go/storage"
	"github.com/googleapis/gax-go/v2"
	"google.golang.org/api/option"
	apitransport "google.golang.org/api/transport/http"

	"github.com/spotrelay/spotrelay/checkpointing/bucket/internal/transport"
)

const (
	tries      = 3
	firstPause = 200 * time.Millisecond
	maxPause   = 2 * time.Second
)

// newClient makes the client by the default credentials (environment, gcloud,
// the VM's service account, workload identity federation).
func newClient(ctx context.Context, s settings) (*storage.Client, *http.Transport, error) {
	plain, ok := http.DefaultTransport.(*http.Transport)
	if !ok {
		return nil, nil, errors.New("this program has replaced http.DefaultTransport")
	}
	tuned := plain.Clone()
	transport.Tune(tuned)
	auth := []option.ClientOption{option.WithScopes(storage.ScopeReadWrite), option.WithTelemetryDisabled()}
	if s.anonymous {
		auth = append(auth, option.WithoutAuthentication())
	}
	authorized, err := apitransport.NewTransport(ctx, tuned, auth...)
	if err != nil {
		return nil, nil, &credentialsError{err}
	}
	options := []option.ClientOption{option.WithHTTPClient(&http.Client{Transport: authorized}), storage.WithJSONReads(), option.WithTelemetryDisabled()}
	if s.endpoint != "" {
		options = append(options, option.WithEndpoint(s.endpoint+"/storage/v1/"))
	}
	client, err := storage.NewClient(ctx, options...)
	if err != nil {
		return nil, nil, err
	}
	client.SetRetry(
		storage.WithMaxAttempts(tries),
		storage.WithBackoff(gax.Backoff{Initial: firstPause, Max: maxPause, Multiplier: 2}),
	)
	return client, tuned, nil
}

// credentialsError: there are no default credentials.
type credentialsError struct{ err error }

func (e *credentialsError) Error() string { return e.err.Error() }
func (e *credentialsError) Unwrap() error { return e.err }
