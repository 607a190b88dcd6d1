package aws

import (
	"context"
	"net/http"
	"sync"
	"time"

	"github.com/aws/smithy-go/middleware"
	smithyhttp "github.com/aws/smithy-go/transport/http"
)

// clock knows how far this machine's clock is ahead of AWS's, by the Date of
// its answers, refusals among them.
type clock struct {
	mu    sync.Mutex
	ahead time.Duration
	known bool
}

// offset is how far this machine is ahead; false before the first answer.
func (c *clock) offset() (time.Duration, bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.ahead, c.known
}

func (c *clock) heard(date string) {
	told, err := http.ParseTime(date)
	if err != nil {
		return
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.ahead, c.known = time.Since(told), true
}

// listen has a client's answers heard.
func (c *clock) listen(stack *middleware.Stack) error {
	return stack.Deserialize.Add(middleware.DeserializeMiddlewareFunc("spotrelay:clock",
		func(ctx context.Context, in middleware.DeserializeInput, next middleware.DeserializeHandler) (middleware.DeserializeOutput, middleware.Metadata, error) {
			out, metadata, err := next.HandleDeserialize(ctx, in)
			if response, ok := out.RawResponse.(*smithyhttp.Response); ok && response.Response != nil {
				c.heard(response.Header.Get("Date"))
			}
			return out, metadata, err
		}), middleware.After)
}
