package cache

import (
	"net/http"
	"strings"
	"time"

	"github.com/penstock/penstock/cachepolicy"
	"github.com/penstock/penstock/proxy/store"
)

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
	h["Cache-Status"] = []string{string(cachepolicy.AppendCacheStatus(b, d.c.name, d.reply.outcome))}
}

// age is how old the delivered response is now. A response that comes straight from the origin has the age it came with.
func (d *delivery) age() time.Duration {
	if d.reply.landing != nil {
		return d.reply.landing.facts.Age(d.c.now())
	}
	return d.reply.decision.Age
}

// addFields adds the stored field lines to h: the names are canonical, and all values share one array.
func addFields(h http.Header, rep *store.Representation) {
	values := make([]string, 0, strings.Count(rep.Head, "\n"))
	for name, value := range rep.Fields() {
		if before := h[name]; before != nil {
			h[name] = append(before, value)
			continue
		}
		values = append(values, value)
		h[name] = values[len(values)-1 : len(values) : len(values)]
	}
}
