package cache

import (
	"context"
	"maps"
	"net/http"

	"github.com/penstock/penstock/cachepolicy"
	"github.com/penstock/penstock/compress"
	"github.com/penstock/penstock/proxy/observe"
	"github.com/penstock/penstock/proxy/store"
)

// job is one fill: a call to the origin that belongs to no client. Everything in it is its own or immutable.
type job struct {
	x      *exchange // of the leader, whose client may be gone: its Event is not touched, and its context bounds nothing but its own reading
	flight *fillFlight
	key    flightKey    // under which others wait for it
	stored *store.Entry // what is being validated, completed or replaced; nil: nothing
	d      cachepolicy.Decision
	header http.Header  // of the request to the origin
	tags   []string     // that follow from the request
	to     place        // where the response is to be stored; set when the fill begins
	kept   *store.Entry // what the other instances are to be given
	result store.LeaseResult
	leader *handover      // nil: nobody waits for the reply (a background refresh)
	ev     *observe.Event // of the call
}

// job returns the fill of x in f. It is called while x's client is still there.
func (x *exchange) job(f *fillFlight, k flightKey, e *store.Entry, d cachepolicy.Decision) *job {
	j := &job{x: x, flight: f, key: k, stored: e, d: d, header: maps.Clone(x.r.Header), tags: x.res.Tags.of(x.r), ev: x.fillEvent()}
	j.ev.FillFor(x.ev)
	j.ask()
	return j
}

// fillEvent is the Event of a fill for x.
func (x *exchange) fillEvent() *observe.Event {
	return &observe.Event{
		Route: x.res.Rules.Route, Method: x.r.Method, Scheme: x.ev.Scheme, Host: x.ev.Host, ClientIP: x.ev.ClientIP,
		Captured: x.ev.Captured, Action: x.ev.Action, KeyHash: x.ev.KeyHash, Cache: observe.CacheMiss, PeerTrusted: x.ev.PeerTrusted,
	}
}

// outgoing is the request for the origin. It is asked with the query that is in the key: what is not in the key must not show in what all get.
func (j *job) outgoing(ctx context.Context) *http.Request {
	out := j.x.outgoing(ctx, j.header)
	if query := j.x.res.Rules.KeyQuery(out.URL.RawQuery); query != out.URL.RawQuery || out.URL.ForceQuery {
		url := *out.URL
		url.RawQuery, url.ForceQuery = query, false // "/a?" has the key of "/a"
		out.URL = &url
	}
	return out
}

// conditionals are the request fields that a fill takes out: the gateway asks for the whole response and evaluates them itself.
var conditionals = [...]string{"If-None-Match", "If-Modified-Since", "If-Match", "If-Unmodified-Since", "If-Range", "Range"}

// ask sets the request's conditions: validators of what is stored, or the bytes that are missing.
func (j *job) ask() {
	for _, name := range conditionals {
		delete(j.header, name)
	}
	switch {
	case j.d.HasAsk:
		setRange(j.header, j.d.Ask, &j.stored.Meta)
	case j.d.Action == cachepolicy.Fetch && len(j.x.r.Header["Range"]) > 0:
		copyFields(j.header, j.x.r.Header, "Range", "If-Range")
	case j.stored != nil && j.stored.Complete():
		cachepolicy.Conditional(j.header, &j.stored.Meta)
	}
	j.x.res.acceptEncoding(j.header)
	if j.d.HasAsk && j.stored.Representations[0].Coding != compress.Identity {
		// What is missing must come in the coding of what is there (RFC 9111 §3.4).
		j.header["Accept-Encoding"] = []string{j.stored.Representations[0].Coding.String()}
	}
}

// plain makes it a request for the whole response, whatever is stored.
func (j *job) plain() {
	for _, name := range conditionals {
		delete(j.header, name)
	}
	j.x.res.acceptEncoding(j.header)
	j.stored = nil
}

func copyFields(dst, src http.Header, names ...string) {
	for _, name := range names {
		if values := src[name]; len(values) > 0 {
			dst[name] = values
		}
	}
}

// acceptEncoding asks the origin for the codings of the route, where the gateway negotiates with the client itself; but for a part only as it
// is: the bytes of a part of a coded form can't be decoded for a client that does not read it.
func (res *Resource) acceptEncoding(h http.Header) {
	switch {
	case res.AcceptEncoding == "":
	case len(h["Range"]) > 0:
		h["Accept-Encoding"] = []string{"identity"}
	default:
		h["Accept-Encoding"] = []string{res.AcceptEncoding}
	}
}
