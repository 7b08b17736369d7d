package build

import (
	"fmt"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/penstock/penstock/cachepolicy"
	"github.com/penstock/penstock/config"
	"github.com/penstock/penstock/proxy/cache"
	"github.com/penstock/penstock/proxy/cache/fill"
)

// compileErrors compiles the custom error pages of a route. res is the route's resource. c fetches
// the pages.
func compileErrors(r *config.Route, res *cache.Resource, c *cache.Cache) ([]*fill.ErrorPage, error) {
	var pages []*fill.ErrorPage
	for _, e := range r.Errors {
		page := &fill.ErrorPage{
			Status: slices.Clone(e.Status), Serve: e.Serve, As: e.As, CacheFor: e.CacheFor, CacheControl: e.CacheControl, Body: e.Body, ContentType: e.ContentType,
		}
		if e.Serve != "" {
			public, target := pagePath(r, res, e.Serve)
			u, err := url.ParseRequestURI(public)
			if err != nil {
				return nil, fmt.Errorf("errors: serve: %w", err)
			}
			page.URL, page.Fetch = u, c.PageFetcher(pageResource(r, res, e.CacheFor, target))
		}
		pages = append(pages, page)
	}
	return pages, nil
}

// pageResource returns the resource of an error page. The page is stored among the objects of its
// route, so that purges reach it. Only the route determines its lifetime. The page is kept for a
// second at least, because errors come in bursts.
func pageResource(r *config.Route, res *cache.Resource, lifetime time.Duration, target cache.Target) *cache.Resource {
	page := *res
	page.Rules = &cachepolicy.Rules{
		Route: r.Name, Enabled: true, IgnoreOrigin: true, IgnoreClient: true, KeyHeaders: []string{fill.PageHeader}, SetCookie: cachepolicy.SetCookieStrip,
		TTLStatus: map[int]time.Duration{200: max(lifetime, time.Second)},
	}
	page.Coalesce.Enabled = true
	if page.Coalesce.Wait == 0 {
		page.Coalesce.Wait = pageWait
	}
	page.Target, page.Errors, page.Hits, page.Compress, page.AcceptEncoding, page.Upgrade = target, nil, nil, nil, "", ""
	page.Tags.Expand = nil
	if !page.Tiers.Memory && !page.Tiers.Shared {
		page.Tiers.Memory = true
	}
	return &page
}

// pageWait is how long a request waits for another request's call for an error page, on a route
// without a cache.
const pageWait = 10 * time.Second

// pagePath returns the path under which clients know the upstream path of an error page, so that a
// purge of either is a purge of both. target says how the public path gets upstream. The path of a
// template has no public counterpart, so it is returned unchanged and target is nil.
func pagePath(r *config.Route, res *cache.Resource, serve string) (public string, target cache.Target) {
	w := r.Rewrite
	rest, ok := strings.CutPrefix(serve, strings.TrimSuffix(w.AddPrefix, "/"))
	if w.Path != "" || !ok || !strings.HasPrefix(rest, "/") {
		return serve, nil
	}
	return strings.TrimSuffix(w.StripPrefix, "/") + rest, res.Target
}
