package aws

import (
	"context"
	"errors"
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

// TestCache: an answer is shared and kept for its life; an error is not.
func TestCache(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var c cache[int]
		calls, broken := 0, errors.New("broken")
		fetch := func(ctx context.Context) (int, error) {
			calls++
			time.Sleep(time.Second)
			if calls == 1 {
				return 0, broken
			}
			return calls, nil
		}
		if _, err := c.get(t.Context(), "a", time.Minute, fetch); !errors.Is(err, broken) {
			t.Fatal(err)
		}
		if _, ok := c.peek("a"); ok {
			t.Error("an error is kept")
		}
		var all sync.WaitGroup
		for range 5 {
			all.Go(func() {
				if v, err := c.get(t.Context(), "a", time.Minute, fetch); v != 2 || err != nil {
					t.Errorf("%d, %v", v, err)
				}
			})
		}
		synctest.Wait()
		ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
		defer cancel()
		if _, err := c.get(ctx, "a", time.Minute, fetch); !errors.Is(err, context.DeadlineExceeded) {
			t.Errorf("who waits for another's call does not hear its own context: %v", err)
		}
		all.Wait()
		time.Sleep(time.Minute)
		if v, _ := c.get(t.Context(), "a", time.Minute, fetch); v != 3 {
			t.Errorf("after its life: %d", v)
		}
		if v, ok := c.peek("a"); !ok || v != 3 {
			t.Errorf("%d, %v", v, ok)
		}
	})
}

func TestMemory(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		m := memory[int]{life: time.Hour}
		m.put("a", 1)
		time.Sleep(40 * time.Minute)
		m.put("b", 2)
		if v, ok := m.get("a"); !ok || v != 1 {
			t.Errorf("%d, %v", v, ok)
		}
		time.Sleep(40 * time.Minute)
		if _, ok := m.get("a"); ok {
			t.Error("it is not forgotten")
		}
		m.put("c", 3)
		if len(m.things) != 2 {
			t.Errorf("what is forgotten is kept: %v", m.things)
		}
	})
}

// TestLimits: calls of an API keep to its bucket, those of others are not held
// up by them.
func TestLimits(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var l limits
		start := time.Now()
		for range launches.size + 4 {
			if err := l.wait(t.Context(), "ec2:CreateFleet"); err != nil {
				t.Fatal(err)
			}
		}
		if took, want := time.Since(start), 4*time.Second/time.Duration(launches.perSecond); took < want*9/10 || took > want*11/10 {
			t.Errorf("it took %s; want %s", took, want)
		}
		start = time.Now()
		if err := l.wait(t.Context(), "ec2:DescribeInstances"); err != nil || time.Since(start) > 0 {
			t.Errorf("%s, %v", time.Since(start), err)
		}
	})
}
