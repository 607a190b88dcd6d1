package buckettest

import (
	"context"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"

	"github.com/spotrelay/spotrelay/checkpointing/bucket"
)

// createAll creates each of n keys if it is absent, in the same order as all
// others who do so, and returns the ones that this caller won.
func createAll(ctx context.Context, b bucket.Bucket, n int, me string) ([]int, error) {
	var won []int
	for i := range n {
		_, err := b.Put(ctx, fmt.Sprintf("journal/%06d", i), strings.NewReader(me), bucket.IfAbsent())
		switch {
		case err == nil:
			won = append(won, i)
		case !errors.Is(err, bucket.ErrConflict):
			return won, err
		}
	}
	return won, nil
}

// count adds one to a counter n times by compare-and-swap.
func count(ctx context.Context, b bucket.Bucket, n int) error {
	const key = "counter"
	for done := 0; done < n; {
		value, cond := 0, bucket.IfAbsent()
		body, o, err := b.Get(ctx, key, 0, -1)
		if err == nil {
			data, readErr := io.ReadAll(body)
			body.Close()
			if readErr != nil {
				return readErr
			}
			if value, err = strconv.Atoi(string(data)); err != nil {
				return fmt.Errorf("the counter reads %q", data)
			}
			cond = bucket.IfVersion(o.Version)
		} else if !errors.Is(err, bucket.ErrNotFound) {
			return err
		}
		_, err = b.Put(ctx, key, strings.NewReader(strconv.Itoa(value+1)), cond)
		switch {
		case err == nil:
			done++
		case !errors.Is(err, bucket.ErrConflict):
			return err
		}
	}
	return nil
}

// each runs n goroutines and waits for them.
func each(t *testing.T, n int, run func(i int) error) {
	t.Helper()
	var group sync.WaitGroup
	for i := range n {
		group.Go(func() {
			if err := run(i); err != nil {
				t.Error(err)
			}
		})
	}
	group.Wait()
}

func testConcurrentCreate(t *testing.T, b bucket.Bucket) {
	const writers, keys = 50, 20
	var won [keys]atomic.Int32
	each(t, writers, func(i int) error {
		mine, err := createAll(t.Context(), b, keys, fmt.Sprint("writer ", i))
		for _, key := range mine {
			won[key].Add(1)
		}
		return err
	})
	for key := range won {
		if n := won[key].Load(); n != 1 {
			t.Errorf("key %d was won %d times", key, n)
		}
	}
}

func testConcurrentCount(t *testing.T, b bucket.Bucket) {
	const writers, times = 50, 2
	each(t, writers, func(int) error { return count(t.Context(), b, times) })
	if got, _ := get(t, b, "counter", 0, -1); got != strconv.Itoa(writers*times) {
		t.Errorf("%d writers counted %d times each to %s", writers, times, got)
	}
}

// testWholeOrAbsent reads while others write contents that show a mixture.
func testWholeOrAbsent(t *testing.T, b bucket.Bucket) {
	contents := make([]string, 8)
	for i := range contents {
		contents[i] = strings.Repeat(string(rune('a'+i)), 1<<(10+i))
	}
	stop := make(chan struct{})
	var readers sync.WaitGroup
	for range 4 {
		readers.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				if err := readWhole(t.Context(), b, contents); err != nil {
					t.Error(err)
					return
				}
			}
		})
	}
	each(t, len(contents), func(i int) error {
		for range 20 {
			if _, err := b.Put(t.Context(), "doc", strings.NewReader(contents[i]), bucket.Condition{}); err != nil {
				return err
			}
		}
		return nil
	})
	close(stop)
	readers.Wait()
}

func readWhole(ctx context.Context, b bucket.Bucket, contents []string) error {
	body, o, err := b.Get(ctx, "doc", 0, -1)
	if errors.Is(err, bucket.ErrNotFound) {
		return nil
	}
	if err != nil {
		return err
	}
	defer body.Close()
	data, err := io.ReadAll(body)
	if err != nil {
		return err
	}
	if int64(len(data)) != o.Size || len(data) == 0 || string(data) != contents[data[0]-'a'] {
		return fmt.Errorf("read a mixture or a part: %d bytes, %d were told", len(data), o.Size)
	}
	return nil
}

// create puts an object that is not there, and repeats what may pass.
func create(ctx context.Context, b bucket.Bucket, key string) error {
	const tries = 20
	var err error
	for range tries {
		before := err
		_, err = b.Put(ctx, key, strings.NewReader("x"), bucket.IfAbsent())
		if errors.Is(err, bucket.ErrConflict) && before != nil {
			return nil //nolint:nilerr // the one before took place
		}
		if !errors.Is(err, bucket.ErrUnavailable) {
			return err
		}
	}
	return err
}

// testDeleteAgainstPut has writers and deleters in one directory, which comes
// and goes.
func testDeleteAgainstPut(t *testing.T, b bucket.Bucket) {
	each(t, 8, func(i int) error {
		key := fmt.Sprintf("dir/sub/%d", i)
		for range 40 {
			if err := create(t.Context(), b, key); err != nil {
				return err
			}
			if err := b.Delete(t.Context(), key); err != nil {
				return err
			}
		}
		return nil
	})
	if got := list(t, b, "", ""); len(got) != 0 {
		t.Errorf("left: %q", got)
	}
}

// testListWhileChanging lists while objects come and go: what stays is in each
// listing, once, and in order.
func testListWhileChanging(t *testing.T, b bucket.Bucket) {
	const stay = 50
	for i := range stay {
		mustPut(t, b, fmt.Sprintf("docs/%03d/stays", i), "x", bucket.Condition{})
	}
	stop := make(chan struct{})
	var changing sync.WaitGroup
	for range 2 {
		random := rand.New(rand.NewPCG(1, 2))
		changing.Go(func() {
			for {
				select {
				case <-stop:
					return
				default:
				}
				key := fmt.Sprintf("docs/%03d/goes", random.IntN(stay+20))
				b.Put(t.Context(), key, strings.NewReader("y"), bucket.Condition{})
				b.Put(t.Context(), strings.Replace(key, "goes", "stays-not", 1), strings.NewReader("y"), bucket.IfAbsent())
				b.Delete(t.Context(), key)
				b.Delete(t.Context(), strings.Replace(key, "goes", "stays-not", 1))
			}
		})
	}
	for range 20 {
		last, stays := "", 0
		for _, key := range list(t, b, "docs/", "") {
			if key <= last {
				t.Errorf("%s comes after %s", key, last)
			}
			if last = key; strings.HasSuffix(key, "/stays") {
				stays++
			}
		}
		if stays != stay {
			t.Errorf("a listing has %d of %d", stays, stay)
		}
	}
	close(stop)
	changing.Wait()
}
