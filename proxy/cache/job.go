package cache

import (
	"context"
	"maps"
	"net/http"

	"github.com/penstock/penstock/cachepolicy"
	"github.com/penstock/penstock/compress"
	"github.com/penstock/penstock/proxy/cache/tiers"
	"github.com/penstock/penstock/proxy/observe"
	"github.com/penstock/penstock/proxy/store"
)

// job is one fill: a call to the origin that belongs to no client. Its values are its own or
// immutable.
type job struct {
	x *request // the leader's request
	tiers.Variation
	// alone is true if recent responses under the key were for one client alone.
	alone  bool
	fence  uint64       // the token under which the fill stores without a lease; 0: no token
	budget tiers.Budget // for the shared tier
	flight *fillFlight
	key    flightKey    // of the flight, under which other requests wait for it
	stored *store.Entry // the response that is validated, completed or replaced; may be nil
	// replaces is the stored response with which the fill began. It stays set if the fill asks
	// again for the whole response, and stored is then nil.
	replaces *store.Entry
	d        cachepolicy.Decision
	header   http.Header // of the request to the origin
	own      bool        // true if header has the client's own Accept-Encoding
	// conditional is true if header has the client's own conditions.
	conditional bool
	tags        []string          // that follow from the request
	to          tiers.Destination // for the response; set when the fill begins
	kept        *store.Entry      // the stored response, for the other instances
	result      store.LeaseResult
	lease       tiers.Lease    // for all instances; nil: not taken, or given back
	personal    http.Header    // of a 304: the fields for the leader's client alone
	leader      *handover      // nil: no client waits for the reply (a background refresh)
	ev          *observe.Event // of the call
	// attended tracks the clients that the fill is for. A copy of the job, for a part of the fill,
	// shares it.
	attended *attendance
}

// job returns the fill that x has planned, for flight f. It is called while x's client is still
// there.
func (x *exchange) job(f *fillFlight, k flightKey) *job {
	p := &x.plan
	j := &job{
		x: &x.request, Variation: p.Variation, alone: p.alone, budget: x.budget, flight: f, key: k, stored: p.entry, replaces: p.entry, d: p.decision,
		header: maps.Clone(x.r.Header), tags: x.res.Tags.OfRequest(x.r), ev: x.fillEvent(),
	}
	j.ev.FillFor(x.ev)
	j.attended = &attendance{allowance: x.res.Unattended, grace: unbounded}
	j.ask()
	return j
}

// fillEvent returns the Event of a fill for x.
func (x *exchange) fillEvent() *observe.Event {
	return &observe.Event{
		Route: x.res.Rules.Route, Method: x.r.Method, Scheme: x.ev.Scheme, Host: x.ev.Host, Path: x.ev.Path, ClientIP: x.ev.ClientIP,
		Captured: x.ev.Captured, Action: x.ev.Action, KeyHash: x.ev.KeyHash, Cache: observe.CacheMiss, PeerTrusted: x.ev.PeerTrusted,
	}
}

// outgoing returns the request for the origin, with only the part of the query that is in the key.
// A parameter outside the key must not influence a response that all clients get.
func (j *job) outgoing(ctx context.Context) *http.Request {
	out := j.x.outgoing(ctx, j.header)
	if query := j.x.res.Rules.KeyQuery(out.URL.RawQuery); query != out.URL.RawQuery || out.URL.ForceQuery {
		url := *out.URL
		url.RawQuery, url.ForceQuery = query, false // "/a?" has the key of "/a"
		out.URL = &url
	}
	return out
}

// ask sets the request's conditions: the validators of the stored response, or the range of the
// missing bytes.
func (j *job) ask() {
	for _, name := range conditionals {
		delete(j.header, name)
	}
	// If recent responses were for one client alone, this response will not be stored either. The
	// client's own conditions then let the origin answer 304 in place of a whole response.
	j.conditional = j.alone && j.stored == nil && j.d.Action == cachepolicy.Fetch
	switch {
	case j.d.HasAsk:
		setRange(j.header, j.d.Ask, &j.stored.Meta)
	case j.conditional:
		copyFields(j.header, j.x.r.Header, conditionals[:]...)
		originConditions(j.header, j.x.q.Method)
	case j.d.Action == cachepolicy.Fetch && len(j.x.r.Header["Range"]) > 0:
		copyFields(j.header, j.x.r.Header, "Range", "If-Range")
	case j.stored != nil && j.stored.Complete() && j.x.res.CurrentHead(j.stored):
		cachepolicy.Conditional(j.header, &j.stored.Meta)
	}
	j.own = j.own || j.asksOwn()
	j.negotiate()
	if j.d.HasAsk && j.stored.Representations[0].Coding != compress.Identity {
		// The missing bytes must have the coding of the stored ones (RFC 9111 §3.4).
		j.header["Accept-Encoding"] = []string{j.stored.Representations[0].Coding.String()}
	}
}

// plain turns the fill into a request for the whole response, no matter which response is stored.
func (j *job) plain() {
	for _, name := range conditionals {
		delete(j.header, name)
	}
	j.negotiate()
	j.stored, j.conditional = nil, false
}

func copyFields(dst, src http.Header, names ...string) {
	for _, name := range names {
		if values := src[name]; len(values) > 0 {
			dst[name] = values
		}
	}
}
