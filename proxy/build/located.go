package build

import (
	"cmp"
	"net/http"
	"strings"

	"github.com/penstock/penstock/config"
	"github.com/penstock/penstock/proxy/observe"
	"github.com/penstock/penstock/proxy/upstream"
)

// locatedOrigin maps the references in an origin's responses to the form that the client knows,
// before the cache sees them. The key of a stored response has the client's host, and a write names
// the responses that it makes stale as the client names them (RFC 9111 §4.4).
type locatedOrigin struct {
	next    http.RoundTripper
	outside *upstream.Outside
}

// compileLocated returns pool with its references mapped for a route. If the route keeps
// references, only paths that a client would take for a host are mapped.
func compileLocated(cfg *config.Config, r *config.Route, pool http.RoundTripper) (http.RoundTripper, error) {
	u := cfg.Upstreams[r.Upstream]
	if r.Rewrite.KeepLocations || u == nil {
		return &locatedOrigin{pool, upstream.KeepOutside()}, nil
	}
	var targets []string
	for _, t := range u.Targets {
		targets = append(targets, t.URL.String())
	}
	outside, err := upstream.CompileOutside(targets, u.PreserveHost, r.Match.Path, r.Rewrite.StripPrefix, r.Rewrite.AddPrefix, r.Rewrite.Path)
	if err != nil {
		return nil, err
	}
	return &locatedOrigin{pool, outside}, nil
}

// RoundTrip maps the references of the response.
func (o *locatedOrigin) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := o.next.RoundTrip(req)
	if err == nil {
		scheme := cmp.Or(observe.FromContext(req.Context()).Scheme, "http")
		o.outside.Apply(resp.Header, upstream.View{Scheme: scheme, Host: req.Host, Doubled: strings.HasPrefix(req.URL.Path, "//")})
	}
	return resp, err
}
