package build

import (
	"context"
	"net/http"
	"strings"

	"github.com/penstock/penstock/cachepolicy"
	"github.com/penstock/penstock/config"
	"github.com/penstock/penstock/proxy/cache"
	"github.com/penstock/penstock/proxy/edge"
	"github.com/penstock/penstock/proxy/observe"
	"github.com/penstock/penstock/proxy/route"
	"github.com/penstock/penstock/proxy/store"
)

// table has all routes of a configuration, so that a write on one route finds the responses of
// others.
type table struct {
	router  *route.Router
	routes  []*compiledRoute // by their index
	cache   *cache.Cache
	publish func(context.Context, []store.Target) store.Epoch
}

// find returns the route of a GET, and the path by which it answers. It returns nil if there is no
// such route.
func (t *table) find(host, path string, p *route.Params) (*compiledRoute, string) {
	found := t.router.Find(host, path, http.MethodGet, p)
	if found.Route == nil {
		return nil, found.Path
	}
	return t.routes[found.Route.Index], found.Path
}

// invalidation returns the function that invalidates the responses that a write on rt has changed.
// It makes one purge, so that all of them become stale at the same moment. parts is true if the
// parts of some route come from the upstream of rt.
func (t *table) invalidation(rt *compiledRoute, parts bool) func(context.Context, *http.Request, *cachepolicy.Request, []string, bool) store.Epoch {
	return func(ctx context.Context, req *http.Request, q *cachepolicy.Request, urls []string, own bool) store.Epoch {
		var targets []store.Target
		for _, url := range urls {
			targets = t.written(ctx, targets, url, q)
		}
		if own {
			captured := observe.FromContext(req.Context()).Captured
			for _, template := range rt.config.Writes.Targets {
				targets = t.writeTarget(ctx, targets, expand(template, captured), q)
			}
			if parts {
				targets = partsWritten(targets, rt.config, rt.rewrite, req)
			}
		}
		return t.publish(ctx, targets)
	}
}

// writeTarget adds a target of the configuration: a path, or a tag.
func (t *table) writeTarget(ctx context.Context, targets []store.Target, value string, q *cachepolicy.Request) []store.Target {
	if tag, ok := strings.CutPrefix(value, "tag:"); ok {
		return appendTarget(targets, store.Target{Kind: store.TargetTag, Value: tag})
	}
	return t.written(ctx, targets, q.Scheme+"://"+q.Host+value, q)
}

// written adds the targets for the stored responses to a GET of absoluteURL, on any route (RFC 9111
// §4.4). If the URL's path has empty segments, written also adds the path without them: a route may
// merge slashes, and an origin may treat both as one resource.
func (t *table) written(ctx context.Context, targets []store.Target, absoluteURL string, q *cachepolicy.Request) []store.Target {
	scheme, host, path, query, ok := cachepolicy.CanonicalURL(q, absoluteURL)
	if !ok {
		return targets
	}
	if canonical, err := edge.CanonicalPath(path); err == nil {
		path = canonical
	}
	for _, form := range route.Forms(path) {
		targets = t.writtenForm(ctx, targets, q, scheme, host, form, query)
	}
	return targets
}

// writtenForm is written for one form of the path. It drops at once the responses that this
// instance holds under the key of the write's own fields. The purge reaches responses under other
// fields, in other tiers and on other instances.
func (t *table) writtenForm(ctx context.Context, targets []store.Target, q *cachepolicy.Request, scheme, host, path, query string) []store.Target {
	rt, _ := t.find(host, path, nil)
	if rt == nil || !rt.Resource.Rules.Enabled {
		return targets
	}
	url := scheme + "://" + host + path
	if query != "" {
		url += "?" + query
	}
	if key, ok := rt.Resource.Rules.URLKey(q, url); ok {
		t.cache.Drop(ctx, key)
	}
	targets = appendTarget(targets, store.URLTarget(host, path, rt.keyQuery(query)))
	if rt.pages != nil {
		targets = appendTarget(targets, store.Target{Kind: store.TargetTag, Value: listTag(rt.Name, host, path)})
	}
	return targets
}

// appendTarget leaves out a target that a purge can't have, because no stored response matches it.
// A target that is too long becomes a wider one.
func appendTarget(targets []store.Target, t store.Target) []store.Target {
	if t = t.Within(); t.Check() != nil {
		return targets
	}
	return append(targets, t)
}

// through returns nil if writes on the route do not bring their new representation into the cache.
func (t *table) through(r *config.Route) *cache.Through {
	if r.Writes.Policy != config.WriteThrough {
		return nil
	}
	return &cache.Through{Response: r.Writes.Refresh == config.RefreshResponse, Reader: t.reader}
}

// reader returns the GET that the client of the write r would send for the same URL, and that GET's
// resource. It returns nil if the response to the GET would not be stored.
func (t *table) reader(r *http.Request) (*cache.Resource, *http.Request) {
	writer := observe.FromContext(r.Context())
	path := r.URL.EscapedPath()
	ev := &observe.Event{Start: writer.Start, Method: http.MethodGet, ClientIP: writer.ClientIP, Scheme: writer.Scheme, Host: writer.Host, Path: path}
	var p route.Params
	rt, answers := t.find(r.Host, path, &p)
	ev.Captured = p.Captured(answers)
	if rt == nil || !rt.Resource.Rules.Enabled || rt.pages != nil { // a page's key has its canonical limit, which the write does not tell
		return nil, nil
	}
	if answers != path { // the write went to another path than a GET would
		return nil, nil
	}
	ev.Route = rt.Name
	url := *r.URL
	get := &http.Request{
		Method: http.MethodGet, URL: &url, Host: r.Host, Header: cachepolicy.ReadHeader(r.Header), Body: http.NoBody,
		Proto: r.Proto, ProtoMajor: r.ProtoMajor, ProtoMinor: r.ProtoMinor, RemoteAddr: r.RemoteAddr,
	}
	return rt.Resource, get.WithContext(observe.NewContext(context.WithoutCancel(r.Context()), ev))
}
