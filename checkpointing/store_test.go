package checkpointing

import (
	"bufio"
	"bytes"
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"iter"
	"math/big"
	"net"
	"net/http"
	"os"
	"os/exec"
	"slices"
	"strconv"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/spotrelay/spotrelay/checkpointing/bucket"
)

// memoryStore is a server of objects in memory over TLS, for benchmarks: a
// rough S3 that costs little itself. It runs in a process of its own.
type memoryStore struct {
	delay time.Duration
	mu    sync.Mutex
	data  map[string][]byte
}

// serve is the role of that process. It prints its address.
func serve(delay string) error {
	wait, err := time.ParseDuration(delay)
	if err != nil {
		return err
	}
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return err
	}
	certificate, err := selfSigned()
	if err != nil {
		return err
	}
	fmt.Println("https://" + listener.Addr().String())
	store := &memoryStore{delay: wait, data: map[string][]byte{}}
	server := &http.Server{Handler: store, TLSConfig: &tls.Config{Certificates: []tls.Certificate{certificate}}, ReadHeaderTimeout: time.Minute}
	server.TLSNextProto = map[string]func(*http.Server, *tls.Conn, http.Handler){} // HTTP/1.1
	return server.ServeTLS(listener, "", "")
}

func selfSigned() (tls.Certificate, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return tls.Certificate{}, err
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), NotAfter: time.Now().Add(24 * time.Hour), IPAddresses: []net.IP{net.IPv4(127, 0, 0, 1)}}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	return tls.Certificate{Certificate: [][]byte{der}, PrivateKey: key}, err
}

func (s *memoryStore) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	time.Sleep(s.delay)
	key := strings.TrimPrefix(r.URL.Path, "/")
	switch {
	case r.Method == http.MethodPut:
		data := make([]byte, r.ContentLength)
		if _, err := io.ReadFull(r.Body, data); err != nil {
			w.WriteHeader(http.StatusBadRequest)
			return
		}
		s.mu.Lock()
		defer s.mu.Unlock()
		if _, there := s.data[key]; there && r.Header.Get("If-None-Match") != "" {
			w.WriteHeader(http.StatusPreconditionFailed)
			return
		}
		s.data[key] = data
	case r.URL.Query().Has("list"):
		s.list(w, r.URL.Query().Get("list"))
	case r.Method == http.MethodDelete:
		s.mu.Lock()
		defer s.mu.Unlock()
		if key == "" {
			clear(s.data)
		}
		delete(s.data, key)
	default:
		s.mu.Lock()
		data, there := s.data[key]
		s.mu.Unlock()
		if !there {
			w.WriteHeader(http.StatusNotFound)
			return
		}
		http.ServeContent(w, r, "", time.Time{}, bytes.NewReader(data))
	}
}

func (s *memoryStore) list(w io.Writer, prefix string) {
	s.mu.Lock()
	defer s.mu.Unlock()
	objects := []bucket.Object{}
	for key, data := range s.data {
		if strings.HasPrefix(key, prefix) {
			objects = append(objects, bucket.Object{Key: key, Size: int64(len(data)), Version: "1"})
		}
	}
	slices.SortFunc(objects, func(a, b bucket.Object) int { return strings.Compare(a.Key, b.Key) })
	_ = json.NewEncoder(w).Encode(objects)
}

// remote is a bucket in a memoryStore. It counts requests.
type remote struct {
	address string
	client  *http.Client
	puts    atomic.Int64
	gets    atomic.Int64
}

// startStore starts a store and gives a bucket in it.
func startStore(t testing.TB, delay time.Duration) *remote {
	t.Helper()
	command := exec.CommandContext(t.Context(), os.Args[0], delay.String())
	command.Env = append(os.Environ(), roleEnv+"=serve")
	command.Stderr = os.Stderr
	out, err := command.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := command.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		command.Process.Kill()
		command.Wait()
	})
	lines := bufio.NewScanner(out)
	if !lines.Scan() {
		t.Fatalf("the store did not start: %v", lines.Err())
	}
	transport := &http.Transport{
		TLSClientConfig:     &tls.Config{InsecureSkipVerify: true}, // it has been started just now
		MaxIdleConnsPerHost: 32,
		WriteBufferSize:     64 << 10, ReadBufferSize: 64 << 10,
		DisableCompression: true,
	}
	t.Cleanup(transport.CloseIdleConnections)
	return &remote{address: lines.Text(), client: &http.Client{Transport: transport}}
}

func (b *remote) call(ctx context.Context, method, key string, change func(*http.Request)) (*http.Response, error) {
	request, err := http.NewRequestWithContext(ctx, method, b.address+"/"+key, nil)
	if err != nil {
		return nil, err
	}
	change(request)
	response, err := b.client.Do(request)
	if err != nil {
		return nil, &bucket.Error{Code: bucket.CodeUnavailable, Op: method, Key: key, Err: err}
	}
	code := bucket.CodeUnavailable
	switch response.StatusCode {
	case http.StatusOK, http.StatusPartialContent:
		return response, nil
	case http.StatusNotFound:
		code = bucket.CodeNotFound
	case http.StatusPreconditionFailed:
		code = bucket.CodeConflict
	}
	drain(response.Body)
	return nil, &bucket.Error{Code: code, Op: method, Key: key, Err: errors.New(response.Status)}
}

func (b *remote) Get(ctx context.Context, key string, offset, length int64) (io.ReadCloser, bucket.Object, error) {
	b.gets.Add(1)
	response, err := b.call(ctx, http.MethodGet, key, func(r *http.Request) {
		if length > 0 {
			r.Header.Set("Range", fmt.Sprintf("bytes=%d-%d", offset, offset+length-1))
		}
	})
	if err != nil {
		return nil, bucket.Object{}, err
	}
	size := response.ContentLength
	if _, total, found := strings.Cut(response.Header.Get("Content-Range"), "/"); found {
		size, _ = strconv.ParseInt(total, 10, 64)
	}
	return response.Body, bucket.Object{Key: key, Size: size}, nil
}

func (b *remote) Put(ctx context.Context, key string, body io.ReadSeeker, cond bucket.Condition) (bucket.Object, error) {
	b.puts.Add(1)
	size, err := body.Seek(0, io.SeekEnd)
	if err != nil {
		return bucket.Object{}, err
	}
	if _, err := body.Seek(0, io.SeekStart); err != nil {
		return bucket.Object{}, err
	}
	response, err := b.call(ctx, http.MethodPut, key, func(r *http.Request) {
		r.Body, r.ContentLength = io.NopCloser(body), size
		if cond.Absent {
			r.Header.Set("If-None-Match", "*")
		}
	})
	if err != nil {
		return bucket.Object{}, err
	}
	drain(response.Body)
	return bucket.Object{Key: key, Size: size}, nil
}

func (b *remote) List(ctx context.Context, prefix, _ string) iter.Seq2[bucket.Object, error] {
	return func(yield func(bucket.Object, error) bool) {
		b.gets.Add(1)
		response, err := b.call(ctx, http.MethodGet, "", func(r *http.Request) { r.URL.RawQuery = "list=" + prefix })
		if err != nil {
			yield(bucket.Object{}, err)
			return
		}
		defer response.Body.Close()
		var objects []bucket.Object
		if err := json.NewDecoder(response.Body).Decode(&objects); err != nil {
			yield(bucket.Object{}, err)
			return
		}
		for _, o := range objects {
			if !yield(o, nil) {
				return
			}
		}
	}
}

func (b *remote) Delete(ctx context.Context, key string) error {
	response, err := b.call(ctx, http.MethodDelete, key, func(*http.Request) {})
	if err == nil {
		drain(response.Body)
	}
	return err
}

func (b *remote) Describe() bucket.Description { return bucket.Description{URL: b.address} }

func (b *remote) Close() error { return nil }
