package gcsbucket

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"net/http"

	"cloud.google.com/go/storage"
	"golang.org/x/oauth2"
	"google.golang.org/api/googleapi"

	"github.com/spotrelay/spotrelay/checkpointing/bucket"
)

const (
	hintCredentials = "give credentials by `gcloud auth application-default login`, GOOGLE_APPLICATION_CREDENTIALS, or the VM's service account"
	hintDenied      = "the identity needs the role Storage Object User (roles/storage.objectUser) on the bucket, and a VM the access scope devstorage.read_write or cloud-platform"
	hintBusy        = "the store asks for fewer requests, and takes one write a second of one object; this passes"
	hintCA          = "name the file with the store's CA certificate in SSL_CERT_FILE"
)

// verdict is what an answer of the store means.
type verdict struct {
	code bucket.Code
	hint string
}

// fail makes the error of an operation from that of the library.
func (s *store) fail(op, key string, err error) error {
	var already *bucket.Error
	if errors.As(err, &already) {
		return err
	}
	e := &bucket.Error{Code: bucket.CodeUnavailable, Op: op, Key: key, Err: err}
	var answered *googleapi.Error
	var v verdict
	switch {
	case errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded):
		return e
	case errors.As(err, &answered):
		v = s.judge(op, answered, err)
		e.Err = newAnswer(answered, err)
	default:
		v = judgeTransport(err)
	}
	e.Code, e.Hint = v.code, v.hint
	return e
}

// judge is what an answer means.
func (s *store) judge(op string, answered *googleapi.Error, err error) verdict {
	switch code := answered.Code; {
	case code == http.StatusNotFound && (op == "put" || errors.Is(err, storage.ErrBucketNotExist)):
		return verdict{bucket.CodeNotFound, "there is no bucket " + s.settings.name + ": create it, or check its name"}
	case code == http.StatusNotFound:
		return verdict{bucket.CodeNotFound, ""}
	case code == http.StatusPreconditionFailed:
		return verdict{bucket.CodeConflict, ""}
	case code == http.StatusUnauthorized:
		return verdict{bucket.CodeDenied, hintCredentials}
	case code == http.StatusForbidden && reason(answered) == "rateLimitExceeded", code == http.StatusForbidden && reason(answered) == "userRateLimitExceeded":
		return verdict{bucket.CodeUnavailable, hintBusy}
	case code == http.StatusForbidden && reason(answered) == "quotaExceeded":
		return verdict{bucket.CodeFull, "raise the project's quota"}
	case code == http.StatusForbidden:
		return verdict{bucket.CodeDenied, hintDenied}
	case code == http.StatusTooManyRequests:
		return verdict{bucket.CodeUnavailable, hintBusy}
	case code == http.StatusNotImplemented:
		return verdict{bucket.CodeUnsupported, "the store does not know preconditions, which spotrelay stands on"}
	case code == http.StatusRequestTimeout, code == http.StatusConflict, code >= 500:
		return verdict{bucket.CodeUnavailable, ""}
	}
	return verdict{bucket.CodeInvalid, ""}
}

// reason is Google's own word for an error, or "". The library leaves it in the
// body of the answer to a download.
func reason(answered *googleapi.Error) string {
	if len(answered.Errors) > 0 {
		return answered.Errors[0].Reason
	}
	var body struct {
		Error struct {
			Errors []struct{ Reason string }
		}
	}
	if err := json.Unmarshal([]byte(answered.Body), &body); err != nil || len(body.Error.Errors) == 0 {
		return ""
	}
	return body.Error.Errors[0].Reason
}

// judgeTransport is what it means that there was no answer.
func judgeTransport(err error) verdict {
	var (
		noCredentials *credentialsError
		refused       *oauth2.RetrieveError
		unknownCA     x509.UnknownAuthorityError
		wrongName     x509.HostnameError
		dns           *net.DNSError
	)
	switch {
	case errors.Is(err, storage.ErrBucketNotExist), errors.Is(err, storage.ErrObjectNotExist):
		return verdict{bucket.CodeNotFound, ""}
	case errors.As(err, &noCredentials):
		return verdict{bucket.CodeDenied, hintCredentials}
	case errors.As(err, &refused):
		if refused.Response != nil && refused.Response.StatusCode < 500 && refused.Response.StatusCode != http.StatusTooManyRequests {
			return verdict{bucket.CodeDenied, "the credentials were refused: " + hintCredentials}
		}
		return verdict{bucket.CodeUnavailable, "the source of the credentials does not answer"}
	case errors.As(err, &unknownCA):
		return verdict{bucket.CodeInvalid, hintCA}
	case errors.As(err, &wrongName):
		return verdict{bucket.CodeInvalid, "the store's certificate is for another name: check endpoint="}
	case errors.Is(err, http.ErrSchemeMismatch):
		return verdict{bucket.CodeInvalid, "the endpoint speaks plain HTTP: write endpoint=http://..."}
	case errors.As(err, &dns) && dns.IsNotFound:
		return verdict{bucket.CodeUnavailable, "there is no host " + dns.Name + ": check endpoint= and the network"}
	}
	return verdict{bucket.CodeUnavailable, ""}
}

// status is the HTTP status of the answer that err is made from, or 0.
func status(err error) int {
	var answered *googleapi.Error
	if errors.As(err, &answered) {
		return answered.Code
	}
	return 0
}

// answer is an error of the store in fewer words than the library's.
type answer struct {
	status          int
	reason, message string
	err             error
}

func newAnswer(answered *googleapi.Error, err error) *answer {
	return &answer{status: answered.Code, reason: reason(answered), message: answered.Message, err: err}
}

func (a *answer) Error() string {
	text := fmt.Sprintf("the store answered %d %s", a.status, http.StatusText(a.status))
	if a.message != "" {
		text += ": " + a.message
	}
	if a.reason != "" {
		text += " (" + a.reason + ")"
	}
	return text
}

func (a *answer) Unwrap() error { return a.err }
