package local

import (
	"bytes"
	"encoding/json"
	"fmt"
	"math"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/dustin/go-humanize"

	"github.com/spotrelay/spotrelay/providers"
)

const (
	defaultSpotPrice     = 0.03
	defaultOnDemandPrice = 0.10
	defaultNotice        = "5s"

	networkHost     = "host"
	networkIsolated = "isolated"

	isolationAuto       = "auto"
	isolationNamespaces = "namespaces"
	isolationGroup      = "process-group"
)

var defaultZones = []string{"local-a", "local-b"}

// block is the config block as JSON carries it.
type block struct {
	Zones          []string             `json:"zones"`
	MaxInstances   *float64             `json:"max_instances"`
	SpotPrice      *float64             `json:"spot_price"`
	OnDemandPrice  *float64             `json:"on_demand_price"`
	BootDelay      string               `json:"boot_delay"`
	PreemptAfter   []string             `json:"preempt_after"`
	Notice         *string              `json:"notice"`
	Network        string               `json:"network"`
	Isolation      string               `json:"isolation"`
	Bandwidth      string               `json:"bandwidth"`
	Share          []string             `json:"share"`
	PassEnv        []string             `json:"pass_env"`
	Offers         []offerBlock         `json:"offer"`
	Events         []eventBlock         `json:"event"`
	CapacityErrors []capacityErrorBlock `json:"capacity_error"`
}

type offerBlock struct {
	InstanceType  string   `json:"instance_type"`
	Zone          string   `json:"zone"`
	CPUs          *float64 `json:"cpus"`
	Memory        string   `json:"memory"`
	GPUs          float64  `json:"gpus"`
	GPUType       string   `json:"gpu_type"`
	SpotPrice     *float64 `json:"spot_price"`
	OnDemandPrice *float64 `json:"on_demand_price"`
	Limit         float64  `json:"limit"`
}

type eventBlock struct {
	Instance   float64  `json:"instance"`
	Capacity   string   `json:"capacity"`
	After      *string  `json:"after"`
	Checkpoint *float64 `json:"checkpoint"`
	DuringSave *float64 `json:"during_save"`
	Action     string   `json:"action"`
	Notice     *string  `json:"notice"`
}

type capacityErrorBlock struct {
	Zone         string   `json:"zone"`
	InstanceType string   `json:"instance_type"`
	Capacity     string   `json:"capacity"`
	Launches     *float64 `json:"launches"`
	For          *string  `json:"for"`
	Code         string   `json:"code"`
}

// config is a fleet's config block, read and checked.
type config struct {
	zones        []string
	maxInstances int // 0: by the machine
	prices       map[providers.CapacityType]float64
	bootDelay    time.Duration
	preemptAfter []time.Duration
	notice       time.Duration
	network      string
	isolation    string
	bandwidth    int64
	share        []string
	passEnv      []string
	types        []instanceType // empty: the machine's defaults
	events       []event
	refusals     []refusal
}

// instanceType is an offer block; zone "" is all zones, memory 0 the default.
type instanceType struct {
	name, zone string
	cpus       float64
	memory     int64
	gpus       int
	gpuType    string
	prices     map[providers.CapacityType]float64
	limit      int
}

// event is an event block: a step for the n-th instance within capacity ("any"
// for all).
type event struct {
	instance int
	capacity string
	step     step
}

// refusal is a capacity_error block.
type refusal struct {
	zone, instanceType, capacity string
	launches                     int
	within                       time.Duration
	code                         providers.Code
}

func capacityCodes() []string {
	return []string{
		string(providers.CodeCapacity), string(providers.CodeQuota), string(providers.CodeThrottled),
		string(providers.CodeUnsupported), string(providers.CodeUnavailable),
	}
}

// reader gathers the faults of a config block.
type reader struct{ faults []providers.Fault }

func (r *reader) fault(path []string, summary, detail string) {
	r.faults = append(r.faults, providers.Fault{Severity: providers.SeverityError, Path: path, Summary: summary, Detail: detail})
}

// readConfig reads a fleet's config block and finds what is wrong with it.
func readConfig(raw json.RawMessage) (config, []providers.Fault) {
	var b block
	var r reader
	if len(bytes.TrimSpace(raw)) > 0 {
		decoder := json.NewDecoder(bytes.NewReader(raw))
		decoder.DisallowUnknownFields()
		if err := decoder.Decode(&b); err != nil {
			r.fault(nil, "The config block cannot be read: "+err.Error(), "Compare it with the local provider's reference.")
			return config{}, r.faults
		}
	}
	c := config{
		zones:     b.Zones,
		prices:    map[providers.CapacityType]float64{},
		network:   r.oneOf([]string{"network"}, b.Network, networkHost, networkHost, networkIsolated),
		isolation: r.oneOf([]string{"isolation"}, b.Isolation, isolationAuto, isolationAuto, isolationNamespaces, isolationGroup),
		share:     b.Share,
		passEnv:   b.PassEnv,
		bootDelay: r.duration([]string{"boot_delay"}, &b.BootDelay, 0),
		bandwidth: r.size([]string{"bandwidth"}, b.Bandwidth),
	}
	if len(c.zones) == 0 {
		c.zones = defaultZones
	}
	for i, zone := range c.zones {
		if zone == "" || slices.Contains(c.zones[:i], zone) {
			r.fault([]string{"zones", strconv.Itoa(i)}, fmt.Sprintf("The zone name %q is empty or there twice", zone), "Give each zone a name of its own.")
		}
	}
	if b.MaxInstances != nil {
		c.maxInstances = r.count([]string{"max_instances"}, *b.MaxInstances, 1)
	}
	c.prices[providers.Spot] = r.price([]string{"spot_price"}, b.SpotPrice, defaultSpotPrice)
	c.prices[providers.OnDemand] = r.price([]string{"on_demand_price"}, b.OnDemandPrice, defaultOnDemandPrice)
	if b.Notice == nil {
		text := defaultNotice
		b.Notice = &text
	}
	c.notice = r.duration([]string{"notice"}, b.Notice, 0)
	for i := range b.PreemptAfter {
		c.preemptAfter = append(c.preemptAfter, r.duration([]string{"preempt_after", strconv.Itoa(i)}, &b.PreemptAfter[i], 0))
	}
	for i, path := range c.share {
		if !strings.HasPrefix(path, "/") {
			r.fault([]string{"share", strconv.Itoa(i)}, fmt.Sprintf("%q is no absolute path", path), "Write the path from / on.")
		}
	}
	if c.network == networkIsolated && c.isolation == isolationGroup {
		r.fault([]string{"network"}, "A network of its own needs namespaces", `Leave isolation = "process-group" out, or use network = "host".`)
	}
	r.offers(&c, b.Offers)
	r.events(&c, b.Events)
	r.refusals(&c, b.CapacityErrors)
	return c, r.faults
}

// requireConfig is readConfig for the calls that cannot go on with a fault.
func requireConfig(op string, fleet providers.Fleet) (config, error) {
	c, faults := readConfig(fleet.Config)
	if len(faults) > 0 {
		at := ""
		if len(faults[0].Path) > 0 {
			at = strings.Join(faults[0].Path, ".") + ": "
		}
		return c, fault(op, providers.CodeConfiguration, "fleet "+fleet.Name+": "+at+faults[0].Summary, faults[0].Detail)
	}
	return c, nil
}

func (r *reader) offers(c *config, blocks []offerBlock) {
	for i, b := range blocks {
		at := func(attribute string) []string { return []string{"offer", strconv.Itoa(i), attribute} }
		t := instanceType{
			name: b.InstanceType, zone: b.Zone, cpus: 1,
			memory: r.size(at("memory"), b.Memory), gpuType: b.GPUType,
			gpus:   r.count(at("gpus"), b.GPUs, 0),
			limit:  r.count(at("limit"), b.Limit, 0),
			prices: map[providers.CapacityType]float64{},
		}
		if b.CPUs != nil {
			t.cpus = *b.CPUs
		}
		if !(t.cpus > 0) {
			r.fault(at("cpus"), "An instance has more than no CPUs", "Give a number above 0.")
		}
		t.prices[providers.Spot] = r.price(at("spot_price"), b.SpotPrice, t.cpus*c.prices[providers.Spot])
		t.prices[providers.OnDemand] = r.price(at("on_demand_price"), b.OnDemandPrice, t.cpus*c.prices[providers.OnDemand])
		if t.name == "" {
			r.fault(at("instance_type"), "The offer names no instance type", `Write instance_type = "local.large", for example.`)
		}
		if t.zone != "" && !slices.Contains(c.zones, t.zone) {
			r.fault(at("zone"), fmt.Sprintf("There is no zone %q", t.zone), "The zones are "+strings.Join(c.zones, ", ")+".")
		}
		for _, other := range c.types {
			if other.name == t.name && (other.zone == t.zone || other.zone == "" || t.zone == "") {
				r.fault(at("instance_type"), fmt.Sprintf("%s is offered twice in a zone", t.name), "Give each offer a name of its own, or zones that differ.")
			}
		}
		c.types = append(c.types, t)
	}
}

func (r *reader) events(c *config, blocks []eventBlock) {
	for i, b := range blocks {
		at := func(attribute string) []string { return []string{"event", strconv.Itoa(i), attribute} }
		e := event{
			instance: r.count(at("instance"), b.Instance, 1),
			capacity: r.oneOf(at("capacity"), b.Capacity, "spot", "spot", "on-demand", "any"),
			step:     step{Action: action(r.oneOf(at("action"), b.Action, string(actionPreempt), actionNames()...)), Notice: c.notice},
		}
		if b.Notice != nil {
			e.step.Notice = r.duration(at("notice"), b.Notice, 0)
		}
		moments := 0
		if b.After != nil {
			moments++
			e.step.After = r.duration(at("after"), b.After, 0)
		}
		if b.Checkpoint != nil {
			moments++
			e.step.Checkpoint = r.count(at("checkpoint"), *b.Checkpoint, 1)
		}
		if b.DuringSave != nil {
			moments++
			e.step.DuringSave = r.count(at("during_save"), *b.DuringSave, 1)
		}
		switch {
		case e.step.Action == actionNeverBoot && moments > 0:
			r.fault(at("action"), "never-boot takes no moment", "Leave after, checkpoint and during_save out.")
		case e.step.Action != actionNeverBoot && moments != 1:
			r.fault([]string{"event", strconv.Itoa(i)}, "An event has exactly one moment", "Give one of after, checkpoint and during_save.")
		}
		c.events = append(c.events, e)
	}
}

func (r *reader) refusals(c *config, blocks []capacityErrorBlock) {
	for i, b := range blocks {
		at := func(attribute string) []string { return []string{"capacity_error", strconv.Itoa(i), attribute} }
		f := refusal{
			zone: b.Zone, instanceType: b.InstanceType,
			capacity: r.oneOf(at("capacity"), b.Capacity, "", "", "spot", "on-demand"),
			code:     providers.Code(r.oneOf(at("code"), b.Code, string(providers.CodeCapacity), capacityCodes()...)),
		}
		if b.Launches != nil {
			f.launches = r.count(at("launches"), *b.Launches, 1)
		}
		if b.For != nil {
			f.within = r.duration(at("for"), b.For, time.Nanosecond)
		}
		if (b.Launches == nil) == (b.For == nil) {
			r.fault([]string{"capacity_error", strconv.Itoa(i)}, "How long the launches fail is not clear", "Give one of launches and for.")
		}
		if f.zone != "" && !slices.Contains(c.zones, f.zone) {
			r.fault(at("zone"), fmt.Sprintf("There is no zone %q", f.zone), "The zones are "+strings.Join(c.zones, ", ")+".")
		}
		c.refusals = append(c.refusals, f)
	}
}

func (r *reader) oneOf(path []string, text, byDefault string, allowed ...string) string {
	if text == "" {
		return byDefault
	}
	if !slices.Contains(allowed, text) {
		r.fault(path, fmt.Sprintf("%q is not known here", text), "It is one of "+strings.Join(allowed, ", ")+".")
	}
	return text
}

func (r *reader) duration(path []string, text *string, least time.Duration) time.Duration {
	if text == nil || *text == "" {
		return 0
	}
	d, err := time.ParseDuration(*text)
	if err != nil || d < least {
		r.fault(path, fmt.Sprintf("%q is no duration that can be used here", *text), `Write it as "90s" or "1h30m", and not below zero.`)
	}
	return d
}

func (r *reader) size(path []string, text string) int64 {
	if text == "" {
		return 0
	}
	n, err := humanize.ParseBytes(text)
	if err != nil || n == 0 || n > math.MaxInt64 {
		r.fault(path, fmt.Sprintf("%q is no size", text), `Write it as "512MiB" or "16GiB".`)
		return 0
	}
	return int64(n)
}

func (r *reader) count(path []string, n float64, least int) int {
	if n != math.Trunc(n) || n < float64(least) || n > 1e6 {
		r.fault(path, fmt.Sprintf("%v is no number that can be used here", n), fmt.Sprintf("Give a whole number from %d on.", least))
		return least
	}
	return int(n)
}

func (r *reader) price(path []string, n *float64, byDefault float64) float64 {
	if n == nil {
		return byDefault
	}
	if !(*n >= 0) || math.IsInf(*n, 0) {
		r.fault(path, "A price is not below zero", "Give dollars an hour, such as 0.03.")
	}
	return *n
}
