//go:build unix

package agent

import (
	"context"
	"time"

	"github.com/spotrelay/spotrelay/checkpointing"
	"github.com/spotrelay/spotrelay/runner/agent/window"
	"github.com/spotrelay/spotrelay/runner/job"
)

const (
	// lookEvery is how often it is looked what a save would take.
	lookEvery = 5 * time.Second
	// lookWithin bounds a look.
	lookWithin = 2 * time.Second
	// worse: a save that did not fit and takes so much longer now is told again.
	worse = 1.5
)

// outlook is what the next save of a directory would have to do, at the last
// look. Guarded by the saver's lock.
type outlook struct {
	now    checkpointing.Estimate
	known  bool
	looked time.Time
	took   time.Duration
	said   time.Duration // what the save took that was warned of last; 0: it fitted
}

// look looks what a save would have to do.
func (s *saver) look(ctx context.Context) {
	ctx, cancel := context.WithTimeout(ctx, lookWithin)
	defer cancel()
	begun := time.Now()
	now, err := s.estimate(ctx)
	s.mu.Lock()
	s.looked, s.took = time.Now(), time.Since(begun)
	if err == nil {
		s.now, s.known = now, true
	}
	s.mu.Unlock()
	if err == nil {
		s.warn()
	}
}

// estimate is what a save would have to do. A dump is made at the save, so
// there is nothing to look at: it will be as the last one was.
func (s *saver) estimate(ctx context.Context) (checkpointing.Estimate, error) {
	if s.t.transparent == nil {
		return s.t.agent.engine.Estimate(ctx, s.dir, checkpointing.EstimateOptions{Base: s.newest()})
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	e := checkpointing.Estimate{BytesLikely: s.sent}
	if s.base != nil {
		e.Bytes, e.BytesChanged = s.base.Bytes, s.base.Bytes
	}
	return e, nil
}

// lookNowAndThen looks until ctx ends, but takes only a small part of the time
// for it.
func (s *saver) lookNowAndThen(ctx context.Context) {
	for {
		s.look(ctx)
		s.mu.Lock()
		pause := max(s.t.agent.lookEvery, lookShare*s.took)
		s.mu.Unlock()
		if !sleep(ctx, pause) {
			return
		}
	}
}

// forecast is what a save would take now, and whether that is known.
func (s *saver) forecast() (job.SaveForecast, bool) {
	pace, lead := s.t.agent.bandwidth.pace(), s.t.agent.noticeLead
	s.mu.Lock()
	defer s.mu.Unlock()
	f := window.Forecast{Send: s.now.BytesLikely, Read: s.now.BytesChanged, Since: time.Since(s.at), Notice: lead}
	result := job.SaveForecast{
		Name: s.spec.Name, Bytes: s.now.Bytes, Unsent: f.Send, Rate: int64(pace.Send), Notice: job.Duration(lead),
		Takes: job.Duration(pace.Time(f.Send, f.Read).Round(time.Millisecond)), Warning: f.Warning(pace),
	}
	if s.base != nil {
		result.SavedAgo = job.Duration(f.Since.Round(time.Millisecond))
	}
	return result, s.known
}

// warn says when a save would no longer fit into the notice, or would again:
// once for each change.
func (s *saver) warn() {
	f, ok := s.forecast()
	if !ok || s.t.hurried() {
		return
	}
	s.mu.Lock()
	said := s.said
	switch {
	case f.Warning != "" && float64(f.Takes) > worse*float64(said):
		s.said = f.Takes.D()
	case f.Warning == "" && said > 0:
		s.said = 0
	default:
		s.mu.Unlock()
		return
	}
	s.mu.Unlock()
	if f.Warning == "" {
		s.log.Info("a save fits into the notice again", "bytes", f.Unsent, "takes", f.Takes.D())
	} else {
		s.log.Warn("a save would not fit into the notice: "+f.Warning, "bytes", f.Unsent, "takes", f.Takes.D(), "notice", f.Notice.D())
		s.t.output.note("checkpoint %swould not fit into the notice: %s", s.label(), f.Warning)
	}
	s.t.agent.changed()
}

// forecasts are those of all directories of an attempt.
func (t *attempt) forecasts() []job.SaveForecast {
	var list []job.SaveForecast
	for _, s := range t.savers {
		if f, ok := s.forecast(); ok {
			list = append(list, f)
		}
	}
	return list
}
