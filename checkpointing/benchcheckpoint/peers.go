package main

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"strings"

	"github.com/spotrelay/spotrelay/checkpointing/bucket/servertest"
)

// peer is a program that a user would take instead, with the flags that make
// it fast.
type peer struct {
	name, version string
	probe         []string // prints the version
	program       string   // its path, once found
	env           func(site) []string
	// open, if there is one, runs once for a repository; save and restore run
	// in the directory that is saved.
	open    func(site) []string
	save    func(at site, dir string) []string
	restore func(at site, dir, to string) []string
}

const s3Bucket = servertest.Bucket

// peers are those that are known.
func peers() []*peer {
	address := func(at site) string { return "s3://" + s3Bucket + "/" + at.Repo + "/" }
	host := func(at site) string { return strings.TrimPrefix(at.Endpoint, "https://") }
	rclone := func(at site, verb, from, to string) []string {
		return []string{
			verb, from, to, "--ca-cert", at.CAFile, "--config", filepath.Join(at.Home, "none"), "--transfers", "16", "--checkers", "16",
			"--fast-list", "--s3-upload-concurrency", "8", "--s3-chunk-size", "16M", "--s3-no-check-bucket",
			"--use-server-modtime", "--update", "--multi-thread-streams", "8", "--stats", "0",
		}
	}
	remote := func(at site) string { return ":s3:" + s3Bucket + "/" + at.Repo }
	restic := func(at site, more ...string) []string {
		return append([]string{
			"-r", "s3:" + at.Endpoint + "/" + s3Bucket + "/" + at.Repo, "--cacert", at.CAFile,
			"--cache-dir", filepath.Join(at.Home, "restic"), "-o", "s3.connections=16", "--quiet",
		}, more...)
	}
	aws := func(at site, from, to string) []string {
		return []string{"s3", "sync", from, to, "--endpoint-url", at.Endpoint, "--only-show-errors"}
	}
	s5cmd := func(at site, more ...string) []string {
		return append([]string{"--endpoint-url", at.Endpoint, "--numworkers", "64", "--log", "error"}, more...)
	}
	kopia := func(at site, more ...string) []string {
		return append(more, "--config-file", filepath.Join(at.Home, "kopia.config"), "--no-progress")
	}
	return []*peer{
		{
			name: "s5cmd", probe: []string{"version"},
			save: func(at site, _ string) []string {
				return s5cmd(at, "sync", "--concurrency", "8", "--part-size", "16", "./", address(at))
			},
			restore: func(at site, _, to string) []string {
				return s5cmd(at, "cp", "--concurrency", "8", "--part-size", "16", address(at)+"*", to+"/")
			},
		},
		{
			name: "rclone", probe: []string{"version"},
			env: func(at site) []string {
				return []string{
					"RCLONE_S3_PROVIDER=Other", "RCLONE_S3_ENDPOINT=" + at.Endpoint, "RCLONE_S3_ENV_AUTH=true",
					"AWS_CA_BUNDLE=", "RCLONE_S3_REGION=us-east-1", "RCLONE_S3_FORCE_PATH_STYLE=true",
				}
			},
			save:    func(at site, _ string) []string { return rclone(at, "copy", ".", remote(at)) },
			restore: func(at site, _, to string) []string { return rclone(at, "copy", remote(at), to) },
		},
		{
			name: "aws", probe: []string{"--version"},
			save:    func(at site, _ string) []string { return aws(at, ".", address(at)) },
			restore: func(at site, _, to string) []string { return aws(at, address(at), to) },
		},
		{
			name: "restic", probe: []string{"version"},
			env:  func(site) []string { return []string{"RESTIC_PASSWORD=benchmark"} },
			open: func(at site) []string { return restic(at, "init") },
			save: func(at site, _ string) []string { return restic(at, "backup", "--host", "bench", ".") },
			restore: func(at site, _, to string) []string {
				return restic(at, "restore", "latest", "--target", to)
			},
		},
		{
			name: "kopia", probe: []string{"--version"},
			env: func(site) []string { return []string{"KOPIA_PASSWORD=benchmark", "KOPIA_CHECK_FOR_UPDATES=false"} },
			open: func(at site) []string {
				return kopia(at, "repository", "create", "s3", "--bucket", s3Bucket, "--prefix", at.Repo+"/",
					"--endpoint", host(at), "--access-key", servertest.AccessKey, "--secret-access-key", servertest.SecretKey,
					"--region", "us-east-1", "--root-ca-pem-path", at.CAFile, "--cache-directory", filepath.Join(at.Home, "kopia"))
			},
			save: func(at site, dir string) []string { return kopia(at, "snapshot", "create", dir, "--parallel", "8") },
			restore: func(at site, dir, to string) []string {
				return kopia(at, "restore", dir, to, "--snapshot-time", "latest", "--parallel", "8")
			},
		},
	}
}

// installed sorts the peers into those that run here and the names of the
// others.
func installed(ctx context.Context) (found []*peer, left []string) {
	for _, p := range peers() {
		if p.find(ctx) {
			found = append(found, p)
		} else {
			left = append(left, p.name)
		}
	}
	return found, left
}

// find looks for a program on the PATH that answers, first for the system's
// own: what a version manager puts before it is a script that looks for the
// program each time.
func (p *peer) find(ctx context.Context) bool {
	for _, dir := range append([]string{"/usr/bin"}, filepath.SplitList(os.Getenv("PATH"))...) {
		program, err := exec.LookPath(filepath.Join(dir, p.name))
		if err != nil {
			continue
		}
		said, err := exec.CommandContext(ctx, program, p.probe...).Output()
		if err != nil {
			continue
		}
		p.program = program
		p.version, _, _ = strings.Cut(strings.TrimSpace(string(said)), "\n")
		return true
	}
	return false
}

// Name is the program's.
func (p *peer) Name() string { return p.name }

// Open makes the repository where the program has one.
func (p *peer) Open(ctx context.Context, at site) (repo, error) {
	config := "[default]\ns3 =\n  max_concurrent_requests = 16\n  multipart_chunksize = 16MB\n  max_queue_size = 10000\n"
	if err := os.WriteFile(filepath.Join(at.Home, "aws-config"), []byte(config), 0o600); err != nil {
		return nil, err
	}
	r := &peerRepo{peer: p, at: at}
	if p.open == nil {
		return r, nil
	}
	_, err := r.run(ctx, at.Home, p.open(at))
	return r, err
}

type peerRepo struct {
	peer *peer
	at   site
}

func (r *peerRepo) run(ctx context.Context, dir string, args []string) (usage, error) {
	c := exec.CommandContext(ctx, r.peer.program, args...)
	c.Dir = dir
	c.Env = r.at.environment()
	if r.peer.env != nil {
		c.Env = r.at.environment(r.peer.env(r.at)...)
	}
	return run(c)
}

// Save runs the program's save.
func (r *peerRepo) Save(ctx context.Context, dir string) (usage, error) {
	return r.run(ctx, dir, r.peer.save(r.at, dir))
}

// Restore runs the program's restore.
func (r *peerRepo) Restore(ctx context.Context, dir, to string) (usage, error) {
	return r.run(ctx, dir, r.peer.restore(r.at, dir, to))
}

// Close does nothing: the objects go with the folder.
func (*peerRepo) Close() error { return nil }
