package ec2test

import (
	"fmt"
	"net/http"
)

// apiError is a refusal.
type apiError struct {
	Status  int // 0: by the code
	Code    string
	Message string
	// violation: the request could never be meant.
	violation bool
}

func (e *apiError) Error() string { return e.Code + ": " + e.Message }

// statusOf codes that are not 400 (EC2 API Reference, "Error codes").
var statusOf = map[string]int{
	"InsufficientInstanceCapacity":      http.StatusInternalServerError,
	"InsufficientCapacity":              http.StatusInternalServerError,
	"InsufficientHostCapacity":          http.StatusInternalServerError,
	"InsufficientFreeAddressesInSubnet": http.StatusBadRequest,
	"InternalError":                     http.StatusInternalServerError,
	"InternalFailure":                   http.StatusInternalServerError,
	"Unavailable":                       http.StatusServiceUnavailable,
	"ServiceUnavailable":                http.StatusServiceUnavailable,
	"RequestLimitExceeded":              http.StatusServiceUnavailable,
	"UnauthorizedOperation":             http.StatusForbidden,
	"AccessDenied":                      http.StatusForbidden,
	"AuthFailure":                       http.StatusUnauthorized,
	"MissingAuthenticationToken":        http.StatusForbidden,
	"SignatureDoesNotMatch":             http.StatusForbidden,
	"InvalidClientTokenId":              http.StatusForbidden,
	"DryRunOperation":                   http.StatusPreconditionFailed,
}

func (e *apiError) status() int {
	if e.Status != 0 {
		return e.Status
	}
	if status, ok := statusOf[e.Code]; ok {
		return status
	}
	return http.StatusBadRequest
}

// refuse is an error that the state of things gives.
func refuse(code, format string, args ...any) *apiError {
	return &apiError{Code: code, Message: fmt.Sprintf(format, args...)}
}

// violate is an error that only a wrong request gives.
func violate(code, format string, args ...any) *apiError {
	e := refuse(code, format, args...)
	e.violation = true
	return e
}
