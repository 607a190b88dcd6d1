package main

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"time"
)

// slurm is a job array on one node, with daemons of its own.
type slurm struct{ o options }

func (slurm) name() string { return "slurm" }
func (s slurm) tasks() int { return min(s.o.tasks, s.o.slurmTasks) }

// programs that it takes: Debian's slurm-wlm and munge.
var slurmPrograms = []string{"munged", "slurmctld", "slurmd", "sbatch", "squeue", "sinfo"}

func (slurm) missing() string {
	for _, name := range slurmPrograms {
		if _, err := lookup(name); err != nil {
			return "not installed"
		}
	}
	if os.Geteuid() != 0 {
		return "it needs root"
	}
	return ""
}

// lookup finds a program also where PATH of an ordinary user does not lead.
func lookup(name string) (string, error) {
	if path, err := exec.LookPath(name); err == nil {
		return path, nil
	}
	return exec.LookPath(filepath.Join("/usr/sbin", name))
}

// slurmStart bounds the start of its daemons.
const slurmStart = time.Minute

// slurmConf is Slurm's defaults but for the paths, one node of as many CPUs as
// the peers run tasks, nothing that measures or confines the tasks, and no pause
// before batch jobs are scheduled (three seconds, which would be all of its time).
const slurmConf = `ClusterName=bench
SlurmctldHost=%[1]s(127.0.0.1)
SlurmUser=root
AuthType=auth/munge
AuthInfo=socket=%[2]s/munge.socket
CryptoType=crypto/munge
SlurmctldPort=%[4]d
SlurmdPort=%[5]d
SlurmctldPidFile=%[2]s/slurmctld.pid
SlurmdPidFile=%[2]s/slurmd.pid
StateSaveLocation=%[2]s/state
SlurmdSpoolDir=%[2]s/spool
SlurmctldLogFile=%[2]s/slurmctld.log
SlurmdLogFile=%[2]s/slurmd.log
MpiDefault=none
ProctrackType=proctrack/pgid
TaskPlugin=task/none
SwitchType=switch/none
SelectType=select/cons_tres
SelectTypeParameters=CR_CPU
AccountingStorageType=accounting_storage/none
JobAcctGatherType=jobacct_gather/none
ReturnToService=2
SlurmdParameters=config_overrides
SchedulerParameters=batch_sched_delay=0,sched_min_interval=0
MaxArraySize=100001
MaxJobCount=100001
NodeName=%[1]s NodeAddr=127.0.0.1 CPUs=%[3]d State=UNKNOWN
PartitionName=main Nodes=%[1]s Default=YES MaxTime=INFINITE State=UP
`

func (s slurm) run(ctx context.Context, dir string) (u usage, err error) {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	meter, err := startMeter()
	if err != nil {
		return u, err
	}
	defer func() { u.CPU, u.Peak = meter.stop() }()
	d := &daemons{ctx: ctx, dir: dir}
	defer func() { err = errors.Join(err, d.stop()) }()
	if err := s.start(ctx, d); err != nil {
		return u, err
	}
	began := time.Now()
	submit := d.command("sbatch", fmt.Sprintf("--array=0-%d", s.tasks()-1), "--ntasks=1", "--output=/dev/null", "--wrap=true")
	submit.Dir = dir
	if said, err := submit.CombinedOutput(); err != nil {
		return u, fmt.Errorf("sbatch: %w: %s", err, lastBytes(said))
	}
	err = await(ctx, "Slurm's jobs", 500*time.Millisecond, time.Hour, func() bool {
		left, err := d.command("squeue", "--noheader", "--states=PENDING,RUNNING,COMPLETING").Output()
		return err == nil && len(bytes.TrimSpace(left)) == 0
	})
	u.Seconds = time.Since(began).Seconds()
	return u, err
}

// start starts its daemons and waits for the node.
func (s slurm) start(ctx context.Context, d *daemons) error {
	for _, sub := range []string{"", "state", "spool"} {
		if err := os.Mkdir(filepath.Join(d.dir, sub), 0o755); err != nil {
			return err
		}
	}
	host, err := os.Hostname()
	if err != nil {
		return err
	}
	host, _, _ = strings.Cut(host, ".")
	ports, err := freePorts(2)
	if err != nil {
		return err
	}
	if err := os.WriteFile(filepath.Join(d.dir, "slurm.conf"), fmt.Appendf(nil, slurmConf, host, d.dir, s.o.jobs, ports[0], ports[1]), 0o644); err != nil {
		return err
	}
	key := filepath.Join(d.dir, "munge.key")
	if err := os.WriteFile(key, []byte(rand.Text()+rand.Text()), 0o400); err != nil {
		return err
	}
	at := func(name string) string { return filepath.Join(d.dir, name) }
	err = d.start("munged", "--foreground", "--force", "--key-file="+key, "--socket="+at("munge.socket"),
		"--pid-file="+at("munged.pid"), "--log-file="+at("munged.log"), "--seed-file="+at("munged.seed"))
	if err != nil {
		return err
	}
	err = await(ctx, "munge", 50*time.Millisecond, slurmStart, func() bool { _, err := os.Stat(at("munge.socket")); return err == nil })
	if err != nil {
		return err
	}
	if err := errors.Join(d.start("slurmctld", "-D", "-c"), d.start("slurmd", "-D", "-N", host)); err != nil {
		return err
	}
	return await(ctx, "Slurm's node", 200*time.Millisecond, slurmStart, func() bool {
		state, err := d.command("sinfo", "--noheader", "--format=%t").Output()
		return err == nil && string(bytes.TrimSpace(state)) == "idle"
	})
}

// freePorts are ports that nobody listens on.
func freePorts(n int) (ports []int, err error) {
	for range n {
		l, err := net.Listen("tcp", "127.0.0.1:0")
		if err != nil {
			return nil, err
		}
		defer l.Close()
		ports = append(ports, l.Addr().(*net.TCPAddr).Port)
	}
	return ports, nil
}

// daemons are processes of a run of Slurm.
type daemons struct {
	ctx     context.Context
	dir     string
	started []*exec.Cmd
}

// command is one of Slurm's, told of our configuration.
func (d *daemons) command(name string, args ...string) *exec.Cmd {
	path, err := lookup(name)
	if err != nil {
		path = name
	}
	c := exec.CommandContext(d.ctx, path, args...)
	c.Env = append(os.Environ(), "SLURM_CONF="+filepath.Join(d.dir, "slurm.conf"))
	return c
}

func (d *daemons) start(name string, args ...string) error {
	c := d.command(name, args...)
	if err := c.Start(); err != nil {
		return fmt.Errorf("%s: %w", name, err)
	}
	d.started = append(d.started, c)
	return nil
}

// stop ends the daemons, the last first.
func (d *daemons) stop() error {
	for i := len(d.started) - 1; i >= 0; i-- {
		c := d.started[i]
		_ = c.Process.Signal(os.Interrupt)
		timer := time.AfterFunc(10*time.Second, func() { _ = c.Process.Kill() })
		_ = c.Wait() // how a daemon ends that is told to says nothing
		timer.Stop()
	}
	return nil
}
