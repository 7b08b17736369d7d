package proxy

import (
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
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
	"github.com/penstock/penstock/proxy/batch"
	"github.com/penstock/penstock/proxy/cache"
	"github.com/penstock/penstock/proxy/observe"
	"github.com/penstock/penstock/proxy/rawjson"
	"github.com/penstock/penstock/proxy/urltemplate"
)

// captureNames are the parameters of a path pattern, without the * at its end.
func captureNames(pattern string) []string {
	return slices.DeleteFunc(patternParams(pattern), func(name string) bool { return name == "*" })
}

// captureTarget gives an origin that is no upstream what the route's pattern captured: as the path of its URL, a segment for each.
func captureTarget(pattern string) cache.Target {
	names := captureNames(pattern)
	return func(r *http.Request) (*url.URL, error) {
		ev := observe.FromContext(r.Context())
		segments := make([]string, len(names))
		for i, name := range names {
			plain, err := url.PathUnescape(ev.Captured[name])
			if err != nil {
				return nil, err
			}
			segments[i] = urltemplate.Escaped(plain)
		}
		path := "/" + strings.Join(segments, "/")
		plain, err := url.PathUnescape(path)
		if err != nil {
			return nil, err
		}
		return &url.URL{Scheme: cmp.Or(ev.Scheme, r.URL.Scheme), Path: plain, RawPath: path}, nil
	}
}

// batches are the loaders of a configuration, and the routes that they serve.
type batches struct {
	loaders   map[string]*batch.Loader
	resources map[string]*cache.Resource
	patterns  map[string]string
}

func newBatches() *batches {
	return &batches{make(map[string]*batch.Loader), make(map[string]*cache.Resource), make(map[string]string)}
}

func (b *batches) add(r *config.Route, res *cache.Resource, l *batch.Loader) {
	b.loaders[r.Name], b.resources[r.Name], b.patterns[r.Name] = l, res, r.Match.Path
}

// batchesFirst are routes with those in front that others call.
func batchesFirst(routes []*config.Route) []*config.Route {
	out := slices.Clone(routes)
	slices.SortStableFunc(out, func(a, b *config.Route) int {
		switch {
		case (a.Batch != nil) == (b.Batch != nil):
			return 0
		case a.Batch != nil:
			return -1
		}
		return 1
	})
	return out
}

// compileBatch is the origin of a route with a batch.
func compileBatch(cfg *config.Config, r *config.Route, next *generation) (*batch.Loader, error) {
	b := r.Batch
	target, err := urltemplate.Parse(b.Path)
	if err != nil {
		return nil, fmt.Errorf("batch.path: %w", err)
	}
	key, err := rawjson.ParsePath(b.Key)
	if err != nil {
		return nil, fmt.Errorf("batch.key: %w", err)
	}
	items, err := rawjson.ParsePath(b.Items)
	if err != nil {
		return nil, fmt.Errorf("batch.items: %w", err)
	}
	names, ids := captureNames(r.Match.Path), b.IDParams(r.Match.Path)
	if len(ids) != 1 {
		return nil, fmt.Errorf("batch: match.path %s has not one parameter for the identifier", r.Match.Path)
	}
	origin, _, err := compileHeaders(r, next.pools[b.Upstream])
	if err != nil {
		return nil, err
	}
	return batch.New(batch.Config{
		Origin: origin, Target: target, Captured: names, ID: slices.Index(names, ids[0]),
		Window: b.Window, Max: b.Max, URLBytes: int(b.URLBytes), Fields: b.Headers, Key: key, Items: items, Missing: b.Missing,
		Limits: batch.Limits{Bytes: b.Bytes, Depth: maxDepth}, Timeout: callBound(cfg, b.Upstream),
		Apart: func(ctx context.Context) context.Context { return observe.NewContext(ctx, new(observe.Event)) },
	}), nil
}

// maxDepth bounds how deeply the JSON of a batch or a page is nested.
const maxDepth = 128

// callBound is how long a call to an upstream can take at most.
func callBound(cfg *config.Config, name string) time.Duration {
	if u := cfg.Upstreams[name]; u != nil && u.Timeouts.Total > 0 {
		return u.Timeouts.Total
	}
	return time.Hour // the upstream's other bounds end it
}

// compileAggregate is the origin of a route with an aggregate. rules are those of the whole.
func (s *Snapshot) compileAggregate(cfg *config.Config, r *config.Route, rules *cachepolicy.Rules, next *generation, b *batches) (*aggregate.Aggregate, error) {
	a := r.Aggregate
	made := aggregate.Config{
		Name: Name, Captured: captureNames(r.Match.Path), Deep: a.Merge == config.MergeDeep, Timeout: a.Timeout, Retry: a.PartialTTL,
		Limits: aggregate.Limits{PartBytes: a.Limits.PartBytes, Bytes: a.Limits.Bytes, Depth: a.Limits.Depth, Parallel: a.Limits.Parallel},
		Rules:  rules, TagField: r.Cache.Tags.Header, Now: s.live.now,
	}
	made.Prepare = func(ctx context.Context, values []string) context.Context {
		captured := make(map[string]string, len(values))
		for i, name := range made.Captured {
			captured[name] = urltemplate.Escaped(values[i])
		}
		return observe.NewContext(ctx, &observe.Event{Captured: captured})
	}
	names := slices.SortedFunc(maps.Keys(a.Parts), func(x, y string) int { return a.Parts[x].Place - a.Parts[y].Place })
	for _, name := range names {
		p, err := s.compilePart(cfg, r, name, next, b)
		if err != nil {
			return nil, fmt.Errorf("part %s: %w", name, err)
		}
		made.Parts = append(made.Parts, p)
	}
	return aggregate.New(made)
}

var onErrors = map[config.OnError]aggregate.OnError{
	config.OnErrorFail: aggregate.Fail, config.OnErrorOmit: aggregate.Omit, config.OnErrorNull: aggregate.Null,
	config.OnErrorDefault: aggregate.Default, config.OnErrorStale: aggregate.Stale,
}

func (s *Snapshot) compilePart(cfg *config.Config, r *config.Route, name string, next *generation, b *batches) (aggregate.Part, error) {
	p := r.Aggregate.Parts[name]
	part := aggregate.Part{
		Name: name, Fields: p.Headers, Timeout: p.Timeout, OnError: onErrors[p.OnError], Default: []byte(p.Default), Limit: p.Limit,
	}
	var err error
	if part.Select, err = rawjson.ParsePath(p.Select); err != nil {
		return part, fmt.Errorf("select: %w", err)
	}
	if part.Foreach, err = rawjson.ParsePath(p.Foreach); err != nil {
		return part, fmt.Errorf("foreach: %w", err)
	}
	if p.Batch != "" {
		err := s.throughBatch(&part, p.Batch, r.Cache.Tags.Header, b)
		return part, err
	}
	if part.Target, err = urltemplate.Parse(p.Path); err != nil {
		return part, fmt.Errorf("path: %w", err)
	}
	origin, _, err := compileHeaders(r, next.pools[p.Upstream])
	if err != nil {
		return part, err
	}
	up := cfg.Upstreams[p.Upstream]
	if part.Scheme = "http"; !up.PreserveHost {
		part.Host = p.Upstream // what the upstream is sent is its target's own name: the client's must not split the cache
	}
	part.Call = s.cache.Transport(partResource(cfg, r, p, origin), Name+"/"+name, r.Cache.Tags.Header)
	return part, nil
}

// throughBatch has a part's calls made as if clients asked on the route of the batch: they share its objects, and its calls.
func (s *Snapshot) throughBatch(part *aggregate.Part, name, tagField string, b *batches) error {
	res, loader, pattern := b.resources[name], b.loaders[name], b.patterns[name]
	if res == nil {
		return fmt.Errorf("there is no route %s with a batch", name)
	}
	params := captureNames(pattern)
	before, after, _ := strings.Cut(pattern, "{")
	_, after, _ = cutParam(after)
	target, err := urltemplate.Parse(before + "{}" + after)
	if err != nil {
		return fmt.Errorf("match.path of route %s: %w", name, err)
	}
	part.Target, part.Gate = target, loader
	part.Call = &batchCaller{s.cache.Transport(res, Name+"/"+part.Name, tagField), params[0], before, after}
	return nil
}

// cutParam cuts behind the } that ends a parameter, whose expression may have braces.
func cutParam(s string) (spec, rest string, ok bool) {
	depth := 1
	for i := range len(s) {
		switch s[i] {
		case '{':
			depth++
		case '}':
			if depth--; depth == 0 {
				return s[:i], s[i+1:], true
			}
		}
	}
	return s, "", false
}

// batchCaller says what the route's pattern captures.
type batchCaller struct {
	next                 *cache.Transport
	param, before, after string
}

func (c *batchCaller) with(req *http.Request) *http.Request {
	id := strings.TrimSuffix(strings.TrimPrefix(req.URL.EscapedPath(), c.before), c.after)
	ev := &observe.Event{Captured: map[string]string{c.param: id}}
	return req.WithContext(observe.NewContext(req.Context(), ev))
}

// RoundTrip asks for one element.
func (c *batchCaller) RoundTrip(req *http.Request) (*http.Response, error) {
	return c.next.RoundTrip(c.with(req))
}

// Stale is what is stored of it.
func (c *batchCaller) Stale(req *http.Request) (*http.Response, bool) {
	return c.next.Stale(c.with(req))
}

// staleFor is how old an answer may be that on_error: stale uses.
const staleFor = 24 * time.Hour

// partResource is the cache's side of a part. Its objects are of the upstream, not of the route: parts of several aggregates that make one call share them. They
// are not those of a route with the same upstream, whose header rules, error pages and rewrites make them something else.
func partResource(cfg *config.Config, r *config.Route, p *config.Part, origin http.RoundTripper) *cache.Resource {
	rules := &cachepolicy.Rules{
		Route: partNamespace(r, p), Enabled: p.Cache, EarlyBeta: r.Cache.EarlyRefresh, TTLJitter: r.Cache.TTL.Jitter,
		IgnoreClient: r.Cache.ClientDirectives == config.ClientDirectivesIgnore,
	}
	if p.OnError == config.OnErrorStale {
		rules.StaleError = staleFor
	}
	return &cache.Resource{
		Rules: rules, Origin: guardedOrigin{origin}, Tiers: compileTiers(r), MaxVariants: r.Cache.Vary.MaxVariants,
		MaxObject: cfg.Cache.Memory.MaxObject, Tags: cache.Tags{Header: r.Cache.Tags.Header, Expand: expandTags(p.Tags)},
		Coalesce: cache.Coalesce{
			Enabled: p.Cache, MaxWaiters: r.Coalesce.MaxWaiters, Wait: r.Coalesce.Wait,
			AcrossInstances: slices.Contains(r.Cache.Tiers, config.TierRedis),
		},
	}
}

// guardedOrigin keeps what was asked with cookies from others.
type guardedOrigin struct{ next http.RoundTripper }

// RoundTrip makes the call.
func (o guardedOrigin) RoundTrip(req *http.Request) (*http.Response, error) {
	resp, err := o.next.RoundTrip(req)
	if err == nil {
		cachepolicy.Guard(req.Header, resp.Header)
	}
	return resp, err
}

// partNamespace stands in the key in the place of a route's name, which never has a colon. Parts share it when what they store is the same: of one upstream, with
// the same changes to the request, the same windows and the same tags.
func partNamespace(r *config.Route, p *config.Part) string {
	var b strings.Builder
	fmt.Fprintf(&b, "%q %v", r.Cache.Tags.Header, p.OnError == config.OnErrorStale)
	if len(p.Tags) > 0 {
		fmt.Fprintf(&b, " %q %q", p.Path, p.Tags)
	}
	for _, ops := range []map[string]string{r.Headers.Request.Set, r.Headers.Request.Add} {
		for _, name := range slices.Sorted(maps.Keys(ops)) {
			fmt.Fprintf(&b, " %q=%q", name, ops[name])
		}
		b.WriteByte(';')
	}
	fmt.Fprintf(&b, " %q", r.Headers.Request.Remove)
	sum := sha256.Sum256([]byte(b.String()))
	return "part:" + p.Upstream + ":" + hex.EncodeToString(sum[:4])
}
