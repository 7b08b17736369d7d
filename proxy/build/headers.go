package build

import (
	"fmt"
	"net/http"
	"slices"

	"github.com/penstock/penstock/cachepolicy"
	"github.com/penstock/penstock/config"
	"github.com/penstock/penstock/proxy/cache/fill"
	"github.com/penstock/penstock/proxy/edge"
	"github.com/penstock/penstock/proxy/observe"
	"github.com/penstock/penstock/proxy/route"
)

// headerOrigin applies a route's request header rules on the way to the upstream. The key has been
// made by then, so the rules can't split the cache.
type headerOrigin struct {
	route string
	rules *edge.HeaderRules
	next  http.RoundTripper
}

// RoundTrip changes req's header, which belongs to the exchange alone. If a rule repeats the query,
// it repeats the upstream's query: a value that is not in a response's key must not reach the
// origin by another way.
func (o *headerOrigin) RoundTrip(req *http.Request) (*http.Response, error) {
	ev := observe.FromContext(req.Context())
	o.rules.Apply(req.Header, &edge.Facts{
		Host: req.Host, Scheme: ev.Scheme, Path: ev.Path, Query: req.URL.RawQuery, Method: req.Method, Route: o.route,
		ClientIP: ev.ClientIP, Captured: ev.Captured, RequestID: ev.RequestID,
	})
	return o.next.RoundTrip(req)
}

// respondWith applies a route's response header rules. On a route with a cache the rules get the
// query of the key, because other clients share the fields that they write.
func respondWith(rules *edge.HeaderRules, r *config.Route, keyed *cachepolicy.Rules) fill.Respond {
	return func(q *cachepolicy.Request, ev *observe.Event, h http.Header) {
		query := q.RawQuery
		if r.Cache.Enabled {
			query = keyed.KeyQuery(query)
		}
		rules.Apply(h, &edge.Facts{
			Host: q.Host, Scheme: q.Scheme, Path: q.Path, Query: query, Method: q.Method, Route: r.Name,
			ClientIP: ev.ClientIP, Captured: ev.Captured, RequestID: ev.RequestID,
		})
	}
}

func compileHeaders(r *config.Route, rules *cachepolicy.Rules, pool http.RoundTripper) (http.RoundTripper, fill.Respond, error) {
	request, err := compileOps(r.Headers.Request)
	if err != nil {
		return nil, nil, fmt.Errorf("headers.request: %w", err)
	}
	response, err := compileOps(r.Headers.Response)
	if err != nil {
		return nil, nil, fmt.Errorf("headers.response: %w", err)
	}
	if request != nil {
		pool = &headerOrigin{r.Name, request, pool}
	}
	var respond fill.Respond
	if response != nil {
		respond = respondWith(response, r, rules)
	}
	if r.CORS != nil {
		respond = withoutCORSFields(respond)
	}
	return pool, respond, nil
}

func compileOps(ops config.FieldOps) (*edge.HeaderRules, error) {
	if len(ops.Set) == 0 && len(ops.Add) == 0 && len(ops.Remove) == 0 {
		return nil, nil
	}
	return edge.CompileHeaderRules(pieces(ops.Set), pieces(ops.Add), ops.Remove)
}

// pieces returns the values of header rules, cut at the places to fill in.
func pieces(values map[string]string) map[string][]edge.Piece {
	out := make(map[string][]edge.Piece, len(values))
	for name, value := range values {
		out[name] = []edge.Piece{}
		for _, p := range config.HeaderParts(value) {
			out[name] = append(out[name], edge.Piece(p))
		}
	}
	return out
}

// namesCaptures reports whether a header rule of the route repeats a captured parameter of its
// path.
func namesCaptures(r *config.Route) bool {
	names := route.ParamNames(r.Match.Path)
	for _, values := range []map[string]string{r.Headers.Request.Set, r.Headers.Request.Add, r.Headers.Response.Set, r.Headers.Response.Add} {
		for _, value := range values {
			if slices.ContainsFunc(config.HeaderParts(value), func(p config.HeaderPart) bool { return slices.Contains(names, p.Name) }) {
				return true
			}
		}
	}
	return false
}
