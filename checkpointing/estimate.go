package checkpointing

import (
	"context"
	"os"
	"path/filepath"
)

// Estimate implements Engine.
func (e *engine) Estimate(ctx context.Context, dir string, opts EstimateOptions) (Estimate, error) {
	absolute, err := filepath.Abs(dir)
	if err != nil {
		return Estimate{}, localError("save", dir, err)
	}
	below, err := os.OpenRoot(absolute)
	if err != nil {
		return Estimate{}, localError("save", dir, err)
	}
	defer below.Close()
	s := newSaving(e, SaveOptions{Base: opts.Base, Keep: opts.Keep, Urgent: true}, &scanner{root: below, dir: absolute, keep: opts.Keep}, e.saves)
	if err := s.useBase(ctx); err != nil {
		return Estimate{}, saveError(err)
	}
	s.base.sent = s.memory.sent // whether it may be relied on shows at the save
	now, err := s.scanner.scan(ctx)
	if err != nil {
		return Estimate{}, saveError(err)
	}
	result := Estimate{Files: now.files, Bytes: now.bytes}
	for _, f := range s.changed(now) {
		result.FilesChanged++
		result.BytesChanged += f.Size
		result.BytesLikely += likely(s.memory.known(f.Path), f.Size)
	}
	return result, nil
}

// likely is how much of a file has to be sent, if it changed as it did before.
func likely(before *item, size int64) int64 {
	if before == nil || before.signature.size == 0 {
		return size
	}
	grown := max(size-before.signature.size, 0)
	part := float64(before.likely) / float64(before.signature.size)
	return min(int64(part*float64(size-grown))+grown, size)
}
