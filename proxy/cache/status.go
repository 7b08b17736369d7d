package cache

import (
	"cmp"
	"encoding/hex"
	"net/http"
	"strings"
	"time"

	"github.com/penstock/penstock/cachepolicy"
	"github.com/penstock/penstock/proxy/observe"
)

// note records in the Event what became of x.
func (x *exchange) note(reply *Reply) {
	ev, out := x.ev, &reply.outcome
	ev.Cache = x.outcomeOf(reply)
	ev.Hit, ev.Stored, ev.Collapsed = out.Hit, out.Stored, out.Collapsed
	ev.TTL, ev.Age, ev.Reason = out.TTL, reply.decision.Age, out.Reason.String()
	if out.ForwardStatus != 0 {
		ev.UpstreamStatus = out.ForwardStatus
	}
	reply.call.note(ev)
	if out.Hit {
		ev.Tier = cmp.Or(reply.tier, x.tier)
	} else {
		ev.ForwardFor = out.Forward.String()
	}
}

// outcomeOf is what the cache did for x, in a word.
func (x *exchange) outcomeOf(reply *Reply) string {
	out := &reply.outcome
	switch {
	case x.ev.Action == "" || x.ev.Action == cachepolicy.Pass.String():
		return observe.CachePass
	case out.Collapsed:
		return observe.CacheCollapsed
	case reply.Entry == nil:
		return observe.CacheMiss
	case x.refreshing:
		return observe.CacheRefreshed
	case reply.decision.Action == cachepolicy.ServeStale || out.Hit && out.TTL < 0:
		return observe.CacheStale
	case out.Hit:
		return observe.CacheHit
	case out.Reason == cachepolicy.ReasonCombined:
		return observe.CacheMiss
	}
	return observe.CacheRevalidated
}

func keyText(k cachepolicy.Key) string { return hex.EncodeToString(k.Hash[:8]) }

// forwardOf is why x went to the origin, in RFC 9211's words.
func (c *Cache) forwardOf(x *exchange, d cachepolicy.Decision) cachepolicy.Forward {
	if x.varyMiss && d.Reason == cachepolicy.ReasonMiss {
		return cachepolicy.ForwardVaryMiss
	}
	return d.Reason.Forward()
}

// cacheStatus adds this cache's member behind those of caches nearer to the origin (RFC 9211 §2).
func (d *delivery) cacheStatus(h http.Header) {
	var buf [160]byte
	b := buf[:0]
	if before := h["Cache-Status"]; len(before) > 0 {
		b = append(append(b, strings.Join(before, ", ")...), ", "...)
	}
	h["Cache-Status"] = d.value(valueStatus, string(cachepolicy.AppendCacheStatus(b, d.c.Name, d.reply.outcome)))
}

// age is how old the delivered response is now. A response that comes straight from the origin has the age it came with.
func (d *delivery) age() time.Duration {
	if d.reply.landing != nil {
		return d.reply.landing.facts.Age(d.c.Now())
	}
	return d.reply.decision.Age
}
