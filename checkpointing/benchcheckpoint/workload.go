package main

import (
	"encoding/binary"
	"fmt"
	"io"
	"math/bits"
	"math/rand/v2"
	"os"
	"path/filepath"
	"slices"
	"time"
)

const (
	kib = 1 << 10
	mib = 1 << 20
	gib = 1 << 30
)

// workload is a directory that is saved and restored. The bytes are the same
// at each run.
type workload struct {
	ID    string // a to f, b+30ms
	Title string
	// Delay is added to each request.
	Delay time.Duration
	// Bytes are in the directory when it is measured, Changed of them since
	// the save before; Stored is what a store holds after both saves when
	// nothing is shared.
	Bytes, Changed, Stored int64
	// lay makes the directory; change, where there is one, makes the change
	// between a first save, which is not measured, and the one that is.
	lay, change func(dir string) error
}

// workloads are those of the benchmark at a scale of 1, or smaller or larger.
func workloads(scale float64) []workload {
	sized := func(n float64) int64 { return max(4, int64(n*scale)/4*4) }
	count := max(1, int(10_000*scale+0.5))
	many := int64(count) * 16 * kib
	large, regions := sized(2*gib), max(1, int(1024*scale+0.5))
	changing, changed := int64(regions)*mib, max(1, int(float64(regions)*0.02+0.5))
	weights, added := sized(512*mib), sized(64*mib)
	b := workload{
		Bytes: many, Changed: many, Stored: many,
		lay: func(dir string) error { return layMany(dir, 2, count) },
	}
	near, far := b, b
	near.ID, near.Title = "b", fmt.Sprintf("%d files of 16 KiB", count)
	far.ID, far.Title, far.Delay = "b+30ms", near.Title+", 30 ms added to each request", 30*time.Millisecond
	return []workload{
		{
			ID: "a", Title: "one file of " + size(large) + " of random bytes",
			Bytes: large, Changed: large, Stored: large,
			lay: func(dir string) error { return layNoise(dir, "large", 1, large) },
		},
		near, far,
		{
			ID: "c", Title: fmt.Sprintf("a file of %s, %d regions of 1 MiB changed", size(changing), changed),
			Bytes: changing, Changed: int64(changed) * mib, Stored: 2 * changing,
			lay:    func(dir string) error { return layNoise(dir, "state", 3, changing) },
			change: func(dir string) error { return changeRegions(filepath.Join(dir, "state"), regions, changed) },
		},
		{
			ID: "d", Title: "8 files of " + size(weights) + " of float32 weights, all changed",
			Bytes: 8 * weights, Changed: 8 * weights, Stored: 16 * weights,
			lay:    func(dir string) error { return layWeights(dir, 0, weights) },
			change: func(dir string) error { return layWeights(dir, 1, weights) },
		},
		{
			ID: "e", Title: size(added) + " appended to a file of " + size(large),
			Bytes: large + added, Changed: added, Stored: 2*large + added,
			lay: func(dir string) error { return layNoise(dir, "log", 5, large) },
			change: func(dir string) error {
				return write(filepath.Join(dir, "log"), os.O_APPEND|os.O_WRONLY, noise(6, 0), added)
			},
		},
		{
			ID: "f", Title: fmt.Sprintf("nothing changed among %d files of 16 KiB", count),
			Bytes: many, Stored: 2 * many,
			lay:    b.lay,
			change: func(string) error { return nil },
		},
	}
}

// noise is an endless stream of random bytes, always the same for a seed and a
// part.
func noise(seed, part uint64) io.Reader {
	var key [32]byte
	binary.LittleEndian.PutUint64(key[:], seed)
	binary.LittleEndian.PutUint64(key[8:], part)
	return rand.NewChaCha8(key)
}

// write writes n bytes of from to a file.
func write(name string, flag int, from io.Reader, n int64) error {
	f, err := os.OpenFile(name, flag, 0o644)
	if err != nil {
		return err
	}
	_, err = io.CopyBuffer(struct{ io.Writer }{f}, io.LimitReader(from, n), make([]byte, min(mib, max(n, 1))))
	return firstError(err, f.Close())
}

func firstError(errs ...error) error {
	for _, err := range errs {
		if err != nil {
			return err
		}
	}
	return nil
}

const anew = os.O_CREATE | os.O_TRUNC | os.O_WRONLY

func layNoise(dir, name string, seed uint64, n int64) error {
	return write(filepath.Join(dir, name), anew, noise(seed, 0), n)
}

// layMany makes count files of 16 KiB, a hundred to a folder.
func layMany(dir string, seed uint64, count int) error {
	for i := range count {
		sub := filepath.Join(dir, fmt.Sprintf("%03d", i/100))
		if i%100 == 0 {
			if err := os.Mkdir(sub, 0o755); err != nil {
				return err
			}
		}
		if err := write(filepath.Join(sub, fmt.Sprintf("%05d", i)), anew, noise(seed, uint64(i)), 16*kib); err != nil {
			return err
		}
	}
	return nil
}

// changeRegions writes changed of the file's regions of 1 MiB anew, in place.
func changeRegions(name string, regions, changed int) error {
	f, err := os.OpenFile(name, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	chosen := rand.New(rand.NewPCG(3, 4)).Perm(regions)[:changed]
	slices.Sort(chosen)
	fresh, buffer := noise(4, 0), make([]byte, mib)
	for _, region := range chosen {
		_, readErr := io.ReadFull(fresh, buffer)
		_, err := f.WriteAt(buffer, int64(region)*mib)
		if err := firstError(readErr, err); err != nil {
			return firstError(err, f.Close())
		}
	}
	return f.Close()
}

// layWeights makes eight files of floats; another generation has other ones.
func layWeights(dir string, generation uint64, n int64) error {
	for i := range uint64(8) {
		from := &weights{chance: rand.NewPCG(generation, i)}
		if err := write(filepath.Join(dir, fmt.Sprintf("weights-%d", i)), anew, from, n); err != nil {
			return err
		}
	}
	return nil
}

// weights is an endless stream of float32 as a trained model has them: any
// sign and mantissa, exponents that thin out below 1/16.
type weights struct{ chance *rand.PCG }

func (w *weights) Read(p []byte) (int, error) {
	n := len(p) / 8 * 8
	for i := 0; i < n; i += 8 {
		v := w.chance.Uint64()
		low, high := uint32(v), uint32(v>>32)
		binary.LittleEndian.PutUint32(p[i:], weight(low, v>>20))
		binary.LittleEndian.PutUint32(p[i+4:], weight(high, v*0x9e3779b97f4a7c15))
	}
	if n == 0 && len(p) > 0 { // the end of a file
		var last [8]byte
		_, _ = w.Read(last[:]) // it is eight bytes
		n = copy(p, last[:])
	}
	return n, nil
}

// weight makes a float's bits of a sign and mantissa and the chance for its
// exponent.
func weight(v uint32, chance uint64) uint32 {
	exponent := uint32(122 - bits.TrailingZeros64(chance|1<<40))
	return v&0x807f_ffff | exponent<<23
}

// size is n in the largest unit that fits.
func size(n int64) string {
	switch {
	case n >= gib:
		return trim(float64(n)/gib) + " GiB"
	case n >= mib:
		return trim(float64(n)/mib) + " MiB"
	default:
		return trim(float64(n)/kib) + " KiB"
	}
}

// trim is x with three digits at most.
func trim(x float64) string {
	if x >= 100 || x == float64(int64(x)) {
		return fmt.Sprintf("%.0f", x)
	}
	return fmt.Sprintf("%.3g", x)
}
