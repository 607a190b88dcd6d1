package bucket

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"
)

// Probe tests whether b keeps its promises about conditional writes, and is
// the first thing done with a new bucket. A store that ignores one of them is
// refused by name with CodeUnsupported; other errors are those of the calls it
// makes. It writes and deletes one object below probe/. May be repeated.
func Probe(ctx context.Context, b Bucket) error {
	p := &prober{ctx: ctx, b: b, key: "probe/" + strings.ToLower(rand.Text())}
	err := p.run()
	if err == nil {
		err = b.Delete(ctx, p.key)
	} else {
		cleanup, cancel := context.WithTimeout(context.WithoutCancel(ctx), 5*time.Second)
		defer cancel()
		_ = b.Delete(cleanup, p.key) // its failure is no news
	}
	return err
}

type prober struct {
	ctx context.Context
	b   Bucket
	key string
}

func (p *prober) run() error {
	first, err := p.put("first", IfAbsent())
	if err != nil {
		return err
	}
	_, err = p.put("second", IfAbsent())
	if err := p.mustConflict(err, "create-if-absent (S3: If-None-Match, GCS: generation 0)"); err != nil {
		return err
	}
	second, err := p.put("third", IfVersion(first.Version))
	if err != nil {
		return err
	}
	if second.Version == first.Version {
		return p.refuse("two contents of one object have the same version")
	}
	_, err = p.put("fourth", IfVersion(first.Version))
	if err := p.mustConflict(err, "compare-and-swap (S3: If-Match, GCS: generation match)"); err != nil {
		return err
	}
	if err := p.mustRead("third", second.Version); err != nil {
		return err
	}
	return p.mustList(second.Version)
}

func (p *prober) put(text string, cond Condition) (Object, error) {
	return p.b.Put(p.ctx, p.key, strings.NewReader(text), cond)
}

func (p *prober) mustConflict(err error, what string) error {
	switch {
	case err == nil:
		return p.refuse("it ignores conditional writes: " + what + " overwrote an object")
	case errors.Is(err, ErrConflict):
		return nil
	}
	return err
}

func (p *prober) mustRead(want, version string) error {
	body, o, err := p.b.Get(p.ctx, p.key, 0, -1)
	if err != nil {
		return err
	}
	defer body.Close()
	got, err := io.ReadAll(io.LimitReader(body, 1<<10))
	if err != nil {
		return &Error{Code: CodeUnavailable, Op: "probe", Key: p.key, Err: err}
	}
	if string(got) != want || o.Version != version {
		return p.refuse("a read does not see the write before it")
	}
	return nil
}

func (p *prober) mustList(version string) error {
	for o, err := range p.b.List(p.ctx, p.key, "") {
		if err != nil {
			return err
		}
		if o.Key == p.key && o.Version == version {
			return nil
		}
	}
	return p.refuse("a listing does not see the write before it")
}

// refuse says in one sentence that the bucket will not do.
func (p *prober) refuse(reason string) error {
	address := p.b.Describe().URL
	return &Error{
		Code: CodeUnsupported, Op: "probe", Key: address,
		Err:  fmt.Errorf("the bucket %s cannot be used: %s", address, reason),
		Hint: "choose another store; S3, GCS and a local folder keep this promise",
	}
}
