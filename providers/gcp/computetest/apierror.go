package computetest

import (
	"fmt"
	"net/http"
)

// apiError is an error as Compute's HTTP answers carry it.
type apiError struct {
	status  int
	reason  string // "notFound"
	domain  string // "global", "usageLimits"
	message string
	broke   bool // the request broke a rule, which fails the test
}

func (e *apiError) body() object {
	domain := e.domain
	if domain == "" {
		domain = "global"
	}
	return object{"error": object{
		"code": e.status, "message": e.message,
		"errors": []object{{"message": e.message, "domain": domain, "reason": e.reason}},
	}}
}

// invalid is a value that breaks a rule.
func invalid(field, value, rule string) *apiError {
	return &apiError{
		status: http.StatusBadRequest, reason: "invalid", broke: true,
		message: fmt.Sprintf("Invalid value for field '%s': '%s'. %s", field, value, rule),
	}
}

func badRequest(format string, values ...any) *apiError {
	return &apiError{status: http.StatusBadRequest, reason: "badRequest", broke: true, message: fmt.Sprintf(format, values...)}
}

func notFound(resource string) *apiError {
	return &apiError{
		status: http.StatusNotFound, reason: "notFound",
		message: fmt.Sprintf("The resource '%s' was not found", resource),
	}
}

// missing is a resource that a request refers to and that is not there: the
// fault of a configuration, which a client may well have.
func missing(field, resource string) *apiError {
	return &apiError{
		status: http.StatusBadRequest, reason: "invalid",
		message: fmt.Sprintf("Invalid value for field '%s': '%s'. The referenced %s resource cannot be found.", field, resource, kindOfResource(field)),
	}
}

func kindOfResource(field string) string {
	name := lastPart(field)
	for i := len(name) - 1; i >= 0; i-- {
		if name[i] == '.' {
			return name[i+1:]
		}
	}
	return name
}

func exists(resource string) *apiError {
	return &apiError{
		status: http.StatusConflict, reason: "alreadyExists",
		message: fmt.Sprintf("The resource '%s' already exists", resource),
	}
}

func forbidden(permission, resource string) *apiError {
	return &apiError{
		status: http.StatusForbidden, reason: "forbidden",
		message: fmt.Sprintf("Required '%s' permission for '%s'", permission, resource),
	}
}
