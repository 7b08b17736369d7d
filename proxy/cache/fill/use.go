package fill

import (
	"net/http"
	"time"

	"github.com/penstock/penstock/cachepolicy"
)

// use is the way in which a fill uses an answer of the origin.
type use uint8

const (
	useRelay        use = iota // only the leader's client gets it
	UseStale                   // the stored response is served in its place
	UseFreshen                 // it freshens the stored response
	UseCombine                 // it is a part, and is combined with the stored parts
	UseNone                    // it does not fit the stored response: the fill asks for all of it
	UseStream                  // it is stored, and all waiting requests read it as it arrives
	UseStreamAlone             // it is stored, but each waiting request must validate it (RFC 9111 §4)
	useTooLarge                // the leader alone gets it: the slowest reader would hold up the rest
	useRefusal                 // it is an error: the leader gets it, and the rest retry one by one
	UseFailure                 // there is no answer: all waiting requests get the failure
	UseMisplaced304            // it answers a condition that the fill did not set
)

// Settled is an answer together with the verdict on it.
type Settled struct {
	Received *Answer // as received from the origin
	Answer   *Answer // came, or the error page in its place
	Verdict  *cachepolicy.Verdict
}

// UseOf decides how the fill uses an answer, and the Cache-Status for it. A fill carries the
// decision out, and an explanation prints it.
func (j *Job) UseOf(t *Settled, now time.Time) (use, cachepolicy.CacheStatus) {
	v := t.Verdict
	out := cachepolicy.CacheStatus{Forward: j.ForwardOf(j.Decision), ForwardStatus: t.Received.Facts.Status, Reason: v.Reason}
	switch v.Effect {
	case cachepolicy.KeepStale:
		out.TTL, out.HasTTL = j.Request.Route.StaleDecision(j.Stored, now, v.Reason).TTL, true
		return UseStale, out
	case cachepolicy.Freshen:
		out.TTL, out.HasTTL = v.Meta.Lifetime-v.Meta.Age(now), true
		return UseFreshen, out
	case cachepolicy.Combine:
		return UseCombine, out
	case cachepolicy.Refetch:
		return UseNone, out
	case cachepolicy.Store:
		switch {
		case j.Request.Route.Outgrows(&v.Meta, t.Answer.Response.ContentLength):
			out.Reason = cachepolicy.ReasonTooLarge
			return useTooLarge, out
		case v.Meta.Reusable(now):
			return UseStream, out
		}
		return UseStreamAlone, out
	}
	return j.relayOf(t), out
}

// relayOf is useOf for an answer that is not stored.
func (j *Job) relayOf(t *Settled) use {
	switch {
	case t.Answer.Err != nil:
		return UseFailure
	case t.Verdict.Effect != cachepolicy.Drop && t.Received.Status() >= http.StatusInternalServerError:
		return useRefusal
	case t.Answer.Facts.Status == http.StatusNotModified && !j.conditional:
		return UseMisplaced304
	}
	return useRelay
}
