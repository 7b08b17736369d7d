package proxy

import (
	"context"
	"net/http"
	"strings"

	"github.com/go-chi/chi/v5"

	"github.com/penstock/penstock/cachepolicy"
	"github.com/penstock/penstock/config"
	"github.com/penstock/penstock/proxy/cache"
	"github.com/penstock/penstock/proxy/edge"
	"github.com/penstock/penstock/proxy/observe"
	"github.com/penstock/penstock/proxy/store"
)

// compileInvalidate gives what makes stale what a write on r has changed: in one purge, so that there is one moment at which all of it is.
func compileInvalidate(cfg *config.Config, r *config.Route, upstream cache.Target, s *Snapshot) func(context.Context, *http.Request, *cachepolicy.Request, []string, bool) store.Epoch {
	parts := fetchesParts(cfg)[r.Upstream]
	return func(ctx context.Context, req *http.Request, q *cachepolicy.Request, urls []string, own bool) store.Epoch {
		var targets []store.Target
		for _, url := range urls {
			targets = s.written(ctx, targets, url, q)
		}
		if own {
			captured := observe.FromContext(req.Context()).Captured
			for _, template := range r.Writes.Targets {
				targets = s.writeTarget(ctx, targets, expand(template, captured), q)
			}
			if parts {
				targets = partsWritten(targets, r, upstream, req)
			}
		}
		return s.live.publish(ctx, targets)
	}
}

// writeTarget adds a target of the configuration: a path, or a tag.
func (s *Snapshot) writeTarget(ctx context.Context, targets []store.Target, value string, q *cachepolicy.Request) []store.Target {
	if tag, ok := strings.CutPrefix(value, "tag:"); ok {
		return appendTarget(targets, store.Target{Kind: store.TargetTag, Value: tag})
	}
	return s.written(ctx, targets, q.Scheme+"://"+q.Host+value, q)
}

// written adds what is stored for a GET of absoluteURL, on whatever route it is (RFC 9111 §4.4). What this instance holds under the key that the
// write's own fields give goes at once; the purge is for what other fields, tiers and instances hold.
func (s *Snapshot) written(ctx context.Context, targets []store.Target, absoluteURL string, q *cachepolicy.Request) []store.Target {
	scheme, host, path, query, ok := cachepolicy.CanonicalURL(q, absoluteURL)
	if !ok {
		return targets
	}
	if canonical, err := edge.CanonicalPath(path); err == nil {
		path = canonical
	}
	rt, _ := s.router.find(host, path, http.MethodGet, nil)
	if rt == nil || !rt.rules.Enabled {
		return targets
	}
	url := scheme + "://" + host + path
	if query != "" {
		url += "?" + query
	}
	if key, ok := rt.rules.URLKey(q, url); ok {
		s.cache.Drop(ctx, key)
	}
	targets = appendTarget(targets, store.URLTarget(host, path, rt.keyQuery(query)))
	if rt.pages != nil {
		targets = appendTarget(targets, store.Target{Kind: store.TargetTag, Value: listTag(rt.name, host, path)})
	}
	return targets
}

// appendTarget leaves out what no purge can be aimed at: it can't name anything that is stored.
func appendTarget(targets []store.Target, t store.Target) []store.Target {
	if t.Check() != nil {
		return targets
	}
	return append(targets, t)
}

// compileThrough is nil where writes don't bring their new representation into the cache.
func compileThrough(r *config.Route, s *Snapshot) *cache.Through {
	if r.Writes.Policy != config.WriteThrough {
		return nil
	}
	return &cache.Through{Response: r.Writes.Refresh == config.RefreshResponse, Reader: s.reader}
}

// reader gives the resource that a GET of the URL of the write r comes to, and that GET, as the same client would send it. nil: nothing of it would be
// stored.
func (s *Snapshot) reader(r *http.Request) (*cache.Resource, *http.Request) {
	writer := observe.FromContext(r.Context())
	ev := &observe.Event{Start: writer.Start, Method: http.MethodGet, ClientIP: writer.ClientIP, Scheme: writer.Scheme, Host: writer.Host}
	rt, _ := s.router.find(r.Host, r.URL.EscapedPath(), http.MethodGet, func(c *chi.Context) { ev.Captured = captured(c) })
	if rt == nil || !rt.rules.Enabled || rt.pages != nil { // a page's key is for its canonical limit, which the write does not tell
		return nil, nil
	}
	ev.Route = rt.name
	url := *r.URL
	get := &http.Request{
		Method: http.MethodGet, URL: &url, Host: r.Host, Header: cachepolicy.ReadHeader(r.Header), Body: http.NoBody,
		Proto: r.Proto, ProtoMajor: r.ProtoMajor, ProtoMinor: r.ProtoMinor, RemoteAddr: r.RemoteAddr,
	}
	return rt.resource, get.WithContext(observe.NewContext(context.WithoutCancel(r.Context()), ev))
}
