package cachepolicy

import (
	"math"
	"net/http"
	"time"
)

// Decide says whether the cache may answer q at now with stored, the response that Select chose,
// and if not, what it must ask the origin (RFC 9111 §4). stored is nil if the store has no
// response. chance, in [0, 1), decides about an early refresh; 0 never causes one.
//
// A request that Key refuses gets Pass. If the reason is ReasonCookie, the caller must act as if
// nothing were stored. Decide allocates only for a Range request on a stored part.
func (r *Rules) Decide(q *Request, stored *Meta, now time.Time, chance float64) Decision {
	if !r.Enabled {
		return Decision{Action: Pass, Reason: ReasonDisabled}
	}
	if why := r.bypassReason(q); why != ReasonNone {
		return Decision{Action: Pass, Reason: why}
	}
	cc := r.requestControl(q)
	d := r.consider(q, &cc, stored, now, chance)
	switch {
	case cc.any(hasOnlyIfCached) && d.asks():
		d.Action, d.Reason, d.Ask, d.HasAsk = Refuse, ReasonOnlyIfCached, Span{}, false // RFC 9111 §5.2.1.7
	case cc.any(hasNoStore):
		d.Action, d.Reason, d.Ask, d.HasAsk = Pass, ReasonRequestNoStore, Span{}, false
	}
	return d
}

// asks reports whether the client has to wait for the origin.
func (d *Decision) asks() bool {
	return d.Action == Fetch || d.Action == Revalidate || d.Action == Pass
}

// requestControl reads the client's cache directives, unless the rules ignore them.
func (r *Rules) requestControl(q *Request) cacheControl {
	if r.IgnoreClient {
		return cacheControl{}
	}
	return parseRequestControl(q.Header)
}

// consider decides for a request that the cache may handle.
func (r *Rules) consider(q *Request, cc *cacheControl, stored *Meta, now time.Time, chance float64) Decision {
	if stored == nil {
		return Decision{Action: Fetch, Reason: ReasonMiss}
	}
	if !r.Shares(q, stored) {
		return Decision{Action: Fetch, Reason: ReasonCookie} // as if nothing were stored: validation would not help
	}
	d := Decision{Age: stored.Age(now)}
	d.TTL = stored.Lifetime - d.Age
	if !holds(q, stored) {
		return d.complete(q, cc, stored)
	}
	switch why := unacceptable(cc, stored, &d); {
	case why == ReasonNoCache || why != ReasonNone && d.TTL > 0:
		return d.validate(stored, why)
	case why != ReasonNone:
		return d.validate(stored, ReasonStale) // it would need validation even without the request's directive
	case d.TTL > 0: // RFC 9111 §4.2: response_is_fresh = (freshness_lifetime > current_age)
		return d.serveFresh(r.refreshesEarly(stored, d.TTL, chance))
	}
	return d.serveStale(cc, stored)
}

// unacceptable returns the reason why a stored response, fresh or stale, must not be used without
// validation: a directive of the response or of the request forbids it. It returns ReasonNone if no
// directive does.
//
// It ignores the max-age of a request if the stored response is fresh and immutable. RFC 8246 §2
// defines immutable so that the reload of a page, which browsers express as max-age=0, does not
// reach the origin. A forced reload, which sends no-cache, still reaches it.
func unacceptable(cc *cacheControl, stored *Meta, d *Decision) Reason {
	switch {
	case stored.Flags&FlagNoCache != 0:
		return ReasonNoCache // RFC 9111 §5.2.2.4
	case cc.any(hasNoCache):
		return ReasonRequestNoCache // RFC 9111 §5.2.1.4
	case cc.any(hasMaxAge) && (d.Age > cc.maxAge || cc.maxAge == 0) && !(stored.Flags&FlagImmutable != 0 && d.TTL > 0):
		return ReasonRequestMaxAge // RFC 9111 §5.2.1.1
	case cc.any(hasMinFresh) && d.TTL < cc.minFresh:
		return ReasonRequestMinFresh // RFC 9111 §5.2.1.3
	}
	return ReasonNone
}

// serveFresh answers from the store. If early is set, the cache also refreshes the response in the
// background.
func (d Decision) serveFresh(early bool) Decision {
	d.Action = Serve
	if early {
		d.Action, d.Reason = ServeAndRefresh, ReasonEarlyRefresh
	}
	return d
}

// refreshesEarly applies the XFetch rule. The probability of a refresh grows as the end of the
// lifetime comes near, and it grows sooner if the origin is slow. So one of many requests refreshes
// the response before all of them have to wait.
func (r *Rules) refreshesEarly(stored *Meta, ttl time.Duration, chance float64) bool {
	if r.EarlyBeta <= 0 || stored.FillTime <= 0 || chance <= 0 || !stored.Complete() {
		return false
	}
	return float64(stored.FillTime)*r.EarlyBeta*-math.Log(chance) >= float64(ttl)
}

// serveStale decides about a stale response. It serves the response if that is explicitly allowed
// (RFC 9111 §4.2.4), and asks the origin otherwise.
func (d Decision) serveStale(cc *cacheControl, stored *Meta) Decision {
	staleness := -d.TTL
	switch {
	case staleness < stored.StaleRevalid: // RFC 5861 §3; if stale responses are forbidden, Settle has set no window
		d.Action, d.Reason = ServeAndRefresh, ReasonStaleWhileRevalidate
	case cc.any(hasMaxStale) && staleness <= cc.maxStale && stored.Flags&FlagMustRevalidate == 0 && stored.Lifetime > 0:
		// RFC 9111 §5.2.1.2: the response "has exceeded its freshness lifetime", so it must have
		// had one.
		d.Action, d.Reason = ServeStale, ReasonMaxStale
	default:
		return d.validate(stored, ReasonStale)
	}
	return d
}

// validate asks the origin. The request is conditional if the stored response has a validator (RFC
// 9111 §4.3).
func (d Decision) validate(stored *Meta, why Reason) Decision {
	d.Action, d.Reason = Fetch, why
	if stored.hasValidator() {
		d.Action = Revalidate
	}
	return d
}

// holds reports whether the stored bytes suffice for a response to q. A HEAD request is never
// answered from a part, because the stored fields are those of a 206.
func holds(q *Request, stored *Meta) bool {
	return stored.Complete() || q.Method == http.MethodGet && PlanRange(q, stored).Kind != Missing
}

// complete asks the origin for the bytes that a stored part lacks. Only a fresh part is worth
// completing. A stale part would first need validation, and asking for the whole response costs no
// more than both (RFC 9111 §3.4).
func (d Decision) complete(q *Request, cc *cacheControl, stored *Meta) Decision {
	d.Action, d.Reason = Fetch, ReasonPartial
	if d.TTL > 0 && unacceptable(cc, stored, &d) == ReasonNone {
		d.Ask, d.HasAsk = oneGap(q, stored)
	}
	return d
}

// oneGap returns the bytes that stored lacks to answer q. It reports false if they are not one
// span. If the gap ends at the end of the representation, Last is -1, "to the end", which needs no
// total.
func oneGap(q *Request, stored *Meta) (gap Span, ok bool) {
	if q.Method != http.MethodGet || stored.Flags&FlagInconsistent != 0 {
		return Span{}, false
	}
	held := stored.Spans
	line, ranged := rangeLine(q, stored)
	if !ranged && stored.Total < 0 {
		// The request wants all bytes, and their number is unknown. A single part from the
		// beginning lacks all bytes after it.
		return Span{First: held[0].Last + 1, Last: -1}, len(held) == 1 && held[0].First == 0
	}
	want := Span{First: 0, Last: stored.Total - 1}
	if ranged {
		spans, kind := ParseRange(line, stored.Total)
		if kind != Partial || len(spans) != 1 {
			return Span{}, false
		}
		want = spans[0]
	}
	gaps := MissingSpans(want, held)
	if len(gaps) != 1 {
		return Span{}, false
	}
	gap = gaps[0]
	if gap.Last == stored.Total-1 {
		gap.Last = -1
	}
	return gap, true
}
