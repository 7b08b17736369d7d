package build

import (
	"net/http"
	"net/url"
	"slices"
	"strings"

	"github.com/penstock/penstock/config"
	"github.com/penstock/penstock/proxy/cache"
	"github.com/penstock/penstock/proxy/edge"
)

// namedOverrides returns the fields that give a request another host, method or URL, if some route
// names them in cache.key.headers.
func namedOverrides(cfg *config.Config) map[string]bool {
	named := make(map[string]bool)
	for _, r := range cfg.Routes {
		for _, name := range r.Cache.Key.Headers {
			if edge.Overrides(name) {
				named[name] = true
			}
		}
	}
	return named
}

// ownFields returns target for a route, with two changes to the request. It removes the fields that
// only other routes name: they are not in this route's key, so its origin must not see them. It
// tells the origin the prefix that the route strips, because links and redirects must begin with
// that prefix.
func ownFields(r *config.Route, named map[string]bool, target cache.Target) cache.Target {
	var others []string
	for name := range named {
		if !slices.Contains(r.Cache.Key.Headers, name) {
			others = append(others, name)
		}
	}
	prefix := slices.Clip([]string{strings.TrimRight(r.Rewrite.StripPrefix, "/")})
	if others == nil && prefix[0] == "" {
		return target
	}
	return func(req *http.Request) (*url.URL, error) {
		for _, name := range others {
			delete(req.Header, name)
		}
		if prefix[0] != "" {
			req.Header["X-Forwarded-Prefix"] = prefix
		}
		if target == nil {
			return req.URL, nil
		}
		return target(req)
	}
}
