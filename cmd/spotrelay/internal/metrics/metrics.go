// Package metrics tells Prometheus what a serving controller does.
package metrics

import (
	"net/http"
	"sync"

	"github.com/prometheus/client_golang/prometheus"
	"github.com/prometheus/client_golang/prometheus/collectors"
	"github.com/prometheus/client_golang/prometheus/promhttp"

	"github.com/spotrelay/spotrelay/runner/plan"
	"github.com/spotrelay/spotrelay/runner/serve"
)

// Metrics is a registry of its own and what is counted in it. It is a
// serve.Watcher.
type Metrics struct {
	registry *prometheus.Registry

	runs        *prometheus.GaugeVec // by what they are to this controller
	controllers prometheus.Gauge
	looks       *prometheus.CounterVec
	entries     prometheus.Counter
	attempts    *prometheus.CounterVec
	cost        prometheus.Counter
	notices     prometheus.Counter
	left        *prometheus.CounterVec
	requests    *prometheus.CounterVec
	requestTime *prometheus.HistogramVec
	sent        prometheus.Counter

	mu        sync.Mutex
	instances map[string]map[group]int // by run
}

type group struct {
	fleet, capacity, phase string
}

var _ serve.Watcher = (*Metrics)(nil)

// New makes the metrics of one controller; version is spotrelay's.
func New(version string) *Metrics {
	m := &Metrics{registry: prometheus.NewRegistry(), instances: map[string]map[group]int{}}
	gauge := func(name, help string, labels ...string) *prometheus.GaugeVec {
		v := prometheus.NewGaugeVec(prometheus.GaugeOpts{Namespace: "spotrelay", Name: name, Help: help}, labels)
		m.registry.MustRegister(v)
		return v
	}
	counter := func(name, help string, labels ...string) *prometheus.CounterVec {
		v := prometheus.NewCounterVec(prometheus.CounterOpts{Namespace: "spotrelay", Name: name, Help: help}, labels)
		m.registry.MustRegister(v)
		return v
	}
	gauge("build_info", "The version, with the value 1.", "version").WithLabelValues(version).Set(1)
	m.runs = gauge("runs", "Runs that are not over: live (in the bucket), held (controlled here), failing (cannot be controlled here now).", "state")
	m.controllers = gauge("controllers", "Controllers of the bucket that live, this one among them.").WithLabelValues()
	m.looks = counter("looks_total", "Looks at the bucket for runs.", "outcome")
	m.entries = counter("journal_entries_total", "Entries journalled.").WithLabelValues()
	m.attempts = counter("attempts_ended_total", "Attempts that ended, by class and cause.", "class", "cause")
	m.cost = counter("instance_cost_dollars_total", "Cost of instances that are gone, by their offers' prices.").WithLabelValues()
	m.notices = counter("interruption_notices_total", "Interruption notices seen.").WithLabelValues()
	m.left = counter("runs_left_total", "Runs that are controlled here no more: over, or given up.", "outcome")
	m.requests = counter("bucket_requests_total", "Requests to the bucket, by operation and outcome.", "op", "outcome")
	m.sent = counter("bucket_sent_bytes_total", "Bytes written to the bucket by the controller.").WithLabelValues()
	m.requestTime = prometheus.NewHistogramVec(prometheus.HistogramOpts{
		Namespace: "spotrelay", Name: "bucket_request_seconds", Help: "Time of a request to the bucket; of a listing, per page at least.",
		Buckets: prometheus.ExponentialBuckets(0.001, 4, 9),
	}, []string{"op"})
	m.registry.MustRegister(m.requestTime, collectors.NewGoCollector(), collectors.NewProcessCollector(collectors.ProcessCollectorOpts{}), m)
	return m
}

// Handler serves the metrics.
func (m *Metrics) Handler() http.Handler {
	return promhttp.HandlerFor(m.registry, promhttp.HandlerOpts{})
}

// Looked implements serve.Watcher.
func (m *Metrics) Looked(view serve.View, err error) {
	m.looks.WithLabelValues(outcome(err)).Inc()
	m.runs.WithLabelValues("live").Set(float64(view.Live))
	m.runs.WithLabelValues("held").Set(float64(view.Held))
	m.runs.WithLabelValues("failing").Set(float64(view.Failing))
	m.controllers.Set(float64(view.Controllers))
}

func outcome(err error) string {
	if err != nil {
		return "failed"
	}
	return "succeeded"
}

// Happened implements serve.Watcher.
func (m *Metrics) Happened(_ string, events []plan.Event) {
	m.entries.Inc()
	for _, e := range events {
		switch {
		case e.AttemptEnded != nil:
			m.attempts.WithLabelValues(string(e.AttemptEnded.Class), string(e.AttemptEnded.Cause)).Inc()
		case e.InstanceGone != nil:
			m.cost.Add(max(e.InstanceGone.Cost, 0))
		case e.InstanceNoticed != nil && !e.InstanceNoticed.Withdrawn:
			m.notices.Inc()
		}
	}
}

// Ticked implements serve.Watcher.
func (m *Metrics) Ticked(run string, state *plan.State) {
	instances := map[group]int{}
	for _, i := range state.Instances {
		instances[group{i.Fleet, string(i.Offer.Capacity), string(i.Phase)}]++
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	m.instances[run] = instances
}

// Left implements serve.Watcher.
func (m *Metrics) Left(run string, err error) {
	m.left.WithLabelValues(outcome(err)).Inc()
	m.mu.Lock()
	defer m.mu.Unlock()
	delete(m.instances, run)
}

var instancesDesc = prometheus.NewDesc("spotrelay_instances",
	"Instances of the runs that are controlled here, not yet gone.", []string{"fleet", "capacity", "phase"}, nil)

// Describe implements prometheus.Collector.
func (m *Metrics) Describe(descriptions chan<- *prometheus.Desc) { descriptions <- instancesDesc }

// Collect implements prometheus.Collector: the sums over all runs.
func (m *Metrics) Collect(found chan<- prometheus.Metric) {
	m.mu.Lock()
	sums := map[group]int{}
	for _, groups := range m.instances {
		for g, n := range groups {
			sums[g] += n
		}
	}
	m.mu.Unlock()
	for g, n := range sums {
		found <- prometheus.MustNewConstMetric(instancesDesc, prometheus.GaugeValue, float64(n), g.fleet, g.capacity, g.phase)
	}
}
