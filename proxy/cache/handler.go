package cache

import (
	"maps"
	"net/http"

	"github.com/penstock/penstock/proxy/cache/deliver"
	"github.com/penstock/penstock/proxy/cache/fill"
	"github.com/penstock/penstock/proxy/edge"
	"github.com/penstock/penstock/proxy/observe"
)

// Handler returns a handler for the requests of one route. Each request must be in canonical form,
// and its context must carry an observe.Event.
func (c *Cache) Handler(res *Resource) http.Handler {
	return http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		x, err := newRequest(res, r, observe.FromContext(r.Context()), edge.LocatedOf(r.Context()))
		if err != nil {
			c.deliver(w, x, &fill.Reply{Failure: &deliver.Failure{Status: http.StatusBadRequest, ProxyError: "http_request_error", Detail: err.Error()}})
			return
		}
		x.interim = func(status int, h http.Header) {
			res.Tags.Hide(h)
			writeInterim(w, r, status, h)
		}
		x.HTTP, x.body = deliver.WatchBody(w, r)
		defer x.body.NoteRead(x.ev)
		c.deliver(w, x, c.do(x))
	})
}

// writeInterim sends a 1xx response with its own fields, and then restores the fields of the final
// response. It sends nothing to an HTTP/1.0 client, because HTTP/1.0 has no such responses (RFC
// 9110 §15.2).
func writeInterim(w http.ResponseWriter, r *http.Request, status int, h http.Header) {
	if !r.ProtoAtLeast(1, 1) {
		return
	}
	own := w.Header()
	final := maps.Clone(own)
	deliver.SetHeader(own, h)
	w.WriteHeader(status)
	deliver.SetHeader(own, final)
}
