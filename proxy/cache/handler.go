package cache

import (
	"maps"
	"net/http"

	"github.com/penstock/penstock/proxy/observe"
)

// Handler answers requests of one route. The request is in canonical form and carries an observe.Event.
func (c *Cache) Handler(res *Resource) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		x, err := newExchange(res, r)
		if err != nil {
			c.deliver(w, x, &Reply{failure: &failure{status: http.StatusBadRequest, proxyError: "http_request_error", detail: err.Error()}})
			return
		}
		x.interim = func(status int, h http.Header) { writeInterim(w, r, status, h) }
		x.watchBody(w)
		defer x.noteBody()
		c.deliver(w, x, c.do(x))
	})
}

// newExchange is r on its way through res. It is there with an error too, which says why r has no target upstream.
func newExchange(res *Resource, r *http.Request) (*exchange, error) {
	ev := observe.FromContext(r.Context())
	x := &exchange{ctx: r.Context(), res: res, r: r, q: view(r, ev.Scheme), ev: ev, target: r.URL}
	if res.Target == nil {
		return x, nil
	}
	target, err := res.Target(r)
	if err == nil {
		x.target = target
	}
	return x, err
}

// writeInterim sends a 1xx response. Its fields are not those of the final one. HTTP/1.0 does not know such responses (RFC 9110 §15.2).
func writeInterim(w http.ResponseWriter, r *http.Request, status int, h http.Header) {
	if !r.ProtoAtLeast(1, 1) {
		return
	}
	own := w.Header()
	final := maps.Clone(own)
	setHeader(own, h)
	w.WriteHeader(status)
	setHeader(own, final)
}
