package build

import (
	"net/http"
	"net/url"

	"github.com/penstock/penstock/config"
	"github.com/penstock/penstock/proxy/cache"
	"github.com/penstock/penstock/proxy/observe"
	"github.com/penstock/penstock/proxy/route"
	"github.com/penstock/penstock/proxy/upstream"
)

// compileRewrite returns nil if the path goes upstream unchanged.
func compileRewrite(r *config.Route) (cache.Target, error) {
	if r.Rewrite.StripPrefix == "" && r.Rewrite.AddPrefix == "" && r.Rewrite.Path == "" {
		return nil, nil
	}
	rw, err := upstream.CompileRewrite(r.Rewrite.StripPrefix, r.Rewrite.AddPrefix, r.Rewrite.Path, route.ParamNames(r.Match.Path))
	if err != nil {
		return nil, err
	}
	return rewriteTarget(rw), nil
}

// rewriteTarget returns the Target that rewrites the path by rw.
func rewriteTarget(rw *upstream.Rewrite) cache.Target {
	return func(r *http.Request) (*url.URL, error) {
		captured := observe.FromContext(r.Context()).Captured
		path, err := rw.Apply(r.URL.EscapedPath(), func(name string) string { return captured[name] })
		if err != nil {
			return nil, err
		}
		return withEscapedPath(r.URL, path)
	}
}

// withEscapedPath returns a copy of u with another path, given in escaped form.
func withEscapedPath(u *url.URL, path string) (*url.URL, error) {
	plain, err := url.PathUnescape(path)
	if err != nil {
		return nil, err
	}
	target := *u
	target.Path, target.RawPath = plain, path
	return &target, nil
}
