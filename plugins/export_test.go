package plugins

// For the plugin from another time in the tests.
const (
	CookieKey   = cookieKey
	CookieValue = cookieValue
)
