package upstream

import (
	"errors"
	"net/http"
	"sync/atomic"
	"time"

	"github.com/penstock/penstock/proxy/upstream/fault"
	"github.com/penstock/penstock/proxy/upstream/send"
)

// outcome is the verdict on a target that follows from the end of a try.
type outcome uint8

const (
	silent  outcome = iota // nothing: the client left, the gateway or the request was at fault, or an idle connection had gone stale
	healthy                // it answers
	ailing                 // it answers, but its answers say that it does not work
	full                   // it did not process the request, but will process others: it ends the connection, or has too many requests at the moment
	broken                 // there is no connection to it, or the connection was lost before an answer
)

const (
	// ailingLimit is how many ailing tries in a row make a target broken. A single 503 can be about
	// its request; five in a row are about the target, as in Envoy's outlier detection.
	ailingLimit = 5
	// firstOut is how long the first failure leaves a target out. Each further one doubles it, up
	// to longestOut, which is nginx's fail_timeout.
	firstOut   = time.Second
	longestOut = 10 * time.Second
	// trialTime is how long one request alone tries a target that was left out. If it has no answer
	// by then, the next request is a trial too.
	trialTime = time.Second
)

// standing is the verdict on a target that follows from recent tries. The zero value is a target
// without a fault.
type standing struct {
	ailing   int       // ailing tries in a row
	failures int       // how often in a row the target was left out; 0: it is not
	since    time.Time // when it was left out last: tries that began before say nothing new
	until    time.Time // when it may be tried again
	trial    time.Time // until then a request that tries it again is under way
}

// after is the standing when a try that began at the given time ends with o at now.
func (s standing) after(o outcome, began, now time.Time) standing {
	switch {
	case o == silent || o == full || s.failures > 0 && began.Before(s.since):
		return s
	case o == healthy:
		return standing{}
	case s.failures > 0 && began.Before(s.until):
		return s // all targets are left out, and are tried all the same: that must not prolong it
	case o == ailing && s.failures == 0:
		if s.ailing++; s.ailing < ailingLimit {
			return s
		}
	}
	s.failures++
	s.since, s.until, s.trial = now, now.Add(backoff(s.failures)), time.Time{}
	return s
}

// backoff is how long the nth failure in a row leaves a target out.
func backoff(n int) time.Duration {
	if n > 4 {
		return longestOut
	}
	return min(longestOut, firstOut<<(n-1))
}

// out reports whether the balancer leaves the target out at now.
func (s standing) out(now time.Time) bool { return now.Before(s.until) || now.Before(s.trial) }

// tryAgain is the standing when a request is about to find out whether the target is back.
func (s standing) tryAgain(now time.Time) standing {
	s.trial = now.Add(trialTime)
	return s
}

// health holds the standing of a target. If a reload replaces a pool, the old and the new pool
// share it. Nil stands for the zero value.
type health struct{ now atomic.Pointer[standing] }

func (h *health) load() standing {
	if s := h.now.Load(); s != nil {
		return *s
	}
	return standing{}
}

// note records the end of a try.
func (h *health) note(o outcome, began, now time.Time) {
	h.change(func(s standing) standing { return s.after(o, began, now) })
}

// chosen records that a request is sent to the target. It reports false if another request is the
// trial that this one was to be.
func (h *health) chosen(now time.Time) bool {
	old := h.now.Load()
	if old == nil || old.failures == 0 || old.out(now) {
		return true // with no fault there is no trial; if it is left out, all targets are
	}
	trial := old.tryAgain(now)
	return h.now.CompareAndSwap(old, &trial)
}

func (h *health) change(f func(standing) standing) {
	for {
		old := h.now.Load()
		var was standing
		if old != nil {
			was = *old
		}
		is := f(was)
		if is == was {
			return
		}
		var next *standing
		if is != (standing{}) {
			next = new(standing) // &is would allocate for each call
			*next = is
		}
		if h.now.CompareAndSwap(old, next) {
			return
		}
	}
}

// inherit takes the standings of targets over from the pool that p replaces, unless the targets are
// reached in another way now.
func (p *Pool) inherit(before *Pool) {
	if before == nil || before.config.Protocol != p.config.Protocol || !before.config.TLS.equal(p.config.TLS) {
		return
	}
	for _, t := range p.targets {
		for _, old := range before.targets {
			if old.id == t.id {
				t.health = old.health
			}
		}
	}
}

// outcomeOf is the verdict that follows from a response with the given status, or from err. Only
// fast failures count: load shows slow ones already, because a request that waits is in flight.
// stale is true if the connection had gone bad while it was idle.
func outcomeOf(status int, err error, stale bool) outcome {
	if err == nil {
		return outcomeOfStatus(status)
	}
	var own *fault.Error
	if stale || !errors.As(err, &own) {
		return silent
	}
	switch own.Kind {
	case fault.DNSTimeout, fault.DNSError, fault.Unavailable, fault.Unroutable, fault.ConnectionRefused, fault.ConnectionTimeout, fault.ConnectionTerminated, fault.TLSProtocol, fault.TLSCertificate, fault.TLSAlert:
		return broken
	case fault.ProtocolError, fault.ResponseHeaderTooLarge, fault.ResponseIncomplete, fault.UpgradeFailed:
		return ailing
	}
	return silent
}

// outcomeOfFailure is the verdict that follows from a failed try.
func outcomeOfFailure(f send.Failure) outcome {
	if f.Unprocessed {
		return full
	}
	return outcomeOf(0, f.Err, f.Stale)
}

func outcomeOfStatus(status int) outcome {
	switch status {
	case http.StatusInternalServerError, http.StatusBadGateway, http.StatusServiceUnavailable, http.StatusGatewayTimeout:
		return ailing
	}
	return healthy
}

// candidates are the targets among which a balancer chooses: the untried ones that are not left
// out. If all untried ones are left out, they are candidates all the same. Nil stands for all
// targets.
func candidates(states []state) []int {
	untried, in := 0, 0
	for _, s := range states {
		if !s.tried {
			untried++
			if !s.out {
				in++
			}
		}
	}
	if in == len(states) || in == 0 && untried == len(states) {
		return nil
	}
	chosen := make([]int, 0, untried)
	for i, s := range states {
		if !s.tried && (in == 0 || !s.out) {
			chosen = append(chosen, i)
		}
	}
	return chosen
}
