package checkpointing

import (
	"context"
	"errors"
	"testing"
	"testing/synctest"
	"time"
)

// What passes in small pieces is as fast as what passes in large ones, and
// waits seldom.
func TestPacer(t *testing.T) {
	const second, rate = int64(time.Second), 32 << 20
	for _, piece := range []int{1, 1000, 64 << 10, 1 << 20, 3<<20 + 1} {
		synctest.Test(t, func(t *testing.T) {
			p := newPacer(rate)
			begun, passed, waits := time.Now(), 0, 0
			for last := begun; passed < 4*mostPaced; passed += piece {
				if err := p.wait(t.Context(), piece); err != nil {
					t.Fatal(err)
				}
				if !time.Now().Equal(last) {
					waits++
				}
				last = time.Now()
			}
			// The first mostPaced bytes are free; the last piece may be too many.
			least := time.Duration(int64(passed-mostPaced) * second / rate)
			took := time.Since(begun)
			if most := least + time.Duration(int64(mostPaced)*second/rate) + time.Millisecond; took < least || took > most {
				t.Errorf("in pieces of %d: %s for %d bytes, want %s to %s", piece, took, passed, least, most)
			}
			if most := (passed + mostPaced - 1) / mostPaced; waits > most {
				t.Errorf("in pieces of %d: %d waits for %d bytes, at most %d", piece, waits, passed, most)
			}
		})
	}
}

func TestPacerOfNothing(t *testing.T) {
	p := newPacer(0)
	if err := p.wait(t.Context(), 1<<40); err != nil || len(p.cap(make([]byte, 100))) != 100 {
		t.Errorf("nothing is bounded, and yet: %v", err)
	}
	slow := newPacer(1)
	if n := len(slow.cap(make([]byte, 1<<20))); n != leastPaced {
		t.Errorf("%d bytes at once", n)
	}
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if err := slow.wait(ctx, 2*leastPaced); !errors.Is(err, context.Canceled) {
		t.Errorf("it goes on after the end: %v", err)
	}
}
