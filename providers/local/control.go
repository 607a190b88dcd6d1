//go:build linux || darwin

package local

import (
	"bytes"
	"context"
	"crypto/subtle"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"time"

	"github.com/spotrelay/spotrelay/providers"
)

// The control endpoint of a supervisor, for the provider in whatever process:
// POST with the bearer token of state.json. It answers 200 when it is done,
// 409 when the instance is ending, 400 for what makes no sense.
const (
	controlTerminate = "/terminate"
	controlPreempt   = "/preempt"

	// controlPatience is how long a supervisor may take for an answer before
	// it is held to be stuck.
	controlPatience = 10 * time.Second
)

// order is a request to the supervisor's loop.
type order struct {
	path   string
	Notice time.Duration `json:"notice"`
	answer chan orderAnswer
}

type orderAnswer struct {
	status int
	text   string
}

// controlHandler hands orders to the supervisor's loop.
func controlHandler(secret string, orders chan<- order, gone <-chan struct{}) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		given := []byte(r.Header.Get("Authorization"))
		if subtle.ConstantTimeCompare(given, []byte("Bearer "+secret)) != 1 {
			http.Error(w, "the bearer token is in the instance's folder", http.StatusUnauthorized)
			return
		}
		if r.Method != http.MethodPost || r.URL.Path != controlTerminate && r.URL.Path != controlPreempt {
			http.Error(w, "no such order", http.StatusNotFound)
			return
		}
		o := order{path: r.URL.Path, answer: make(chan orderAnswer, 1)}
		if err := json.NewDecoder(http.MaxBytesReader(w, r.Body, 1<<12)).Decode(&o); err != nil && !errors.Is(err, io.EOF) {
			http.Error(w, err.Error(), http.StatusBadRequest)
			return
		}
		select {
		case orders <- o:
		case <-gone:
			http.Error(w, "the instance has ended", http.StatusConflict)
			return
		}
		answer := <-o.answer
		w.WriteHeader(answer.status)
		_, _ = io.WriteString(w, answer.text)
	})
}

// errEnding says that the instance has ended or is about to.
var errEnding = errors.New("the instance is ending")

// send gives a supervisor an order and waits until it is carried out.
func (s state) send(ctx context.Context, o order, patience time.Duration) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	body, err := json.Marshal(o)
	if err != nil {
		return err
	}
	request, err := http.NewRequestWithContext(ctx, http.MethodPost, s.Control+o.path, bytes.NewReader(body))
	if err != nil {
		return err
	}
	request.Header.Set("Authorization", "Bearer "+s.Secret)
	response, err := controlClient.Do(request)
	if err != nil {
		return err
	}
	defer response.Body.Close()
	text, _ := io.ReadAll(io.LimitReader(response.Body, 1<<12))
	switch response.StatusCode {
	case http.StatusOK:
		return nil
	case http.StatusConflict:
		return errEnding
	case http.StatusBadRequest:
		return fault(o.path[1:], providers.CodeConfiguration, string(text), "")
	default:
		return fmt.Errorf("the supervisor answered %s: %s", response.Status, text)
	}
}

// controlClient keeps no connection, since a supervisor answers few orders,
// and knows no proxy.
var controlClient = &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
