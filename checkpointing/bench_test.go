//go:build !windows

package checkpointing

import (
	"bytes"
	"encoding/binary"
	"errors"
	"flag"
	"fmt"
	"math/rand/v2"
	"os"
	"path/filepath"
	"runtime/debug"
	"syscall"
	"testing"
	"time"

	"golang.org/x/sync/errgroup"

	"github.com/spotrelay/spotrelay/checkpointing/bucket"
)

// The workloads of `go test -bench Save -run - ./checkpointing -mib 2048`, where
// -mib is the size of the largest file of workload a.
var (
	benchMiB = flag.Int64("mib", 256, "the size that the benchmarks are scaled by, in MiB")
	benchDir = flag.String("benchdir", "", "where the benchmarks work; default: in memory")
)

func benchWork(b *testing.B) string {
	b.Helper()
	if *benchDir == "" {
		return memoryDir(b)
	}
	dir, err := os.MkdirTemp(*benchDir, "bench-")
	if err != nil {
		b.Fatal(err)
	}
	b.Cleanup(func() { os.RemoveAll(dir) })
	return dir
}

// fillFile writes random bytes, the same for the same seed.
func fillFile(b *testing.B, name string, seed, size int64) {
	b.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		b.Fatal(err)
	}
	f, err := os.OpenFile(name, os.O_WRONLY|os.O_CREATE|os.O_APPEND, 0o644)
	if err != nil {
		b.Fatal(err)
	}
	var key [32]byte
	binary.LittleEndian.PutUint64(key[:], uint64(seed))
	source, block := rand.NewChaCha8(key), make([]byte, min(size, regionSize))
	for ; size > 0; size -= int64(len(block)) {
		block = block[:min(size, int64(len(block)))]
		source.Read(block)
		if _, err := f.Write(block); err != nil {
			b.Fatal(err)
		}
	}
	if err := f.Close(); err != nil {
		b.Fatal(err)
	}
}

func manyFiles(b *testing.B, dir string) {
	b.Helper()
	for i := range 10_000 {
		fillFile(b, filepath.Join(dir, fmt.Sprintf("d%02d", i%50), fmt.Sprintf("f%05d", i)), int64(i), 16<<10)
	}
}

// weights writes float32 numbers as training makes them.
func weights(b *testing.B, name string, seed uint64, size int64) {
	b.Helper()
	r := rand.New(rand.NewPCG(seed, 1))
	data := make([]byte, size)
	for i := 0; i+8 <= len(data); i += 8 {
		binary.LittleEndian.PutUint64(data[i:], uint64(floatBits(r))<<32|uint64(floatBits(r)))
	}
	if err := os.WriteFile(name, data, 0o644); err != nil {
		b.Fatal(err)
	}
}

// floatBits is a small number with a random mantissa.
func floatBits(r *rand.Rand) uint32 {
	v := r.Uint32()
	return v&0x807fffff | (118+v>>23&7)<<23
}

// changeRegions changes 2 % of a file in regions of 1 MiB.
func changeRegions(b *testing.B, name string, seed int64) {
	b.Helper()
	f, err := os.OpenFile(name, os.O_RDWR, 0)
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	info, err := f.Stat()
	if err != nil {
		b.Fatal(err)
	}
	r := rand.New(rand.NewPCG(uint64(seed), 2))
	block := []byte(noise(uint64(seed), regionSize))
	for range max(info.Size()/50/regionSize, 1) {
		if _, err := f.WriteAt(block, r.Int64N(info.Size()-regionSize)); err != nil {
			b.Fatal(err)
		}
		block[r.IntN(len(block))]++
	}
}

// cost is what a stretch of a benchmark took.
type cost struct {
	start time.Time
	cpu   time.Duration
	puts  int64
	gets  int64
}

func usage() time.Duration {
	var u syscall.Rusage
	_ = syscall.Getrusage(syscall.RUSAGE_SELF, &u)
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

func begin(r *remote) cost {
	debug.FreeOSMemory()
	_ = os.WriteFile("/proc/self/clear_refs", []byte("5"), 0) // the peak begins anew
	return cost{time.Now(), usage(), r.puts.Load(), r.gets.Load()}
}

func (c cost) report(b *testing.B, r *remote, size, sent int64) {
	b.Helper()
	elapsed, cpu := time.Since(c.start), usage()-c.cpu
	b.ReportMetric(0, "ns/op")
	b.ReportMetric(elapsed.Seconds(), "s")
	b.ReportMetric(float64(size)/elapsed.Seconds()/1e6, "MB/s")
	b.ReportMetric(cpu.Seconds(), "cpu-s")
	b.ReportMetric(float64(r.puts.Load()-c.puts), "puts")
	b.ReportMetric(float64(r.gets.Load()-c.gets), "gets")
	b.ReportMetric(float64(sent)/(1<<20), "MiB-sent")
	b.ReportMetric(peakRSS(), "MiB-peak")
}

// workload makes a directory, and may change it after a first save.
type workload struct {
	name   string
	delay  time.Duration
	fill   func(b *testing.B, dir string)
	change func(b *testing.B, dir string)
}

func workloads() []workload {
	mib := *benchMiB << 20
	big := func(size int64) func(*testing.B, string) {
		return func(b *testing.B, dir string) { fillFile(b, filepath.Join(dir, "model"), 1, size) }
	}
	nothing := func(*testing.B, string) {}
	eight := func(seed uint64) func(*testing.B, string) {
		return func(b *testing.B, dir string) {
			for i := range uint64(8) {
				weights(b, filepath.Join(dir, fmt.Sprint(i)), seed+i, mib/4)
			}
		}
	}
	return []workload{
		{"a", 0, big(mib), nil},
		{"b", 0, manyFiles, nil},
		{"b30ms", 30 * time.Millisecond, manyFiles, nil},
		{"c", 0, big(mib / 2), func(b *testing.B, dir string) { changeRegions(b, filepath.Join(dir, "model"), 7) }},
		{"d", 0, eight(1), eight(100)},
		{"e", 0, big(mib), func(b *testing.B, dir string) { fillFile(b, filepath.Join(dir, "model"), 2, mib/32) }},
		{"f", 0, manyFiles, nothing},
	}
}

func BenchmarkSave(b *testing.B) {
	for _, w := range workloads() {
		b.Run(w.name, func(b *testing.B) {
			for n := 0; b.Loop(); n++ {
				b.StopTimer()
				dir, r := filepath.Join(benchWork(b), "from"), startStore(b, w.delay)
				if err := os.Mkdir(dir, 0o755); err != nil {
					b.Fatal(err)
				}
				w.fill(b, dir)
				e, base := Open(r), (*Ref)(nil)
				if w.change != nil {
					first := mustSave(b, e, dir, ID{1, 1}, nil).Ref
					base = &first
					w.change(b, dir)
				}
				c := begin(r)
				b.StartTimer()
				result := mustSave(b, e, dir, ID{1, 2}, base)
				b.StopTimer()
				c.report(b, r, result.Ref.Bytes, result.BytesSent)
				b.StartTimer()
			}
		})
	}
}

func BenchmarkRestore(b *testing.B) {
	for _, w := range workloads() {
		if w.name == "f" {
			continue
		}
		b.Run(w.name, func(b *testing.B) {
			for b.Loop() {
				b.StopTimer()
				work, r := benchWork(b), startStore(b, w.delay)
				dir := filepath.Join(work, "from")
				if err := os.Mkdir(dir, 0o755); err != nil {
					b.Fatal(err)
				}
				w.fill(b, dir)
				e := Open(r)
				ref := mustSave(b, e, dir, ID{1, 1}, nil).Ref
				if w.change != nil {
					w.change(b, dir)
					ref = mustSave(b, e, dir, ID{1, 2}, &ref).Ref
				}
				if err := os.RemoveAll(dir); err != nil {
					b.Fatal(err)
				}
				c := begin(r)
				b.StartTimer()
				mustRestore(b, Open(r), ref, filepath.Join(work, "to"))
				b.StopTimer()
				c.report(b, r, ref.Bytes, 0)
				b.StartTimer()
			}
		})
	}
}

// BenchmarkBare is what a save cannot do without: a pass of BLAKE3, and an
// upload of random bytes over TLS.
func BenchmarkBare(b *testing.B) {
	b.Run("blake3", func(b *testing.B) {
		data := []byte(noise(1, regionSize))
		b.SetBytes(regionSize)
		for b.Loop() {
			digestOf(data)
		}
	})
	b.Run("upload", func(b *testing.B) {
		data := []byte(noise(1, packSize))
		for b.Loop() {
			b.StopTimer()
			r := startStore(b, 0)
			c := begin(r)
			b.StartTimer()
			var senders errgroup.Group
			senders.SetLimit(firstLanes)
			count := *benchMiB << 20 / packSize
			for i := range count {
				senders.Go(func() error {
					_, err := r.Put(b.Context(), fmt.Sprint(i), bytes.NewReader(data), bucket.IfAbsent())
					return err
				})
			}
			if err := errors.Join(senders.Wait()); err != nil {
				b.Fatal(err)
			}
			b.StopTimer()
			c.report(b, r, count*packSize, count*packSize)
			b.StartTimer()
		}
	})
}

// BenchmarkUnchanged is the work of a save of 10,000 files of which none has
// changed, without a network.
func BenchmarkUnchanged(b *testing.B) {
	dir := filepath.Join(benchWork(b), "from")
	manyFiles(b, dir)
	e := Open(openBucket(b))
	base := mustSave(b, e, dir, ID{1, 1}, nil).Ref
	for sequence := int64(2); b.Loop(); sequence++ {
		base = mustSave(b, e, dir, ID{1, sequence}, &base).Ref
	}
}

// BenchmarkManifest writes and reads the manifest of 10,000 files.
func BenchmarkManifest(b *testing.B) {
	dir := filepath.Join(benchWork(b), "from")
	manyFiles(b, dir)
	bucket := openBucket(b)
	m, _, err := newEngine(bucket).(*engine).manifest(b.Context(), "inspect", mustSave(b, Open(bucket), dir, ID{1, 1}, nil).Ref)
	if err != nil {
		b.Fatal(err)
	}
	data := encodeManifest(m)
	b.Run("write", func(b *testing.B) {
		b.ReportMetric(float64(len(data)), "bytes")
		for b.Loop() {
			encodeManifest(m)
		}
	})
	b.Run("read", func(b *testing.B) {
		for b.Loop() {
			if _, err := decodeManifest(data); err != nil {
				b.Fatal(err)
			}
		}
	})
}
