package deliver

import (
	"net/http"
	"strings"
	"time"

	"github.com/penstock/penstock/cachepolicy"
)

// cacheStatus adds this cache's member behind the members of caches that are nearer to the origin
// (RFC 9211 §2).
func (d *Delivery) cacheStatus(h http.Header) {
	var buf [160]byte
	b := buf[:0]
	if before := h["Cache-Status"]; len(before) > 0 {
		b = append(append(b, strings.Join(before, ", ")...), ", "...)
	}
	h["Cache-Status"] = d.value(valueStatus, string(cachepolicy.AppendCacheStatus(b, d.Server.Name, d.Provenance.Status)))
}

// toldAge returns the Age for the delivered response, whose stored fields are in h. A response may
// be stale by a soft purge, or because the route bounds its lifetime, although its own fields still
// promise a lifetime. It is then sent with an age that uses that lifetime up.
func (d *Delivery) toldAge(h http.Header) time.Duration {
	if d.growing != nil {
		return d.growing.Facts.Age(d.Server.Now()) // it comes straight from the origin, with its age on arrival
	}
	age := d.Provenance.Decision.Age
	if d.Provenance.Decision.TTL > 0 {
		return age
	}
	return max(age, cachepolicy.DownstreamLifetime(h, d.received))
}

// Seconds returns an age in the whole seconds of the Age field (RFC 9111 §1.2.2).
func Seconds(age time.Duration) int64 { return int64(age.Seconds()) }
