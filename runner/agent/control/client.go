package control

import (
	"bufio"
	"context"
	"encoding/json"
	"iter"

	"github.com/spotrelay/spotrelay/checkpointing/task/socket"
)

// Call asks the agent at the socket and waits for the answer. An answer that
// is not OK is no error of Call.
func Call(ctx context.Context, path string, request Request) (Answer, error) {
	var answer Answer
	err := socket.Ask(ctx, path, request, &answer)
	return answer, err
}

// Watch yields the machine's events until ctx ends, the agent ends (which is
// no error) or the connection fails.
func Watch(ctx context.Context, path string) iter.Seq2[Event, error] {
	return func(yield func(Event, error) bool) {
		conn, err := socket.Dial(ctx, path)
		if err != nil {
			yield(Event{}, err)
			return
		}
		defer conn.Close()
		defer context.AfterFunc(ctx, func() { conn.Close() })()
		if err := json.NewEncoder(conn).Encode(Request{Op: OpWatch}); err != nil {
			yield(Event{}, err)
			return
		}
		lines := bufio.NewScanner(conn)
		for lines.Scan() {
			var event Event
			err := json.Unmarshal(lines.Bytes(), &event)
			if !yield(event, err) || err != nil {
				return
			}
		}
		if err := lines.Err(); err != nil && ctx.Err() == nil {
			yield(Event{}, err)
		}
	}
}
