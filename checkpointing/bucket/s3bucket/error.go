package s3bucket

import (
	"context"
	"crypto/x509"
	"errors"
	"fmt"
	"net"
	"net/http"

	awshttp "github.com/aws/aws-sdk-go-v2/aws/transport/http"
	"github.com/aws/smithy-go"
	smithyhttp "github.com/aws/smithy-go/transport/http"

	"github.com/spotrelay/spotrelay/checkpointing/bucket"
)

// regionHeader is where S3 names the region of a bucket, also when it refuses.
const regionHeader = "X-Amz-Bucket-Region"

const noSuchBucket = "NoSuchBucket"

// directoryConflict is the answer of versitygw when a put meets the removal of
// an empty directory; nothing was written.
const directoryConflict = "ExistingObjectIsDirectory"

const (
	hintCredentials = "give credentials by the environment (AWS_PROFILE, or AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY), `aws sso login`, or the instance's role"
	hintRenew       = "the credentials have expired: renew them, for example by `aws sso login`, or use a role, which renews them by itself"
	hintKeys        = "check AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY or the profile in AWS_PROFILE, and that they belong to this store"
	hintClock       = "the clock is off: this machine's differs from the store's by more than it accepts; set it, for example by chronyd"
	hintDenied      = "the identity needs s3:GetObject, s3:PutObject and s3:DeleteObject on the prefix and s3:ListBucket on the bucket; without the last one S3 refuses reads of objects that do not exist"
	hintConditional = "the store does not know conditional writes (If-None-Match, If-Match), which spotrelay stands on: use another one, or a version that knows them"
	hintBusy        = "the store asks for fewer requests; this passes"
	hintCA          = "name the file with the store's CA certificate in AWS_CA_BUNDLE or SSL_CERT_FILE"
)

// verdict is what an answer of the store means.
type verdict struct {
	code bucket.Code
	hint string
}

// verdicts are by S3's error codes, those of its page "Error responses" and of
// stores that speak its protocol.
var verdicts = map[string]verdict{
	"NoSuchKey":          {bucket.CodeNotFound, ""},
	"NotFound":           {bucket.CodeNotFound, ""}, // HEAD, which has no body
	"NoSuchVersion":      {bucket.CodeNotFound, ""},
	"PreconditionFailed": {bucket.CodeConflict, ""},
	"AccessDenied":       {bucket.CodeDenied, hintDenied},
	"Forbidden":          {bucket.CodeDenied, hintDenied}, // HEAD
	"AllAccessDisabled":  {bucket.CodeDenied, "the account's access is disabled: ask AWS support"},
	"AccountProblem":     {bucket.CodeDenied, "there is a problem with the account: ask AWS support"},
	"InvalidAccessKeyId": {bucket.CodeDenied, hintKeys},
	"InvalidAccessKey":   {bucket.CodeDenied, hintKeys},
	"XAdminUserNotFound": {bucket.CodeDenied, hintKeys}, // versitygw, with 404
	"SignatureDoesNotMatch": {bucket.CodeDenied,
		hintKeys + "; a proxy that changes the Host header has the same effect"},
	"InvalidToken":              {bucket.CodeDenied, hintRenew},
	"ExpiredToken":              {bucket.CodeDenied, hintRenew},
	"ExpiredTokenException":     {bucket.CodeDenied, hintRenew},
	"TokenRefreshRequired":      {bucket.CodeDenied, hintRenew},
	"RequestExpired":            {bucket.CodeDenied, hintClock},
	"RequestTimeTooSkewed":      {bucket.CodeDenied, hintClock},
	"InvalidBucketName":         {bucket.CodeInvalid, "a bucket's name has 3 to 63 of a-z, 0-9, dots and hyphens"},
	"KeyTooLongError":           {bucket.CodeInvalid, "a key with its prefix has at most 1024 bytes"},
	"EntityTooLarge":            {bucket.CodeInvalid, "an object written by one PUT has at most 5 GiB"},
	"NotImplemented":            {bucket.CodeUnsupported, hintConditional},
	"QuotaExceeded":             {bucket.CodeFull, "raise the quota of the bucket or free some room in it"},
	"XMinioStorageFull":         {bucket.CodeFull, "free some room on the store's disks"},
	"XMinioAdminBucketQuota":    {bucket.CodeFull, "raise the quota of the bucket or free some room in it"},
	"InsufficientStorage":       {bucket.CodeFull, "free some room on the store's disks"},
	"SlowDown":                  {bucket.CodeUnavailable, hintBusy},
	"ServiceUnavailable":        {bucket.CodeUnavailable, hintBusy},
	"RequestTimeout":            {bucket.CodeUnavailable, ""},
	directoryConflict:           {bucket.CodeUnavailable, "a store on a file system cannot hold an object and the prefix of others under one name, nor write below a directory that it is about to remove"},
	"OperationAborted":          {bucket.CodeUnavailable, ""},
	"BadDigest":                 {bucket.CodeUnavailable, "the object was damaged on the way; a repetition helps unless the network or memory is bad"},
	"XAmzContentSHA256Mismatch": {bucket.CodeUnavailable, "the object was damaged on the way; a repetition helps unless the network or memory is bad"},
}

// fail makes the error of an operation from that of the SDK.
func (s *store) fail(op, key string, err error) error {
	var already *bucket.Error
	if errors.As(err, &already) {
		return err
	}
	e := &bucket.Error{Code: bucket.CodeUnavailable, Op: op, Key: key, Err: err}
	var api smithy.APIError
	switch {
	case errors.Is(err, context.Canceled) || errors.Is(err, context.DeadlineExceeded):
	case errors.As(err, &api):
		v := s.judge(api, err)
		e.Code, e.Hint, e.Err = v.code, v.hint, newAnswer(api, err)
	default:
		v := s.judgeTransport(err)
		e.Code, e.Hint = v.code, v.hint
	}
	return e
}

// failPut knows what the answers to a conditional write mean.
func (s *store) failPut(key string, cond bucket.Condition, err error) error {
	failure := s.fail("put", key, err)
	var e *bucket.Error
	if !errors.As(failure, &e) || cond == (bucket.Condition{}) {
		return failure
	}
	switch status(err) {
	case http.StatusPreconditionFailed:
		e.Code, e.Hint = bucket.CodeConflict, ""
	case http.StatusConflict: // another conditional write was under way
		if codeOf(err) != directoryConflict {
			e.Code, e.Hint = bucket.CodeConflict, ""
		}
	case http.StatusNotFound: // If-Match of an object that is not there
		if e.Code == bucket.CodeNotFound && codeOf(err) != noSuchBucket {
			e.Code = bucket.CodeConflict
		}
	}
	return failure
}

// judge is what an answer means.
func (s *store) judge(api smithy.APIError, err error) verdict {
	code := status(err)
	switch {
	case api.ErrorCode() == noSuchBucket:
		return verdict{bucket.CodeNotFound, "there is no bucket " + s.settings.name + ": create it, or check its name and that the credentials are those of its account"}
	case code == http.StatusMovedPermanently, code == http.StatusTemporaryRedirect, api.ErrorCode() == "AuthorizationHeaderMalformed",
		api.ErrorCode() == "IllegalLocationConstraintException":
		return verdict{bucket.CodeInvalid, s.regionHint(err)}
	}
	if v, known := verdicts[api.ErrorCode()]; known {
		return v
	}
	switch {
	case code == http.StatusNotFound: // not S3's word for an object that is not there
		return verdict{bucket.CodeInvalid, "check endpoint= and path_style=: something else than an S3 store may have answered"}
	case code == http.StatusPreconditionFailed:
		return verdict{bucket.CodeConflict, ""}
	case code == http.StatusUnauthorized, code == http.StatusForbidden:
		return verdict{bucket.CodeDenied, hintDenied}
	case code == http.StatusNotImplemented:
		return verdict{bucket.CodeUnsupported, hintConditional}
	case code == http.StatusInsufficientStorage:
		return verdict{bucket.CodeFull, "free some room on the store's disks"}
	case code == http.StatusRequestTimeout, code == http.StatusConflict, code == http.StatusTooManyRequests, code >= 500, code == 0:
		return verdict{bucket.CodeUnavailable, ""}
	}
	return verdict{bucket.CodeInvalid, ""}
}

// regionHint says in which region the bucket is, when the answer does.
func (s *store) regionHint(err error) string {
	var answer *smithyhttp.ResponseError
	if errors.As(err, &answer) && answer.Response != nil {
		if right := answer.Response.Header.Get(regionHeader); right != "" {
			return fmt.Sprintf("bucket %s is in region %s, not %s: write s3://%s?region=%s", s.settings.name, right, s.settings.region, s.settings.name, right)
		}
	}
	return fmt.Sprintf("bucket %s is not in region %s: name its own by ?region=", s.settings.name, s.settings.region)
}

// judgeTransport is what it means that there was no answer.
func (s *store) judgeTransport(err error) verdict {
	var (
		noCredentials *credentialsError
		badConfig     *configError
		noRegion      *regionError
		unknownCA     x509.UnknownAuthorityError
		wrongName     x509.HostnameError
		dns           *net.DNSError
	)
	switch {
	case errors.As(err, &noCredentials):
		if noCredentials.had {
			return verdict{bucket.CodeUnavailable, "there were credentials before: their source does not answer"}
		}
		return verdict{bucket.CodeDenied, hintCredentials}
	case errors.As(err, &badConfig):
		return verdict{bucket.CodeInvalid, "check AWS_PROFILE, AWS_CA_BUNDLE and the files in ~/.aws"}
	case errors.As(err, &noRegion):
		if noRegion.err == nil {
			return verdict{bucket.CodeNotFound, "check the name; for a store other than Amazon's add ?endpoint="}
		}
		return verdict{bucket.CodeUnavailable, "name the region by ?region= or AWS_REGION"}
	case errors.As(err, &unknownCA):
		return verdict{bucket.CodeInvalid, hintCA}
	case errors.As(err, &wrongName):
		return verdict{bucket.CodeInvalid, "the store's certificate is for another name: check endpoint="}
	case errors.Is(err, http.ErrSchemeMismatch):
		return verdict{bucket.CodeInvalid, "the endpoint speaks plain HTTP: write endpoint=http://..."}
	case errors.As(err, &dns) && dns.IsNotFound:
		return verdict{bucket.CodeUnavailable, "there is no host " + dns.Name + ": check region= and endpoint=, and the network"}
	}
	return verdict{bucket.CodeUnavailable, ""}
}

// status is the HTTP status of the answer that err is made from, or 0.
func status(err error) int {
	var answer *smithyhttp.ResponseError
	if errors.As(err, &answer) && answer.Response != nil && answer.Response.Response != nil {
		return answer.Response.StatusCode
	}
	return 0
}

// codeOf is the store's own word for an error, or "".
func codeOf(err error) string {
	var api smithy.APIError
	if errors.As(err, &api) {
		return api.ErrorCode()
	}
	return ""
}

// answer is an error of the store in fewer words than the SDK's.
type answer struct {
	code, message string
	status        int
	request       string // for AWS's support
	err           error
}

func newAnswer(api smithy.APIError, err error) *answer {
	a := &answer{code: api.ErrorCode(), message: api.ErrorMessage(), status: status(err), err: err}
	var response *awshttp.ResponseError
	if errors.As(err, &response) {
		a.request = response.ServiceRequestID()
	}
	return a
}

func (a *answer) Error() string {
	text := fmt.Sprintf("the store answered %d %s", a.status, a.code)
	if a.message != "" && a.message != a.code {
		text += ": " + a.message
	}
	if a.request != "" {
		text += ", request " + a.request
	}
	return text
}

func (a *answer) Unwrap() error { return a.err }
