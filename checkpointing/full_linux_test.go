package checkpointing

import (
	"errors"
	"os"
	"path/filepath"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/spotrelay/spotrelay/checkpointing/bucket"
)

// smallDisk is a file system of the given size.
func smallDisk(t *testing.T, size string) string {
	t.Helper()
	dir := t.TempDir()
	if err := unix.Mount("tmpfs", dir, "tmpfs", 0, "size="+size); err != nil {
		t.Skipf("only root may mount: %v", err)
	}
	t.Cleanup(func() {
		if err := unix.Unmount(dir, unix.MNT_DETACH); err != nil {
			t.Error(err)
		}
	})
	return dir
}

// TestFullDiskOfBucket: the save fails as full, nothing half written stays,
// and the checkpoint before it is whole.
func TestFullDiskOfBucket(t *testing.T) {
	disk := smallDisk(t, "8m")
	b, err := bucket.Open(t.Context(), disk)
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	from, to := filepath.Join(t.TempDir(), "from"), filepath.Join(t.TempDir(), "to")
	mustWrite(t, from, tree{"model": file(noise(1, 2<<20))})
	first := mustSave(t, Open(b), from, ID{1, 1}, nil).Ref
	if err := os.WriteFile(filepath.Join(from, "more"), []byte(noise(2, 20<<20)), 0o644); err != nil {
		t.Fatal(err)
	}
	_, err = Open(b).Save(t.Context(), from, SaveOptions{Key: keyOf(ID{1, 2}), ID: ID{1, 2}, Base: &first})
	var full *bucket.Error
	if !errors.As(err, &full) || full.Code != bucket.CodeFull || full.Hint == "" {
		t.Fatalf("Save: %v", err)
	}
	if entries, err := os.ReadDir(filepath.Join(disk, ".tmp")); err != nil || len(entries) != 0 {
		t.Errorf("half written: %v, %v", entries, err)
	}
	for key, size := range objects(t, b, dataPrefix) {
		if size < 1 || size > packSize {
			t.Errorf("%s has %d bytes", key, size)
		}
	}
	if ref, damaged, err := RestoreNewest(t.Context(), Open(b), series, to, RestoreOptions{}); err != nil || ref != first || damaged != nil {
		t.Errorf("RestoreNewest: %v, %v, %v", ref, damaged, err)
	}
}

// TestFullDiskOfRestore: the directory is as before.
func TestFullDiskOfRestore(t *testing.T) {
	disk := smallDisk(t, "8m")
	from, to := filepath.Join(t.TempDir(), "from"), filepath.Join(disk, "to")
	mustWrite(t, from, tree{"model": file(noise(2, 20<<20))})
	mustWrite(t, to, tree{"old": file("precious")})
	e := Open(openBucket(t))
	ref := mustSave(t, e, from, ID{1, 1}, nil).Ref
	err := e.Restore(t.Context(), ref, to, RestoreOptions{})
	var full *Error
	if !errors.As(err, &full) || full.Code != CodeFull || full.Hint == "" {
		t.Fatalf("Restore: %v", err)
	}
	mustHold(t, to, tree{"old": file("precious")})
	if entries, err := os.ReadDir(disk); err != nil || len(entries) != 1 {
		t.Errorf("left: %v, %v", entries, err)
	}
}
