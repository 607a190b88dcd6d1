package ec2test

import (
	"crypto/hmac"
	"crypto/sha256"
	"encoding/hex"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/aws/aws-sdk-go-v2/aws"
	v4 "github.com/aws/aws-sdk-go-v2/aws/signer/v4"
)

// The one identity that the server knows.
const (
	AccessKey = "AKIAIOSFODNN7EXAMPLE"
	SecretKey = "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
	Account   = "123456789012"
)

// signedAs checks the request's signature (SigV4) and gives the service that it
// was signed for.
func (s *Server) signedAs(r *http.Request, body []byte) (string, *apiError) {
	scheme, rest, _ := strings.Cut(r.Header.Get("Authorization"), " ")
	if scheme != "AWS4-HMAC-SHA256" {
		return "", violate("MissingAuthenticationToken", "Request is missing Authentication Token")
	}
	fields := map[string]string{}
	for field := range strings.SplitSeq(rest, ",") {
		name, value, _ := strings.Cut(strings.TrimSpace(field), "=")
		fields[name] = value
	}
	scope := strings.Split(fields["Credential"], "/")
	if len(scope) != 5 || scope[4] != "aws4_request" {
		return "", violate("IncompleteSignature", "'%s' is no credential scope", fields["Credential"])
	}
	key, region, service := scope[0], scope[2], scope[3]
	if key != AccessKey {
		return service, refuse("AuthFailure", "AWS was not able to validate the provided access credentials")
	}
	if want := s.signingRegion(service); region != want {
		return service, violate("SignatureDoesNotMatch", "Credential should be scoped to the region %s, not %s", want, region)
	}
	at, err := time.Parse("20060102T150405Z", r.Header.Get("X-Amz-Date"))
	if err != nil {
		return service, violate("IncompleteSignature", "X-Amz-Date is '%s'", r.Header.Get("X-Amz-Date"))
	}
	if age := time.Since(at).Abs(); age > 15*time.Minute {
		return service, refuse("RequestExpired", "Request has expired")
	}
	again := r.Clone(r.Context())
	again.Header = http.Header{}
	names := strings.Split(fields["SignedHeaders"], ";")
	for _, name := range names {
		again.Header[http.CanonicalHeaderKey(name)] = r.Header.Values(name)
	}
	again.URL.Host, again.URL.Scheme = r.Host, "http"
	again.Header.Del("Host")
	if !slices.Contains(names, "content-length") {
		again.ContentLength = 0
	}
	again.Header.Del("Content-Length") // the signer takes it from the request
	hash := sha256.Sum256(body)
	credentials := aws.Credentials{AccessKeyID: AccessKey, SecretAccessKey: SecretKey, SessionToken: r.Header.Get("X-Amz-Security-Token")}
	if err := v4.NewSigner().SignHTTP(r.Context(), credentials, again, hex.EncodeToString(hash[:]), service, region, at); err != nil {
		return service, violate("IncompleteSignature", "%v", err)
	}
	if !hmac.Equal([]byte(again.Header.Get("Authorization")), []byte(r.Header.Get("Authorization"))) {
		return service, violate("SignatureDoesNotMatch", "The request signature we calculated does not match the signature you provided")
	}
	return service, nil
}

// signingRegion is where a service is; the price list is in a few regions only.
func (s *Server) signingRegion(service string) string {
	if service == "pricing" {
		return "us-east-1"
	}
	return s.options.Region
}
