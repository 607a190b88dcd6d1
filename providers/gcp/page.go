package gcp

import (
	"context"
	"errors"

	"google.golang.org/api/iterator"

	"github.com/spotrelay/spotrelay/providers"
)

// pages asks for one page after the other, each as a call of its own within the
// rate and tried again by itself. next asks for the page at token, nil for the
// first one, and returns the next token.
func (c *cloud) pages(ctx context.Context, op, call string, group api, next func(context.Context, *string) (string, error)) error {
	var token *string
	for {
		var following string
		err := c.ask(ctx, op, call, group, func(ctx context.Context) (err error) {
			following, err = next(ctx, token)
			return err
		})
		if err != nil || following == "" {
			return err
		}
		token = &following
	}
}

// first makes one request of an iterator, whose Response then holds the page.
func first[T any](_ T, err error) error {
	if errors.Is(err, iterator.Done) {
		return nil
	}
	return err
}

func asProviders(err error, target **providers.Error) bool { return errors.As(err, target) }

func ptr[T any](v T) *T { return &v }
