package build

import (
	"net/http"

	"github.com/penstock/penstock/cachepolicy"
	"github.com/penstock/penstock/config"
	"github.com/penstock/penstock/proxy/cache/fill"
	"github.com/penstock/penstock/proxy/edge"
	"github.com/penstock/penstock/proxy/observe"
)

// withoutCORSFields removes the origin server's fields of the CORS protocol before next, which may
// be nil. So a response that allows the origin of one request is stored for all.
func withoutCORSFields(next fill.Respond) fill.Respond {
	return func(q *cachepolicy.Request, ev *observe.Event, h http.Header) {
		edge.RemoveCORSFields(h)
		if next != nil {
			next(q, ev, h)
		}
	}
}

// compileCORS returns the rules of a route about pages of other origins, or nil if there are none.
func compileCORS(r *config.Route) *edge.CORS {
	if r.CORS == nil {
		return nil
	}
	rules := edge.CORSRules{
		Origins: r.CORS.Origins, Methods: r.CORS.Methods, Headers: r.CORS.Headers, Expose: r.CORS.Expose,
		Credentials: r.CORS.Credentials, MaxAge: r.CORS.MaxAge,
	}
	if len(rules.Methods) == 0 {
		rules.Methods = r.Match.Methods
	}
	if len(rules.Methods) == 0 {
		rules.Methods = []string{http.MethodGet, http.MethodHead, http.MethodPost}
	}
	return edge.CompileCORS(rules)
}
