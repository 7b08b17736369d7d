package build

import (
	"cmp"
	"context"
	"fmt"
	"log/slog"
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
	"github.com/penstock/penstock/proxy/cache/entry"
	"github.com/penstock/penstock/proxy/cache/fill"
	"github.com/penstock/penstock/proxy/observe"
	"github.com/penstock/penstock/proxy/rawjson"
	"github.com/penstock/penstock/proxy/store"
)

const (
	// partsAtOnce is how many calls of a foreach are under way at the same time. It leaves room in
	// a connection pool for other clients.
	partsAtOnce = 16
	// staleParts is how long a stored part is kept to stand in for a failed one, with on_error:
	// stale.
	staleParts = 24 * time.Hour
)

// aggregate returns the origin of a route that combines several calls into one response.
func (b *builder) aggregate(r *config.Route) (http.RoundTripper, error) {
	made := aggregate.Config{
		Timeout: r.Aggregate.Timeout, Capture: capturedText, SilentTTL: r.Cache.TTL.Default, TagField: tagField(r), Now: b.cache.Now,
		Observe:    b.counts.part(r.Name),
		Authorized: func(req *http.Request) bool { return observe.FromContext(req.Context()).Credential != "" },
	}
	if r.Aggregate.Merge == config.MergeDeep {
		made.Merge = aggregate.Deep
	}
	names := slices.SortedFunc(maps.Keys(r.Aggregate.Parts), func(a, b string) int {
		return cmp.Compare(r.Aggregate.Parts[a].Order, r.Aggregate.Parts[b].Order)
	})
	for _, name := range names {
		part, err := b.part(r, name)
		if err != nil {
			return nil, fmt.Errorf("aggregate.parts.%s: %w", name, err)
		}
		made.Parts = append(made.Parts, part)
	}
	made.Refused = refusedParts(r.Name, names, b.log)
	return aggregate.New(made), nil
}

// refusedParts returns the function that logs why the content of a part can't be used.
func refusedParts(route string, names []string, log *slog.Logger) func(context.Context, string, error) {
	places := make(map[string]*refusals, len(names))
	for _, name := range names {
		places[name] = &refusals{log: log, now: time.Now}
	}
	return func(_ context.Context, part string, err error) {
		places[part].note("a part can't be used", "route", route, "part", part, "reason", err)
	}
}

var onError = map[config.OnError]aggregate.OnError{
	config.OnErrorFail: aggregate.Fail, config.OnErrorOmit: aggregate.Omit, config.OnErrorNull: aggregate.Null,
	config.OnErrorDefault: aggregate.Default, config.OnErrorStale: aggregate.Stale,
}

// part compiles a part of an aggregate.
func (b *builder) part(r *config.Route, name string) (aggregate.Part, error) {
	p := r.Aggregate.Parts[name]
	var err error
	made := aggregate.Part{
		Name: name, Limit: p.Limit, AtOnce: partsAtOnce, Fields: p.Headers, Timeout: p.Timeout, OnError: onError[p.OnError], Default: []byte(p.Default),
	}
	if p.Batch != "" {
		if err := b.batchedPart(&made, p, tagField(r)); err != nil {
			return made, fmt.Errorf("batch: %w", err)
		}
	} else {
		made.Fetcher = &partFetcher{cache: b.cache, resource: b.partResource(r, name), limit: p.MaxBody, upstream: p.Upstream, tagField: tagField(r)}
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

// partResource returns the cache's settings for a part. A part has objects of its own: its name has
// a slash, so no route's key begins with it.
func (b *builder) partResource(r *config.Route, name string) *cache.Resource {
	p := r.Aggregate.Parts[name]
	rules := &cachepolicy.Rules{Route: r.PartName(name), Enabled: true, TTLDefault: p.TTL, TTLJitter: r.Cache.TTL.Jitter, StaleRevalid: r.Cache.StaleWhileRevalidate, EarlyBeta: r.Cache.EarlyRefresh}
	if p.OnError == config.OnErrorStale {
		rules.StaleError = staleParts
	}
	if slices.Contains(p.Headers, "Cookie") {
		rules.KeyHeaders = []string{"Cookie"} // a response to one client's cookies is not for another client
	}
	return &cache.Resource{Route: fill.Route{
		Policy: entry.Policy{
			Rules: rules, Tiers: compileTiers(r), MaxVariants: r.Cache.Vary.MaxVariants, MaxObject: min(b.cfg.Cache.Memory.MaxObject, p.MaxBody),
			Tags: entry.Tags{
				Header: tagField(r), Send: true, Rules: entry.RuleTag("", partLifeRules(r, p), ""), Overfull: overfull(b.log, r.PartName(name)),
				Expand: func(req *http.Request) []string { return []string{upstreamTag(p.Upstream, req.URL)} },
			},
		},
		Origin: b.bound(r, p.Upstream),
		Coalesce: fill.Coalesce{
			Enabled: true, MaxWaiters: r.Coalesce.MaxWaiters, Wait: r.Coalesce.Wait, AcrossInstances: r.Coalesce.AcrossInstances,
		},
		Unattended: b.unattended(p.Upstream),
	}}

}

// tagField returns the canonical name of the field in which a route's responses name their tags, or
// "" if there is no such field.
func tagField(r *config.Route) string { return http.CanonicalHeaderKey(r.Cache.Tags.Header) }

// upstreamTags is the prefix of tags that name an upstream's paths. They never leave the process,
// because clients need not know the upstreams behind a route.
const upstreamTags = "upstream:"

// isInternalTag reports whether a tag must not reach clients: an upstream's tag, or a tag of the
// gateway's own, which begins with a control character.
func isInternalTag(tag string) bool { return strings.HasPrefix(tag, upstreamTags) || tag < " " }

// upstreamTag returns the tag of responses from a path of an upstream, whatever their query. A
// write to that path, on any route, makes them stale.
func upstreamTag(upstream string, u *url.URL) string {
	return upstreamTags + upstream + strings.ReplaceAll(u.EscapedPath(), ",", "%2C")
}

// partFetcher fetches a part through the cache.
type partFetcher struct {
	cache    *cache.Cache
	resource *cache.Resource
	limit    int64
	upstream string
	tagField string
}

// Fetch fetches a part.
func (f *partFetcher) Fetch(ctx context.Context, req *http.Request) (*aggregate.Answer, error) {
	got, err := f.cache.Fetch(ctx, f.resource, req, f.limit)
	if err != nil {
		return nil, err
	}
	if f.tagField != "" { // so that a purge of the part also reaches the aggregate
		got.Header.Add(f.tagField, upstreamTag(f.upstream, req.URL))
	}
	return partAnswer(got), nil
}

// partAnswer returns a fetched response in the form that an aggregate takes.
func partAnswer(got *cache.Fetched) *aggregate.Answer {
	return &aggregate.Answer{Status: got.Status, Header: got.Header, Body: got.Body, Fresh: got.Fresh, Shared: got.Shared, Silent: got.Silent, Stale: got.Stale}
}

// capturedText returns the unescaped value of a captured parameter. It returns false if the
// parameter does not exist or is not validly escaped.
func capturedText(req *http.Request, name string) (string, bool) {
	escaped, ok := observe.FromContext(req.Context()).Captured[name]
	if !ok {
		return "", false
	}
	text, err := url.PathUnescape(escaped)
	return text, err == nil
}

// fetchesParts returns the upstreams from which the parts of any route come.
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

// partsWritten adds the target for parts that were fetched from the upstream's path that a write on
// the route has changed.
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
