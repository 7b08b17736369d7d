package cachepolicy

import (
	"math"
	"net/http"
	"time"
)

// Decide answers whether stored, the response that Select chose, may be used for q at now (RFC 9111 §4), and if not, what is to be
// asked of the origin. stored is nil when nothing is stored. chance, in [0, 1), decides about an early refresh; 0 never does.
// For a request that Key refuses it is not asked. It allocates nothing but for a Range request to a stored part.
func (r *Rules) Decide(q *Request, stored *Meta, now time.Time, chance float64) Decision {
	if !r.Enabled {
		return Decision{Action: Pass, Reason: ReasonDisabled}
	}
	if why := r.keepsAway(q); why != ReasonNone {
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

// asks reports whether the client's answer waits for the origin.
func (d *Decision) asks() bool {
	return d.Action == Fetch || d.Action == Revalidate || d.Action == Pass
}

// requestControl reads what the client asks of caches, if it is heard.
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
	d := Decision{Age: stored.Age(now)}
	d.TTL = stored.Lifetime - d.Age
	if !holds(q, stored) {
		return d.complete(q, cc, stored)
	}
	switch why := unacceptable(cc, stored, &d); {
	case why == ReasonNoCache || why != ReasonNone && d.TTL > 0:
		return d.validate(stored, why)
	case why != ReasonNone:
		return d.validate(stored, ReasonStale) // it would need validation even if the request had not said so
	case d.TTL > 0: // RFC 9111 §4.2: response_is_fresh = (freshness_lifetime > current_age)
		return d.serveFresh(r.refreshesEarly(stored, d.TTL, chance))
	}
	return d.serveStale(cc, stored)
}

// unacceptable tells why a stored response, fresh or stale, must not be used without validation: a directive of its own or of the
// request forbids it.
//
// The max-age of a request is not held against a fresh immutable response: RFC 8246 §2 made the directive so that the reload of a
// page, which browsers express as max-age=0, does not reach the origin. no-cache, the forced reload, still does.
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

// serveFresh answers from the store, and has it refreshed when its end is near.
func (d Decision) serveFresh(early bool) Decision {
	d.Action = Serve
	if early {
		d.Action, d.Reason = ServeAndRefresh, ReasonEarlyRefresh
	}
	return d
}

// refreshesEarly is the XFetch rule: refresh with a probability that grows as the end comes near, and the earlier the longer the
// origin takes, so that of many requests one refreshes before all have to wait.
func (r *Rules) refreshesEarly(stored *Meta, ttl time.Duration, chance float64) bool {
	if r.EarlyBeta <= 0 || stored.FillTime <= 0 || chance <= 0 || !stored.Complete() {
		return false
	}
	return float64(stored.FillTime)*r.EarlyBeta*-math.Log(chance) >= float64(ttl)
}

// serveStale decides about a stale response: serve it where that is explicitly allowed (RFC 9111 §4.2.4), else ask.
func (d Decision) serveStale(cc *cacheControl, stored *Meta) Decision {
	staleness := -d.TTL
	switch {
	case staleness < stored.StaleRevalid: // RFC 5861 §3; Settle has left no window where stale serving is forbidden
		d.Action, d.Reason = ServeAndRefresh, ReasonStaleWhileRevalidate
	case cc.any(hasMaxStale) && staleness <= cc.maxStale && stored.Flags&FlagMustRevalidate == 0:
		d.Action, d.Reason = ServeStale, ReasonMaxStale // RFC 9111 §5.2.1.2
	default:
		return d.validate(stored, ReasonStale)
	}
	return d
}

// validate asks the origin, with a condition if what is stored can be validated (RFC 9111 §4.3).
func (d Decision) validate(stored *Meta, why Reason) Decision {
	d.Action, d.Reason = Fetch, why
	if stored.hasValidator() {
		d.Action = Revalidate
	}
	return d
}

// holds reports whether all that a response to q needs is stored. A HEAD is not answered from a part: its fields are those of a 206.
func holds(q *Request, stored *Meta) bool {
	return stored.Complete() || q.Method == http.MethodGet && PlanRange(q, stored).Kind != Missing
}

// complete asks for what a stored part lacks. Only a fresh part is worth completing: a stale one would have to be validated first,
// and the whole asked for costs no more than both (RFC 9111 §3.4).
func (d Decision) complete(q *Request, cc *cacheControl, stored *Meta) Decision {
	d.Action, d.Reason = Fetch, ReasonPartial
	if d.TTL > 0 && unacceptable(cc, stored, &d) == ReasonNone {
		d.Ask, d.HasAsk = oneGap(q, stored)
	}
	return d
}

// oneGap is the span that stored lacks to answer q, if it is one. A gap at the end of the representation is asked for as "to the
// end", which needs no total.
func oneGap(q *Request, stored *Meta) (gap Span, ok bool) {
	if q.Method != http.MethodGet || stored.Flags&FlagInconsistent != 0 {
		return Span{}, false
	}
	held := stored.Spans
	line, ranged := rangeLine(q, stored)
	if !ranged && stored.Total < 0 {
		// All is wanted, and how much that is, is not known: one part from the beginning lacks all that follows.
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
