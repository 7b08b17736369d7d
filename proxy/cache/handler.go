package cache

import (
	"encoding/hex"
	"net/http"
	"net/url"

	"github.com/penstock/penstock/cachepolicy"
	"github.com/penstock/penstock/proxy/observe"
)

// Target gives the upstream's URL for a request, without scheme and authority.
type Target func(r *http.Request) (*url.URL, error)

// Handler answers requests of one route. The request is in canonical form and carries an observe.Event.
func (c *Cache) Handler(res *Resource) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		ev := observe.FromContext(r.Context())
		x := &exchange{ctx: r.Context(), res: res, r: r, q: view(r, ev.Scheme), ev: ev, target: r.URL}
		if res.Target != nil {
			target, err := res.Target(r)
			if err != nil {
				c.deliver(w, x, &Reply{failure: &failure{status: http.StatusBadRequest, proxyError: "http_request_error", detail: err.Error()}})
				return
			}
			x.target = target
		}
		x.interim = func(status int, h http.Header) { writeInterim(w, status, h) }
		c.deliver(w, x, c.do(x))
	})
}

// writeInterim sends a 1xx response. Its fields are not those of the final one.
func writeInterim(w http.ResponseWriter, status int, h http.Header) {
	own := w.Header()
	for name, values := range h {
		own[name] = values
	}
	w.WriteHeader(status)
	clear(own)
}

// note records in the Event what became of x.
func (x *exchange) note(reply *Reply) {
	ev, out := x.ev, &reply.outcome
	ev.Hit, ev.Stored, ev.Collapsed = out.Hit, out.Stored, out.Collapsed
	ev.TTL, ev.Age, ev.Reason = out.TTL, reply.decision.Age, out.Reason.String()
	ev.UpstreamStatus = out.ForwardStatus
	if !out.Hit {
		ev.ForwardFor = out.Forward.String()
	} else {
		ev.Tier = "memory"
	}
}

func keyText(k cachepolicy.Key) string { return hex.EncodeToString(k.Hash[:8]) }
