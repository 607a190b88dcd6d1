package plan

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/spotrelay/spotrelay/providers"
)

// launchTries is how often a launch that the cloud does not answer is repeated
// with its token, before a listing settles what it rented.
const launchTries = 5

// launchPause is the pause after the nth failed try of a launch.
func launchPause(n int) Time { return min(time.Second<<min(n-1, 10), time.Minute) }

// callLaunch makes the call of an open intent.
func (t *tick) callLaunch(l *Launch) {
	t.act(Action{Launch: &ActionLaunch{LaunchOpened: l.LaunchOpened, Opened: l.Opened}})
}

// launchAnswer takes the answer to a launch call in.
func (t *tick) launchAnswer(a LaunchAnswer) {
	l := t.Launches[a.Token]
	if l == nil || l.Answered {
		return // settled before; what it rented beside shows in a listing
	}
	switch {
	case a.Expired, a.Err != nil && a.Err.Code == providers.CodeTokenMismatch:
		t.settleLater(l)
	case a.Err == nil:
		t.rented(l, a.Result)
	case a.Err.Code.Final():
		t.refused(l, a.Err)
		t.fail(a.Err.Code, errorText(l.Fleet, a.Err))
	case a.Err.Code == providers.CodeUnavailable || a.Err.Code == providers.CodeThrottled:
		t.launchFailed(l, a.Err)
	default: // capacity and the like: nothing was rented, by the cloud's word
		t.refused(l, a.Err)
		for _, o := range l.Offers {
			t.coolPool(l.Fleet, providers.Failure{Pool: o.Pool(), Code: a.Err.Code, Message: a.Err.Message})
		}
	}
}

// rented takes in what a launch gave.
func (t *tick) rented(l *Launch, result providers.LaunchResult) {
	token, fleet, offers := l.Token, l.Fleet, l.Offers
	if l.Tries > 0 {
		// What a call before rented may have been found by a listing since, and
		// have ended: it must not count twice.
		result.Instances = slices.DeleteFunc(slices.Clone(result.Instances), func(i providers.Instance) bool {
			return i.State == providers.StateTerminated
		})
	}
	t.emit(Event{LaunchAnswered: &LaunchAnswered{Token: token, Instances: result.Instances, Failures: result.Failures}})
	t.emit(Event{LaunchClosed: &LaunchClosed{Token: token}})
	for _, inst := range result.Instances {
		t.greet(inst.ID)
	}
	cooled := false
	for _, f := range sorted(result.Failures, func(a, b providers.Failure) int {
		return strings.Compare(fmt.Sprint(a.Pool, a.Code), fmt.Sprint(b.Pool, b.Code))
	}) {
		if f.Pool.Capacity == "" && len(offers) > 0 {
			f.Pool.Capacity = offers[0].Capacity
		}
		if f.Code.Final() {
			t.fail(f.Code, "fleet "+fleet+": launch: "+f.Message)
			continue
		}
		t.coolPool(fleet, f)
		cooled = cooled || t.coolsOneOf(fleet, offers)
	}
	if len(result.Instances) >= l.Count || cooled {
		return
	}
	// It gave too few and blamed none of what it was offered: leave what gave
	// nothing, or else all of it, so that the rest is not asked for again and
	// again.
	gave := map[providers.Pool]bool{}
	for _, inst := range result.Instances {
		gave[inst.Offer.Pool()] = true
	}
	for _, o := range offers {
		if !gave[o.Pool()] || len(gave) >= len(offers) {
			t.coolPool(fleet, providers.Failure{Pool: o.Pool(), Code: providers.CodeCapacity, Message: "the launch gave too few"})
		}
	}
}

func (t *tick) coolsOneOf(fleet string, offers []providers.Offer) bool {
	for _, o := range offers {
		if t.cooling(poolKey{fleet, o.Pool()}) != 0 {
			return true
		}
	}
	return false
}

// refused closes an intent whose call rented nothing.
func (t *tick) refused(l *Launch, err *providers.Error) {
	token := l.Token
	t.emit(Event{LaunchAnswered: &LaunchAnswered{
		Token: token, Error: &LaunchError{Code: err.Code, Message: err.Message}}})
	t.emit(Event{LaunchClosed: &LaunchClosed{Token: token, Reason: string(err.Code)}})
}

// launchFailed notes a call that may or may not have rented something. It is
// repeated with its token for a while, then settled by a listing.
func (t *tick) launchFailed(l *Launch, err *providers.Error) {
	t.emit(Event{LaunchAnswered: &LaunchAnswered{
		Token: l.Token, Error: &LaunchError{Code: err.Code, Message: err.Message}}})
	if l.Tries >= launchTries {
		t.settleLater(l)
		return
	}
	if wait := t.now + err.After; wait > l.Retry {
		t.work.notBefore[l.Token] = wait
	}
}

// settleLater gives an intent's token up: a listing shows what it rented.
func (t *tick) settleLater(l *Launch) {
	if l.Error == nil {
		t.emit(Event{LaunchAnswered: &LaunchAnswered{Token: l.Token, Error: &LaunchError{
			Code: providers.CodeTokenMismatch, Message: "the token may not be used again"}}})
	}
	if _, ok := t.work.settling[l.Token]; !ok {
		t.work.settling[l.Token] = t.now
	}
	t.list(l.Fleet)
}

// settle closes the intents that a listing has shown all of.
func (t *tick) settle(l Listing) {
	for _, token := range sortedKeys(t.work.settling) {
		open := t.Launches[token]
		if open == nil {
			delete(t.work.settling, token)
			continue
		}
		if open.Fleet == l.Fleet && l.Begun > max(t.work.settling[token], open.Tried)+l.Lag {
			t.emit(Event{LaunchClosed: &LaunchClosed{Token: token, Reason: "settled by a listing"}})
			for _, o := range open.Offers {
				t.coolPool(open.Fleet, providers.Failure{Pool: o.Pool(), Code: providers.CodeUnavailable,
					Message: "the launch call had no answer"})
			}
		}
	}
}

// repeatLaunches calls again, with its token, what the cloud did not answer.
// When the run is over there is nothing more to rent, so it is settled.
func (t *tick) repeatLaunches() {
	for _, token := range sortedKeys(t.Launches) {
		l := t.Launches[token]
		if l.Answered || l.Error == nil {
			continue
		}
		if _, settling := t.work.settling[token]; settling {
			continue
		}
		if t.over() || t.Paused || l.Tries >= launchTries || l.Error.Code == providers.CodeTokenMismatch {
			t.settleLater(l)
			continue
		}
		at := max(l.Retry, t.work.notBefore[token])
		if at > t.now {
			t.wakeAt(at)
			continue
		}
		if t.work.called[token] < l.Tries {
			t.work.called[token] = l.Tries
			t.callLaunch(l)
		}
	}
}

// greet takes in what an instance wrote before it was known.
func (t *tick) greet(id string) {
	if st, ok := t.work.early[id]; ok && t.Instances[id] != nil {
		delete(t.work.early, id)
		t.status(&st)
	}
}

// errorText is a provider's error for people: its words, its call, what to do.
func errorText(fleet string, err *providers.Error) string {
	return "fleet " + fleet + ": " + err.Error()
}

// fail ends the run at once.
func (t *tick) fail(code providers.Code, reason string) {
	if t.Fault != "" || t.Cancel || t.Outcome != "" {
		return
	}
	t.emit(Event{RunFailing: &RunFailing{Code: code, Reason: reason}})
	t.endAllUnassigned("the run failed: " + reason)
}

// over reports whether nothing more is to be rented, whatever comes.
func (s *State) over() bool {
	return s.Fault != "" || s.Stop != nil || s.Outcome != "" || s.Cancel && (s.CancelFinally || !s.finallyOpen())
}
