package proxy

import (
	"cmp"
	"context"
	"fmt"
	"maps"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"time"

	"github.com/penstock/penstock/cachepolicy"
	"github.com/penstock/penstock/config"
	"github.com/penstock/penstock/proxy/aggregate"
	"github.com/penstock/penstock/proxy/cache"
	"github.com/penstock/penstock/proxy/observe"
	"github.com/penstock/penstock/proxy/rawjson"
	"github.com/penstock/penstock/proxy/store"
)

const (
	// partsAtOnce is how many calls of a foreach are under way at the same time: a connection pool's worth for one client, not all of it.
	partsAtOnce = 16
	// staleParts is how long what is stored of a part is kept to stand in for it, with on_error: stale.
	staleParts = 24 * time.Hour
)

// compileAggregate is the origin of a route that makes its answers of several calls.
func compileAggregate(cfg *config.Config, r *config.Route, next *generation, s *Snapshot) (http.RoundTripper, error) {
	made := aggregate.Config{
		Timeout: r.Aggregate.Timeout, Capture: capturedText, SilentTTL: r.Cache.TTL.Default, TagField: r.Cache.Tags.Header, Now: s.cache.Now,
		Observe: s.live.counted.part(r.Name),
	}
	if r.Aggregate.Merge == config.MergeDeep {
		made.Merge = aggregate.Deep
	}
	names := slices.SortedFunc(maps.Keys(r.Aggregate.Parts), func(a, b string) int {
		return cmp.Compare(r.Aggregate.Parts[a].Order, r.Aggregate.Parts[b].Order)
	})
	for _, name := range names {
		part, err := compilePart(cfg, r, name, next, s)
		if err != nil {
			return nil, fmt.Errorf("aggregate.parts.%s: %w", name, err)
		}
		made.Parts = append(made.Parts, part)
	}
	return aggregate.New(made), nil
}

var onError = map[config.OnError]aggregate.OnError{
	config.OnErrorFail: aggregate.Fail, config.OnErrorOmit: aggregate.Omit, config.OnErrorNull: aggregate.Null,
	config.OnErrorDefault: aggregate.Default, config.OnErrorStale: aggregate.Stale,
}

func compilePart(cfg *config.Config, r *config.Route, name string, next *generation, s *Snapshot) (aggregate.Part, error) {
	p := r.Aggregate.Parts[name]
	var err error
	made := aggregate.Part{
		Name: name, Limit: p.Limit, AtOnce: partsAtOnce, Fields: p.Headers, Timeout: p.Timeout, OnError: onError[p.OnError], Default: []byte(p.Default),
	}
	if p.Batch != "" {
		if err := batchedPart(&made, p, tagField(r), next, s); err != nil {
			return made, fmt.Errorf("batch: %w", err)
		}
	} else {
		made.Fetcher = &partFetcher{cache: s.cache, resource: partResource(cfg, r, name, next), limit: p.MaxBody, upstream: p.Upstream, tagField: tagField(r)}
		if made.URL, err = aggregate.ParseTemplate(p.Path); err != nil {
			return made, fmt.Errorf("path: %w", err)
		}
	}
	if made.Each, err = rawjson.ParsePath(p.Foreach); err != nil {
		return made, fmt.Errorf("foreach: %w", err)
	}
	if made.Select, err = rawjson.ParsePath(p.Select); err != nil {
		return made, fmt.Errorf("select: %w", err)
	}
	return made, nil
}

// partResource is the cache's side of a part. It has objects of its own: no route's key begins with its name, which has a slash.
func partResource(cfg *config.Config, r *config.Route, name string, next *generation) *cache.Resource {
	p := r.Aggregate.Parts[name]
	rules := &cachepolicy.Rules{Route: partName(r, name), Enabled: true, TTLDefault: p.TTL, TTLJitter: r.Cache.TTL.Jitter, StaleRevalid: r.Cache.StaleWhileRevalidate, EarlyBeta: r.Cache.EarlyRefresh}
	if p.OnError == config.OnErrorStale {
		rules.StaleError = staleParts
	}
	if slices.Contains(p.Headers, "Cookie") {
		rules.KeyHeaders = []string{"Cookie"} // what one client's cookies bring is not for another
	}
	return &cache.Resource{
		Rules: rules, Origin: next.pools[p.Upstream],
		Coalesce: cache.Coalesce{
			Enabled: true, MaxWaiters: r.Coalesce.MaxWaiters, Wait: r.Coalesce.Wait, AcrossInstances: r.Coalesce.AcrossInstances,
		},
		Tiers: compileTiers(r),
		Tags:  cache.Tags{Header: r.Cache.Tags.Header, Send: true, Expand: func(req *http.Request) []string { return []string{upstreamTag(p.Upstream, req.URL)} }},

		MaxVariants: r.Cache.Vary.MaxVariants, MaxObject: min(cfg.Cache.Memory.MaxObject, p.MaxBody),
	}
}

// partName is how a part is called in keys and metrics.
func partName(r *config.Route, part string) string { return r.Name + "/" + part }

// tagField is the field in which the tags of a route's answers may be said without clients seeing them; "": there is none.
func tagField(r *config.Route) string {
	if r.Cache.Tags.Send {
		return ""
	}
	return r.Cache.Tags.Header
}

// upstreamTag is the tag of what was fetched from a path of an upstream, whatever its query: a write to that path, on any route, makes it stale.
func upstreamTag(upstream string, u *url.URL) string {
	return "upstream:" + upstream + strings.ReplaceAll(u.EscapedPath(), ",", "%2C")
}

// partFetcher asks for a part through the cache.
type partFetcher struct {
	cache    *cache.Cache
	resource *cache.Resource
	limit    int64
	upstream string
	tagField string
}

// Fetch asks for a part.
func (f *partFetcher) Fetch(ctx context.Context, req *http.Request) (*aggregate.Answer, error) {
	got, err := f.cache.Fetch(ctx, f.resource, req, f.limit)
	if err != nil {
		return nil, err
	}
	if f.tagField != "" { // so that what makes the part stale makes stale what is made of it
		got.Header.Add(f.tagField, upstreamTag(f.upstream, req.URL))
	}
	return partAnswer(got), nil
}

// partAnswer is what was fetched, for an aggregate.
func partAnswer(got *cache.Fetched) *aggregate.Answer {
	return &aggregate.Answer{Status: got.Status, Header: got.Header, Body: got.Body, Fresh: got.Fresh, Shared: got.Shared, Silent: got.Silent, Stale: got.Stale}
}

// capturedText is the plain text of what the route's pattern captured.
func capturedText(req *http.Request, name string) (string, bool) {
	escaped, ok := observe.FromContext(req.Context()).Captured[name]
	if !ok {
		return "", false
	}
	text, err := url.PathUnescape(escaped)
	return text, err == nil
}

// fetchesParts are the upstreams that parts of any route come from.
func fetchesParts(cfg *config.Config) map[string]bool {
	upstreams := map[string]bool{}
	for _, r := range cfg.Routes {
		if r.Aggregate == nil {
			continue
		}
		for _, p := range r.Aggregate.Parts {
			if p.Batch == "" {
				upstreams[p.Upstream] = true
			} else if p.Path != "" {
				upstreams[batchUpstream(cfg, p.Batch)] = true
			}
		}
	}
	return upstreams
}

// partsWritten adds what was fetched as a part from the path of the upstream that a write on the route has changed.
func partsWritten(targets []store.Target, r *config.Route, target cache.Target, req *http.Request) []store.Target {
	u := req.URL
	if target != nil {
		rewritten, err := target(req)
		if err != nil {
			return targets // it was not forwarded either
		}
		u = rewritten
	}
	return appendTarget(targets, store.Target{Kind: store.TargetTag, Value: upstreamTag(r.Upstream, u)})
}
