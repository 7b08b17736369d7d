package cache

import (
	"net/http"
	"time"

	"github.com/penstock/penstock/cachepolicy"
)

// use is the way in which a fill uses an answer of the origin.
type use uint8

const (
	useRelay        use = iota // only the leader's client gets it
	useStale                   // the stored response is served in its place
	useFreshen                 // it freshens the stored response
	useCombine                 // it is a part, and is combined with the stored parts
	useNone                    // it does not fit the stored response: the fill asks for all of it
	useStream                  // it is stored, and all waiting requests read it as it arrives
	useStreamAlone             // it is stored, but each waiting request must validate it (RFC 9111 §4)
	useTooLarge                // the leader alone gets it: the slowest reader would hold up the rest
	useRefusal                 // it is an error: the leader gets it, and the rest retry one by one
	useFailure                 // there is no answer: all waiting requests get the failure
	useMisplaced304            // it answers a condition that the fill did not set
)

// taken is an answer together with the verdict on it.
type taken struct {
	came *answer // as received from the origin
	a    *answer // came, or the error page in its place
	v    *cachepolicy.Verdict
}

// useOf decides how the fill uses an answer, and the Cache-Status for it. A fill carries the
// decision out, and an explanation prints it.
func (j *job) useOf(t *taken, now time.Time) (use, cachepolicy.CacheStatus) {
	v := t.v
	out := cachepolicy.CacheStatus{Forward: j.ForwardOf(j.d), ForwardStatus: t.came.facts.Status, Reason: v.Reason}
	switch v.Effect {
	case cachepolicy.KeepStale:
		out.TTL, out.HasTTL = j.x.res.StaleDecision(j.stored, now, v.Reason).TTL, true
		return useStale, out
	case cachepolicy.Freshen:
		out.TTL, out.HasTTL = v.Meta.Lifetime-v.Meta.Age(now), true
		return useFreshen, out
	case cachepolicy.Combine:
		return useCombine, out
	case cachepolicy.Refetch:
		return useNone, out
	case cachepolicy.Store:
		switch {
		case j.x.res.Outgrows(&v.Meta, t.a.resp.ContentLength):
			out.Reason = cachepolicy.ReasonTooLarge
			return useTooLarge, out
		case v.Meta.Reusable(now):
			return useStream, out
		}
		return useStreamAlone, out
	}
	return j.relayOf(t), out
}

// relayOf is useOf for an answer that is not stored.
func (j *job) relayOf(t *taken) use {
	switch {
	case t.a.err != nil:
		return useFailure
	case t.v.Effect != cachepolicy.Drop && t.came.status() >= http.StatusInternalServerError:
		return useRefusal
	case t.a.facts.Status == http.StatusNotModified && !j.conditional:
		return useMisplaced304
	}
	return useRelay
}
