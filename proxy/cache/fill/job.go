package fill

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

// Job is one fill: a call to the origin that belongs to no client. Its values are its own or
// immutable.
type Job struct {
	Request *Request // the leader's request
	tiers.Variation
	// alone is true if recent responses under the key were for one client alone.
	alone  bool
	Fence  uint64       // the token under which the fill stores without a lease; 0: no token
	budget tiers.Budget // for the shared tier
	flight *Flight
	key    FlightKey    // of the flight, under which other requests wait for it
	Stored *store.Entry // the response that is validated, completed or replaced; may be nil
	// replaces is the stored response with which the fill began. It stays set if the fill asks
	// again for the whole response, and stored is then nil.
	replaces *store.Entry
	Decision cachepolicy.Decision
	Header   http.Header // of the request to the origin
	own      bool        // true if header has the client's own Accept-Encoding
	// conditional is true if header has the client's own conditions.
	conditional bool
	tags        []string          // that follow from the request
	to          tiers.Destination // for the response; set when the fill begins
	Kept        *store.Entry      // the stored response, for the other instances
	result      store.LeaseResult
	lease       tiers.Lease    // for all instances; nil: not taken, or given back
	personal    http.Header    // of a 304: the fields for the leader's client alone
	Leader      *Handover      // nil: no client waits for the reply (a background refresh)
	Event       *observe.Event // of the call
	// attended tracks the clients that the fill is for. A copy of the job, for a part of the fill,
	// shares it.
	attended *Attendance
}

// Basis is what the cache knows about a request before its fill.
type Basis struct {
	tiers.Variation
	Alone    bool         // true if recent responses under the key were for one client alone
	Stored   *store.Entry // the response that the request selects; may be nil
	Decision cachepolicy.Decision
	Budget   tiers.Budget
}

// NewJob returns the fill for x in flight f. It is called while x's client is still there.
func NewJob(x *Request, b Basis, f *Flight, k FlightKey, ev *observe.Event) *Job {
	j := &Job{
		Request: x, Variation: b.Variation, alone: b.Alone, budget: b.Budget, flight: f, key: k, Stored: b.Stored, replaces: b.Stored, Decision: b.Decision,
		Header: maps.Clone(x.HTTP.Header), tags: x.Route.Tags.OfRequest(x.HTTP), Event: ev,
	}
	j.attended = &Attendance{Allowance: x.Route.Unattended, Grace: unbounded}
	j.Prepare()
	return j
}

// Outgoing returns the request for the origin, with only the part of the query that is in the key.
// A parameter outside the key must not influence a response that all clients get.
func (j *Job) Outgoing(ctx context.Context) *http.Request {
	out := j.Request.Outgoing(ctx, j.Header)
	if query := j.Request.Route.Rules.KeyQuery(out.URL.RawQuery); query != out.URL.RawQuery || out.URL.ForceQuery {
		url := *out.URL
		url.RawQuery, url.ForceQuery = query, false // "/a?" has the key of "/a"
		out.URL = &url
	}
	return out
}

// Prepare sets the request's conditions: the validators of the stored response, or the range of the
// missing bytes.
func (j *Job) Prepare() {
	for _, name := range Conditionals {
		delete(j.Header, name)
	}
	// If recent responses were for one client alone, this response will not be stored either. The
	// client's own conditions then let the origin answer 304 in place of a whole response.
	j.conditional = j.alone && j.Stored == nil && j.Decision.Action == cachepolicy.Fetch
	switch {
	case j.Decision.HasAsk:
		setRange(j.Header, j.Decision.Ask, &j.Stored.Meta)
	case j.conditional:
		CopyFields(j.Header, j.Request.HTTP.Header, Conditionals[:]...)
		OriginConditions(j.Header, j.Request.View.Method)
	case j.Decision.Action == cachepolicy.Fetch && len(j.Request.HTTP.Header["Range"]) > 0:
		CopyFields(j.Header, j.Request.HTTP.Header, "Range", "If-Range")
	case j.Stored != nil && j.Stored.Complete() && j.Request.Route.CurrentHead(j.Stored):
		cachepolicy.Conditional(j.Header, &j.Stored.Meta)
	}
	j.own = j.own || j.asksOwn()
	j.negotiate()
	if j.Decision.HasAsk && j.Stored.Representations[0].Coding != compress.Identity {
		// The missing bytes must have the coding of the stored ones (RFC 9111 §3.4).
		j.Header["Accept-Encoding"] = []string{j.Stored.Representations[0].Coding.String()}
	}
}

// plain turns the fill into a request for the whole response, no matter which response is stored.
func (j *Job) plain() {
	for _, name := range Conditionals {
		delete(j.Header, name)
	}
	j.negotiate()
	j.Stored, j.conditional = nil, false
}

// CopyFields copies the fields with the given names from src to dst. The values are shared.
func CopyFields(dst, src http.Header, names ...string) {
	for _, name := range names {
		if values := src[name]; len(values) > 0 {
			dst[name] = values
		}
	}
}
