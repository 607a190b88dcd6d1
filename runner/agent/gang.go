//go:build unix

package agent

import (
	"context"
	"errors"
	"fmt"
	"maps"
	"net"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync"

	"github.com/spotrelay/spotrelay/checkpointing"
	"github.com/spotrelay/spotrelay/runner/agent/bootstrap"
	"github.com/spotrelay/spotrelay/runner/job"
	"github.com/spotrelay/spotrelay/runner/store"
)

// The variables that a node of a gang sees beside the usual ones, and those that
// programs of PyTorch read: MASTER_ADDR, MASTER_PORT, RANK and WORLD_SIZE by
// torch.distributed, NODE_RANK by Lightning, PET_* by torchrun in the place of
// its flags (torch/distributed/argparse_util.py). The job file's env has
// precedence over these.
const (
	varNode             = "SPOTRELAY_NODE"
	varNodes            = "SPOTRELAY_NODES"
	varNodeIncarnation  = "SPOTRELAY_NODE_INCARNATION"
	varNodeAddresses    = "SPOTRELAY_NODE_ADDRESSES"
	varNodeAddressFile  = "SPOTRELAY_NODE_ADDRESSES_FILE"
	varMasterAddress    = "MASTER_ADDR"
	varMasterPort       = "MASTER_PORT"
	varTorchMaster      = "PET_MASTER_ADDR"
	varTorchMasterPort  = "PET_MASTER_PORT"
	varTorchNodes       = "PET_NNODES"
	varTorchNodeRank    = "PET_NODE_RANK"
	varRank             = "RANK"
	varNodeRank         = "NODE_RANK"
	varWorldSize        = "WORLD_SIZE"
	torchPort           = 29500 // torchrun's own default
	noAddress           = "-"   // in the file, of a node that has none
	nodeAddressFileName = "addresses"
)

// gang is an attempt's part of a gang.
type gang struct {
	file    string // with the addresses as they are now
	changed chan struct{}

	mu       sync.Mutex
	part     job.GangPart
	address  string       // ours; "" before it is prepared
	reserved net.Listener // at our port, until the command starts
}

func newGang(part *job.GangPart, dir string) *gang {
	if part == nil {
		return nil
	}
	return &gang{part: *part, file: filepath.Join(dir, nodeAddressFileName), changed: make(chan struct{}, 1)}
}

// now is the part as the controller has it.
func (g *gang) now() job.GangPart {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.part
}

// ours is this node's address, "" before it is prepared.
func (g *gang) ours() string {
	if g == nil {
		return ""
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.address
}

// regroup takes in the addresses of a newer document.
func (t *attempt) regroup(part *job.GangPart) {
	if t.gang == nil || part == nil {
		return
	}
	t.gang.mu.Lock()
	same := slices.Equal(t.gang.part.Addresses, part.Addresses)
	t.gang.part.Addresses = part.Addresses
	t.gang.mu.Unlock()
	if same {
		return
	}
	select {
	case t.gang.changed <- struct{}{}:
	default:
	}
}

// gather says that this node is prepared, and waits until all are. It holds the
// port that the others are told until the command may listen there.
func (t *attempt) gather() error {
	g := t.gang
	if g == nil {
		return nil
	}
	address, listener, err := t.agent.reserve()
	if err != nil {
		return agentFault(err)
	}
	g.mu.Lock()
	g.address, g.reserved = address, listener
	g.mu.Unlock()
	t.setStep(job.StepGathering)
	for part := g.now(); !part.Whole(); part = g.now() {
		select {
		case <-g.changed:
		case <-t.preparing.Done():
			return t.preparing.Err()
		}
	}
	if err := t.beginRounds(t.preparing); err != nil {
		return agentFault(fmt.Errorf("finding the rounds of the other nodes: %w", err))
	}
	if err := g.write(); err != nil {
		return agentFault(fmt.Errorf("writing the nodes' addresses: %w", err))
	}
	return nil
}

// followAddresses keeps the file with the addresses as the controller has them,
// until stop.
func (t *attempt) followAddresses() (stop func()) {
	if t.gang == nil {
		return func() {}
	}
	ctx, cancel := context.WithCancel(t.agent.life)
	ended := make(chan struct{})
	go func() {
		defer close(ended)
		for {
			select {
			case <-t.gang.changed:
				if err := t.gang.write(); err != nil {
					t.warn("the nodes' addresses could not be written: %v", err)
				}
			case <-ctx.Done():
				return
			}
		}
	}()
	return func() { cancel(); <-ended }
}

// write writes the file anew, whole: a line for each node.
func (g *gang) write() error {
	var text strings.Builder
	for _, address := range g.now().Addresses {
		if address == "" {
			address = noAddress
		}
		text.WriteString(address + "\n")
	}
	temporary := g.file + ".new"
	if err := os.WriteFile(temporary, []byte(text.String()), 0o644); err != nil {
		return err
	}
	return os.Rename(temporary, g.file)
}

// release lets go of the port.
func (g *gang) release() {
	if g == nil {
		return
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.reserved != nil {
		g.reserved.Close()
		g.reserved = nil
	}
}

// reserve is an address at which the other nodes reach this instance, with a
// port that is free here. Where instances share a host the port is any; else it
// is the one that torchrun is used to, if nobody has it.
func (a *Agent) reserve() (string, net.Listener, error) {
	if a.rig != nil {
		return net.JoinHostPort(a.instance, "1"), nil, nil
	}
	host := a.address
	if host == bootstrap.AddressNone {
		return "", nil, errors.New("the instance has a network of its own, in which no other node reaches it; " +
			`with the local provider, gangs need network = "host"`)
	}
	if host == "" {
		own, err := ownAddress()
		if err != nil {
			return "", nil, fmt.Errorf("the instance's address is not known: %w", err)
		}
		host = own
	}
	var listener net.Listener
	err := errors.New("shared")
	if ip := net.ParseIP(host); ip == nil || !ip.IsLoopback() {
		listener, err = net.Listen("tcp", net.JoinHostPort(host, strconv.Itoa(torchPort)))
	}
	if err != nil {
		listener, err = net.Listen("tcp", net.JoinHostPort(host, "0"))
	}
	if err != nil {
		return "", nil, fmt.Errorf("no port is free for the other nodes: %w", err)
	}
	return listener.Addr().String(), listener, nil
}

// ownAddress is the address that packets to elsewhere bear. Nothing is sent.
func ownAddress() (string, error) {
	var failed error
	for _, way := range [][2]string{{"udp4", "192.0.2.1:9"}, {"udp6", "[2001:db8::1]:9"}} { // RFC 5737, RFC 3849
		conn, err := net.Dial(way[0], way[1])
		if err != nil {
			failed = err
			continue
		}
		defer conn.Close()
		host, _, err := net.SplitHostPort(conn.LocalAddr().String())
		return host, err
	}
	return "", failed
}

// gangEnvironment is what a node is told of its gang.
func (t *attempt) gangEnvironment(env environment) {
	if t.gang == nil {
		return
	}
	part := t.gang.now()
	node, nodes := strconv.Itoa(part.Node), strconv.Itoa(part.Nodes)
	host, port, _ := net.SplitHostPort(part.Addresses[0])
	maps.Copy(env, environment{
		varNode: node, varNodes: nodes, varNodeIncarnation: strconv.Itoa(part.Incarnation),
		varNodeAddresses: strings.Join(part.Addresses, ","), varNodeAddressFile: t.gang.file,
	})
	for name, value := range map[string]string{
		varMasterAddress: host, varMasterPort: port, varRank: node, varWorldSize: nodes, varNodeRank: node,
		varTorchNodes: nodes, varTorchNodeRank: node, varTorchMaster: host, varTorchMasterPort: port,
	} {
		if _, own := t.job.Execution.Env[name]; !own {
			env[name] = value
		}
	}
}

// number is that of the next save. Called with the saver's lock held.
func (s *saver) number() int64 {
	n := s.next
	s.next++
	if s.t.gang == nil {
		return n
	}
	return job.GangSequence(s.t.gang.now().Incarnation, n)
}

// toRound makes the next save of a gang's node one of a round, or a later one.
func (s *saver) toRound(round int64) {
	if s.t.gang == nil {
		return
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if round < job.LastRound {
		round = min(s.rounds+round, job.LastRound-1)
	}
	s.next = max(s.next, round)
}

// beginRounds has a node that replaces a lost one count on with the others.
func (t *attempt) beginRounds(ctx context.Context) error {
	part := t.gang.now()
	if part.Incarnation <= 1 {
		return nil
	}
	for _, s := range t.savers {
		ids, err := s.gangSaves(ctx)
		if err != nil {
			return err
		}
		newest := int64(0)
		for node := range ids {
			for id := range ids[node] {
				if id.round != job.LastRound && node != part.Node && id.attempt == t.id.Attempt {
					newest = max(newest, id.round)
				}
			}
		}
		s.mu.Lock()
		s.rounds, s.next = newest, max(s.next, newest+1)
		s.mu.Unlock()
	}
	return nil
}

// gangRound is a save of all nodes.
type gangRound struct {
	attempt int
	round   int64
}

// gangSaves are the rounds that are in the bucket of each node.
func (s *saver) gangSaves(ctx context.Context) ([]map[gangRound]bool, error) {
	saves := make([]map[gangRound]bool, s.t.gang.now().Nodes)
	for node := range saves {
		prefix := store.SeriesPrefix(s.t.agent.config.Run, s.t.id.Task, s.t.id.Index, node, s.spec.Name)
		var refs []checkpointing.Ref
		err := untilServed(ctx, s.t.agent.patience, func() (err error) {
			refs, err = s.t.agent.engine.List(ctx, prefix)
			return err
		})
		if err != nil {
			return nil, err
		}
		saves[node] = map[gangRound]bool{}
		for _, ref := range refs {
			saves[node][gangRound{ref.ID.Attempt, job.GangRound(ref.ID.Sequence)}] = true
		}
	}
	return saves, nil
}

// keptForGang are those of a node's checkpoints that must stay whatever the job
// file keeps: all from the newest round on that every node has, since a gang
// goes on from that. Without one all of them stay.
func (s *saver) keptForGang(ctx context.Context) ([]string, error) {
	if s.t.gang == nil {
		return nil, nil
	}
	saves, err := s.gangSaves(ctx)
	if err != nil {
		return nil, err
	}
	common := gangRound{}
	for at := range saves[0] {
		all := !slices.ContainsFunc(saves, func(of map[gangRound]bool) bool { return !of[at] })
		if all && (at.attempt > common.attempt || at.attempt == common.attempt && at.round > common.round) {
			common = at
		}
	}
	refs, err := s.t.agent.engine.List(ctx, s.prefix())
	if err != nil {
		return nil, err
	}
	var keys []string
	for _, ref := range refs {
		round := job.GangRound(ref.ID.Sequence)
		if ref.ID.Attempt > common.attempt || ref.ID.Attempt == common.attempt && round >= common.round {
			keys = append(keys, ref.Key)
		}
	}
	return keys, nil
}
