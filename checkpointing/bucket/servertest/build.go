package servertest

import (
	"context"
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/gofrs/flock"
)

// Variable decides about the servers: 1 builds those that are missing, 0 skips
// the tests that need one, and without it they run where the servers have been
// built before.
const Variable = "SPOTRELAY_TEST_SERVERS"

// program is a server that `go install` makes from the module proxy.
type program struct {
	name    string // of the binary
	path    string // of its main package
	version string
}

// binary is the path of p, which is built at most once for a user. It skips
// the test when p is not there and is not to be built.
func (p program) binary(t testing.TB) string {
	t.Helper()
	wish := os.Getenv(Variable)
	if wish == "0" {
		t.Skipf("%s=0: without %s", Variable, p.name)
	}
	dir, file, err := p.place()
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(file); err == nil {
		return file
	} else if !errors.Is(err, fs.ErrNotExist) {
		t.Fatal(err)
	}
	if wish != "1" {
		t.Skipf("%s has not been built: run `make test-buckets`, or set %s=1", p.name, Variable)
	}
	if err := p.build(t.Context(), t.Logf, dir, file); err != nil {
		t.Fatalf("build %s: %v", p.name, err)
	}
	return file
}

// place is where the binary of p lies, built or not, and its folder.
func (p program) place() (dir, file string, err error) {
	cache, err := os.UserCacheDir()
	if err != nil {
		return "", "", err
	}
	dir = filepath.Join(cache, "spotrelay-test", p.name+"-"+p.version+"-"+runtime.Version())
	file = filepath.Join(dir, p.name)
	if runtime.GOOS == "windows" {
		file += ".exe"
	}
	return dir, file, nil
}

// S3Program is the path of the S3 server's program, for who starts it without
// a test. It is built where it is missing and build is set; logf is told so.
// Errors: fs.ErrNotExist where it is missing, and those of the build. May be
// repeated.
func S3Program(ctx context.Context, build bool, logf func(string, ...any)) (string, error) {
	dir, file, err := versitygw.place()
	if err != nil {
		return "", err
	}
	if _, err := os.Stat(file); err == nil || !build {
		return file, err
	}
	return file, versitygw.build(ctx, logf, dir, file)
}

// build makes file below dir. Test processes that want the same one wait for
// the first of them.
func (p program) build(ctx context.Context, logf func(string, ...any), dir, file string) error {
	if err := os.MkdirAll(dir, 0o777); err != nil {
		return err
	}
	lock := flock.New(filepath.Join(dir, "lock"))
	if err := lock.Lock(); err != nil {
		return err
	}
	defer func() { _ = lock.Close() }() // the process's end would do
	if _, err := os.Stat(file); err == nil {
		return nil
	}
	// What is built under another name appears whole.
	staging, err := os.MkdirTemp(dir, "building-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(staging) }() // it is in a cache
	logf("building %s@%s, once", p.path, p.version)
	install := exec.CommandContext(ctx, "go", "install", "-trimpath", p.path+"@"+p.version)
	install.Dir = staging
	install.Env = append(os.Environ(), "GOBIN="+staging, "GOFLAGS=", "GOWORK=off", "CGO_ENABLED=0")
	if out, err := install.CombinedOutput(); err != nil {
		logf("%s", out)
		return err
	}
	return os.Rename(filepath.Join(staging, filepath.Base(file)), file)
}
